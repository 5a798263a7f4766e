"""Nobody is kept out by another process that writes without a pause."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from runfold import Ledger, Run
from runfold.commands import cached_streams, executor
from runfold.commands.cached_streams import CachedStream, CachedStreams
from runfold.domain.run import Run as RunState
from tests.databases import TestDatabase

WRITING = """
import asyncio, sys
from runfold import Ledger
url, run_id = sys.argv[1:]
async def write(run):
    while True:
        await run.submit_add_message("assistant", "still at it")
async def main(run):
    await asyncio.gather(*(write(run) for _ in range(8)))
with Ledger.open(url) as ledger:
    run = ledger.run(run_id)
    run.add_message("assistant", "begun")
    print("writing", flush=True)
    asyncio.run(main(run))
"""


@pytest.fixture
def busy(ledger: Ledger, database: TestDatabase) -> Iterator[Run]:
    """A long run that another process writes to without a pause."""
    run = ledger.create_thread(agent_id="support").start_run()
    with ledger.batch() as batch:
        long = batch.run(run.id)
        for number in range(5000):
            long.add_message("assistant", f"{number}")
    with subprocess.Popen([sys.executable, "-c", WRITING, database.url, run.id], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        yield run
        writer.kill()


def test_a_person_gets_a_word_in(busy: Run, ledger: Ledger) -> None:
    receipt = ledger.run(busy.id).request_cancellation("that is enough", actor="human:ada")
    assert receipt.appended == 1
    assert busy.view().version >= receipt.version


def test_what_goes_first_is_judged_by_what_is_stored(busy: Run, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "PATIENCE", 0)
    for _ in range(3):
        ledger.run(busy.id).request_cancellation("that is enough", actor="human:ada")
    assert len(ledger.events(run_id=busy.id, types=["run.cancellation_requested"])) == 1
    versions = [event.version for event in ledger.now.run_events(busy.id)]
    assert versions == list(range(1, len(versions) + 1))


def test_a_run_that_moves_on_whenever_it_is_read_is_read_all_the_same(
    ledger: Ledger, other: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the database is far away, or the machine busy: reading then takes longer than it takes to write."""
    catch_up, theirs, reads = CachedStreams.catch_up, other.run(run.id), 0
    theirs.add_message("assistant", "begun")

    def too_late(self: CachedStreams, known: CachedStream) -> None:
        nonlocal reads
        reads += 1
        assert reads < 50, "it will never have been read"
        catch_up(self, known)
        theirs.add_message("assistant", f"{reads}")

    monkeypatch.setattr(cached_streams, "_QUICK_SECONDS", 0)
    with monkeypatch.context() as patched:
        patched.setattr(CachedStreams, "catch_up", too_late)
        known = CachedStreams(ledger.recorder.reader, most=10).read(RunState, ("default", run.id))
    assert known.state.version == known.stored >= 3
