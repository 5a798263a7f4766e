"""Rows for the log, and a recorder on the test's database."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from runfold import Ledger
from runfold.store.codec import Row
from runfold.store.datastore import Datastore
from runfold.store.recorder import Recorder
from tests.databases import TestDatabase

from .appended import Commands

MakeRow = Callable[..., Row]


@pytest.fixture
def recorder(database: TestDatabase) -> Iterator[Recorder]:
    made = Recorder(Datastore(database.url))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_ledger(shared_database: TestDatabase) -> Iterator[Ledger]:
    with Ledger.open(shared_database.url) as opened:
        yield opened


@pytest.fixture
def row() -> MakeRow:
    """Makes a row: `row("run_a", 1)`. The payload is that of a run that waits, unless another is given."""

    def make(stream: str, version: int, state: bytes = b'{"reason":"input"}', type: str = "run.waiting") -> Row:
        metadata = '{"actor": {"kind": "service", "id": "test"}}'
        return Row(stream, version, type, 1, state, None, "default", "thread_a", uuid4().bytes, '{"run_id": "run_a"}', metadata)

    return make


@pytest.fixture
def commands(recorder, row) -> Iterator[Commands]:
    made = Commands(recorder, row)
    yield made
    made.appender.close()
