"""Sealers that are killed anywhere, several at once: one tree, without a gap, and no checkpoint that is not of it."""

import subprocess
import sys
import threading

import pytest

from runfold import Ledger, Settings
from runfold.evidence.sealer import Sealer
from runfold.evidence.verify import LedgerVerification
from runfold.failpoint import SEALING_POINTS
from runfold.settings import environment
from tests.waiting import until


def _worker(settings: Settings, point: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "runfold.cli.main", "work", "--until-input-ends", "--react", "sealer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environment(settings), "RUNFOLD_FAILPOINT": point},
    )


def _is_whole(ledger: Ledger) -> None:
    verification = LedgerVerification(ledger, full=True)
    assert list(verification.findings()) == []
    assert verification.read is not None
    assert (verification.read.events, verification.read.unsealed) == (ledger.position(), 0)


@pytest.mark.fault("B9")
def test_a_sealer_that_is_killed_anywhere_leaves_one_tree_that_goes_on(settings: Settings) -> None:
    settings = settings.model_copy(update={"seal_every": 0.05})
    with Ledger.open(settings=settings) as ledger:
        run = ledger.create_thread(agent_id="desk").start_run()
        for point in SEALING_POINTS[::2]:
            run.add_message("user", f"before it dies: {point}")
            with ledger.recorder.store.reading() as connection:
                connection.execute("UPDATE runfold.reactors SET worker = NULL, held_until = '-infinity'")
            with _worker(settings, f"{point}:1") as worker:
                until(lambda worker=worker: worker.poll() is not None, seconds=60)  # type: ignore[misc]
                assert worker.returncode == -9
        Sealer(ledger).seal_all()
        _is_whole(ledger)


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
