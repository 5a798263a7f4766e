"""The test cases that the eventsourcing library ships for recorders, on ours.

All of `ApplicationRecorderTestCase` runs, with its optional case for subscriptions. Left out are the cases for aggregate
recorders' snapshots and for tracking and processing recorders: we have no snapshots table, and checkpoints of our own.
"""

import contextlib
import io
from collections.abc import Callable, Iterator

import pytest
from eventsourcing.tests.persistence import ApplicationRecorderTestCase

from runfold.ids import new_id
from runfold.store.datastore import Datastore
from runfold.store.recorder import Recorder


@pytest.mark.fault("C-2")
class TestRecorder(ApplicationRecorderTestCase[Recorder]):
    @pytest.fixture(autouse=True)
    def _databases(self, new_database: Callable) -> Iterator[None]:
        self._new_database = new_database
        self._recorders: list[Recorder] = []
        with contextlib.redirect_stdout(io.StringIO()):  # the cases print their speed
            yield
        for recorder in self._recorders:
            recorder.close()

    def create_recorder(self) -> Recorder:
        recorder = Recorder(Datastore(self._new_database().url))
        self._recorders.append(recorder)
        return recorder

    def new_originator_id(self) -> str:
        return new_id("run")

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


def test_no_case_of_the_library_is_left_out() -> None:
    cases = {name.removeprefix("optional_") for name in dir(ApplicationRecorderTestCase) if "test_" in name}
    assert cases <= set(dir(TestRecorder))
