"""Sealers that are killed anywhere, several at once: one tree, without a gap, and no checkpoint that is not of it."""

import contextlib
import subprocess
import sys
import threading

import pytest

from runfold import Ledger, Settings
from runfold.delivery.claims import Claims
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.status import seal_status
from runfold.evidence.verifying.verify import LedgerVerification
from runfold.failpoint import SEALING_POINTS
from runfold.settings import environment
from tests.waiting import until


def _worker(ended: contextlib.ExitStack, settings: Settings, point: str) -> subprocess.Popen[bytes]:
    """A process that seals until it comes to a point."""
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "runfold.cli.main", "work", "--until-input-ends", "--react", "sealer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environment(settings), "RUNFOLD_FAILPOINT": point},
    )
    ended.enter_context(worker)
    ended.callback(worker.kill)
    return worker


def _is_whole(ledger: Ledger) -> None:
    verification = LedgerVerification(ledger, full=True)
    assert list(verification.findings()) == []
    assert verification.read is not None
    assert (verification.read.events, verification.read.unsealed) == (ledger.position(), 0)


@pytest.mark.fault("B9")
def test_a_sealer_that_is_killed_anywhere_is_taken_over_from_and_leaves_one_tree(settings: Settings) -> None:
    settings = settings.model_copy(update={"seal_every": 0.05})
    with Ledger.open(settings=settings) as ledger, contextlib.ExitStack() as ended:
        run = ledger.create_thread(agent_id="desk").start_run()
        doomed = [_worker(ended, settings, f"{point}:1") for point in SEALING_POINTS[::2]]
        for count in range(1, len(doomed) + 1):
            run.add_message("user", f"before {count} are dead")
            until(lambda count=count: sum(worker.poll() == -9 for worker in doomed) >= count)  # type: ignore[misc]
        run.add_message("user", "they are all dead")
        survivor = _worker(ended, settings, "")
        until(lambda: seal_status(ledger.recorder.reader).position == ledger.position())
        assert survivor.poll() is None
        Sealer(ledger).seal_all()
        _is_whole(ledger)


def test_after_the_death_of_a_sealer_no_event_waits_for_five_seconds(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        sealer, claims = Sealer(ledger), Claims(ledger.recorder.store)
        claim = claims.take(sealer.name, sealer.hold_seconds)
        assert claim is not None
        claims.note(claim, sealer.react(claim))
        with ledger.recorder.store.reading() as connection:
            (row,) = connection.execute("SELECT held_until - looked_at AS held FROM runfold.reactors").fetchall()
        looks_every = sealer.hold_seconds / 4
        assert sealer.pause + row["held"].total_seconds() + looks_every < 5


def test_several_sealers_at_once_beside_who_appends_make_one_tree(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger:
        run = ledger.create_thread(agent_id="desk").start_run()
        ended, errors = threading.Event(), list[BaseException]()

        def seal() -> None:
            sealer = Sealer(ledger)
            try:
                while not ended.is_set():
                    sealer.react()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=seal) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(60):
            run.add_message("user", str(number))
        ended.set()
        for thread in threads:
            thread.join()
        assert errors == []
        Sealer(ledger).seal_all()
        _is_whole(ledger)
