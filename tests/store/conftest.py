"""Rows for the log, and a recorder on the test's database."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runfold import Ledger
from runfold.store.codec import Row
from runfold.store.datastore import Datastore
from runfold.store.recorder import Recorder

MakeRow = Callable[..., Row]


@pytest.fixture
def recorder(database) -> Iterator[Recorder]:  # type: ignore[no-untyped-def]  # the database of tests/conftest.py
    made = Recorder(Datastore(database.url))
    yield made
    made.close()


@dataclass(frozen=True)
class SharedDatabase:
    """One database for the tests of a module that do not mind each other's events."""

    url: str
    admin_url: str


@pytest.fixture(scope="module")
def shared_database(admin_url: str, template: str) -> Iterator[SharedDatabase]:
    name = f"runfold_shared_store_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield SharedDatabase(make_conninfo(admin_url, dbname=name, user="runfold_app"), make_conninfo(admin_url, dbname=name))
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def shared_ledger(shared_database: SharedDatabase) -> Iterator[Ledger]:
    with Ledger.open(shared_database.url) as opened:
        yield opened


@pytest.fixture
def row() -> MakeRow:
    """Makes a row: `row("run_a", 1)`. The payload is that of a run that waits, unless another is given."""

    def make(stream: str, version: int, state: bytes = b'{"reason":"input"}', type: str = "run.waiting") -> Row:
        metadata = '{"actor": {"kind": "service", "id": "test"}}'
        return Row(stream, version, type, 1, state, None, "default", "thread_a", uuid4().bytes, '{"run_id": "run_a"}', metadata)

    return make
