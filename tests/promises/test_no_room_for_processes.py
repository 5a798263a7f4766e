"""Who keeps processes running goes on where the system has no room for one just now, and starts it once there is."""

import threading

import structlog

from runfold import Ledger
from runfold.projector.folding.companion import Companion
from runfold.projector.folding.supervisor import Supervisor
from runfold.settings import environment
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.rooms import no_room
from tests.waiting import until


def test_those_that_fold_are_started_later(ledger: Ledger, database: TestDatabase) -> None:
    ledger.create_thread(agent_id="support").start_run()
    names = {"threads": "threads"}
    looking_after = Supervisor(lambda: Datastore(database.projector_url), names, environment(database.settings), 20.0)
    folding = threading.Thread(target=looking_after.run)
    with structlog.testing.capture_logs() as said:
        with no_room():
            folding.start()
            until(lambda: any(line["event"] == "folding cannot be started yet" for line in said))
        try:
            until(lambda: any((each.name, each.position) == ("threads", ledger.position()) for each in ledger.projections()))
        finally:
            looking_after.stop()
            folding.join()


def test_what_runs_beside_them_is_started_later(database: TestDatabase) -> None:
    beside = Companion(["version"], environment(database.settings))
    with structlog.testing.capture_logs() as said:
        with no_room():
            beside.look_after()
        assert [line["event"] for line in said] == ["a process cannot be started yet"]
        try:  # once it was started it ends by itself, which is told
            until(lambda: beside.look_after() or said[-1]["event"] == "a process ended, and is started again")
        finally:
            beside.end()
    assert said[-1]["exit_code"] == 0


def test_moments_are_made_later(ledger: Ledger) -> None:
    ledger.create_thread(agent_id="support")
    moments, preparer = ledger.moments_of("default"), ledger.preparer()
    moment = moments.ask(ledger.position(), "human:ada", None)
    with structlog.testing.capture_logs() as said:
        with no_room(spare=2):  # for a connection
            preparer.start()
            until(lambda: any(line["event"] == "a moment cannot be made yet" for line in said))
        try:
            until(lambda: moments.one(moment).state == "ready")
        finally:
            preparer.stop()
