"""The test cases that the eventsourcing library ships for recorders, on the adapter's.

They write events of their own, which the adapter refuses to: the recorder here appends them as Runfold does. All of
`ApplicationRecorderTestCase` runs, with its optional case for subscriptions, and that ids of concurrent writers do not
interleave. Left out are the cases for snapshots, tracking and processing: those are kept by another persistence module.
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.tests.persistence import ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase

from runfold.adapters.eventsourcing_recorder import LogRecorder
from runfold.ids import new_id
from runfold.store.appending.append_call import Placed
from runfold.store.codec import Row
from runfold.store.datastore import Datastore
from runfold.store.hint import CHANNEL
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.recorder import Recorder


class WritingRecorder(LogRecorder):
    """The adapter's recorder, and a writer for what the cases insert. Their topics are no types of ours."""

    def __init__(self, log: Recorder) -> None:
        super().__init__(TenantReader.of(log.reader, "default"), require_topics=lambda _: None)
        self.log = log

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        rows = [
            Row(
                str(event.originator_id),
                event.originator_version,
                event.topic,
                1,
                event.state,
                None,
                "default",
                "",
                uuid4().bytes,
                "{}",
                "{}",
            )
            for event in stored_events
        ]
        if not rows:
            return []
        answer = self.log.writer.append(rows)
        if not isinstance(answer, Placed):
            raise IntegrityError(f"these streams are at other versions: {answer}")
        with self.log.store.reading() as connection:
            connection.execute(f"NOTIFY {CHANNEL}")
        return [answer.first_position + offset for offset in range(len(rows))]


@pytest.fixture
def make_recorder(new_database: Callable) -> Iterator[Callable[[], WritingRecorder]]:
    """Makes recorders on databases of their own."""
    logs: list[Recorder] = []

    def make() -> WritingRecorder:
        logs.append(Recorder(Datastore(new_database().url)))
        return WritingRecorder(logs[-1])

    with contextlib.redirect_stdout(io.StringIO()):  # the cases print their speed
        yield make
    for log in logs:
        log.close()


@pytest.mark.fault("C-2")
class TestRecorder(ApplicationRecorderTestCase[WritingRecorder]):
    @pytest.fixture(autouse=True)
    def _databases(self, make_recorder: Callable[[], WritingRecorder]) -> None:
        self.create_recorder = make_recorder

    def create_recorder(self) -> WritingRecorder:
        raise NotImplementedError("the fixture says how")

    def new_originator_id(self) -> str:
        return new_id("run")

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


@pytest.mark.fault("C-2")
class TestNonInterleaving(NonInterleavingNotificationIDsBaseCase):
    insert_num = 300

    @pytest.fixture(autouse=True)
    def _databases(self, make_recorder: Callable[[], WritingRecorder]) -> None:
        self.create_recorder = make_recorder

    def create_recorder(self) -> WritingRecorder:
        raise NotImplementedError("the fixture says how")

    def new_originator_id(self) -> str:
        return new_id("run")


def test_no_case_of_the_library_is_left_out() -> None:
    cases = {name.removeprefix("optional_") for name in dir(ApplicationRecorderTestCase) if "test_" in name}
    assert cases <= set(dir(TestRecorder))
