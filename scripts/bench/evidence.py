"""What does it cost that the log is sealed, and how fast is it verified?

Appends at an offered load, with the sealer's process beside them and without, in turn; sealing and appending alone;
verifying everything against reading everything; how many hashes a proof has; how old the oldest event that is not sealed gets.
"""

import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from measuring import Report, Server, arguments, in_turn, percentiles, server
from pydantic import SecretStr

from runfold import Ledger, Run, Settings
from runfold.cli.calling.folding import reacting
from runfold.evidence.sealer import Sealer
from runfold.evidence.sealing.comparing import stored_trees, tile_reader
from runfold.evidence.sealing.status import seal_status
from runfold.evidence.verifying.verify import LedgerVerification
from runfold.proofs.tiles import Tiles
from runfold.settings import environment

CALLERS = 4
TEXT = "The order left our warehouse on Tuesday; the carrier says it arrives tomorrow by noon."


def offered(runs: list[Run], a_second: int, seconds: float) -> list[float]:
    """Seconds that each append took, from when it was due: one that had to wait for others counts its waiting."""
    found: list[float] = []
    began = time.perf_counter() + 0.1

    def call(number: int, run: Run) -> None:
        for turn in range(int(a_second * seconds / CALLERS)):
            due = began + (turn * CALLERS + number) / a_second
            if (wait := due - time.perf_counter()) > 0:
                time.sleep(wait)
            run.add_message("assistant", TEXT)
            found.append(time.perf_counter() - due)

    threads = [threading.Thread(target=call, args=each) for each in enumerate(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextmanager
def sealing_beside(ledger: Ledger, ages: list[float]) -> Iterator[None]:
    """The sealer's process, as `runfold work` starts it; how old the oldest event that is not sealed is, is noted meanwhile."""
    (words,) = reacting(["sealer"])
    command = [sys.executable, "-P", "-m", "runfold.cli.main", *words]
    how: dict[str, Any] = {"stderr": subprocess.DEVNULL, "env": environment(ledger.settings), "start_new_session": True}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.5):  # seldom: it asks in the process whose appends are measured
            ages.append(seal_status(ledger.recorder.reader).unsealed_seconds)

    with subprocess.Popen(command, stdin=subprocess.PIPE, **how) as process:
        while seal_status(ledger.recorder.reader).unsealed_events:
            time.sleep(0.05)
        looking = threading.Thread(target=look)
        looking.start()
        yield
        ended.set()
        looking.join()
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def beside(ledger: Ledger, report: Report, a_second: int, seconds: float, slices: int) -> None:
    """Measure appends at an offered load, with sealing and without.

    Both in many short slices, in turn and in turns that change places, so that a slow moment of the machine hits both alike. All
    appends of all slices count: the percentiles are those of each arm as a whole.
    """
    runs = [ledger.create_thread(agent_id="support").start_run() for _ in range(CALLERS)]
    ages: list[float] = []
    found: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(slices):
        for name in list(found)[:: -1 if number % 2 else 1]:
            with sealing_beside(ledger, ages) if name == "with" else nullcontext():
                found[name] += offered(runs, a_second, seconds)
    both = {name: percentiles(values, (50, 90, 95, 99)) for name, values in found.items()}
    for percentile in both["with"]:
        report.figures |= {f"append_{percentile}_{name}_sealing": both[name][percentile] for name in found}
        report.ratios[f"append_{percentile.removesuffix('_ms')}_with_over_without"] = (
            both["with"][percentile] / both["without"][percentile]
        )
    report.figures["oldest_unsealed_p99_seconds"] = percentiles(ages)["p99_ms"] / 1000


def alone(ledger: Ledger, report: Report, events: int) -> None:
    """Measure appending by itself, then sealing, reading and verifying the same events."""
    sealer, runs = Sealer(ledger), [ledger.create_thread(agent_id="support").start_run() for _ in range(20)]
    sealer.seal_all()
    began = time.perf_counter()
    for _ in range(max(events // 1000, 1)):
        with ledger.batch() as batch:
            for number in range(min(events, 1000)):
                batch.run(runs[number % 20].id).add_message("assistant", TEXT)
    appended = time.perf_counter() - began
    began = time.perf_counter()
    count = sealer.seal_all()
    sealed = time.perf_counter() - began
    report.figures |= {"appended_a_second": round(count / appended), "sealed_a_second": round(count / sealed)}
    report.ratios["sealing_over_appending"] = appended / sealed


def verifying(ledger: Ledger, report: Report, rounds: int) -> None:
    """Measure verifying everything against reading everything, in turn, and what memory the first takes.

    Reading is what `ledger.events()` does, each event looked at, as in the benchmark `read`; beside it, its rows alone.
    """

    def read(*, decoded: bool) -> float:
        began, count = time.perf_counter(), 0
        for recorded in ledger.recorder.reader.events():
            count += not decoded or recorded.event is not None
        return count / (time.perf_counter() - began)

    def verify(_: int) -> float:
        verification, began = LedgerVerification(ledger, full=True), time.perf_counter()
        assert not list(verification.findings())
        assert verification.read is not None
        return verification.read.events / (time.perf_counter() - began)

    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    measures = {"verified": verify, "read": lambda _: read(decoded=True), "rows_read": lambda _: read(decoded=False)}
    rates = in_turn(rounds, measures)
    report.figures |= {f"{name}_a_second": round(rate) for name, rate in rates.items()}
    report.figures["verifying_grew_memory_by_mib"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    report.ratios["verifying_over_reading"] = rates["verified"] / rates["read"]
    report.ratios["verifying_over_reading_rows"] = rates["verified"] / rates["rows_read"]
    with ledger.recorder.store.reading() as connection:
        (tree,) = stored_trees(connection)
        tiles = Tiles(tile_reader(connection, tree.tenant_id, tree.generation))
        report.figures |= {"leaves": tree.size, "hashes_of_a_proof": len(tiles.inclusion(tree.size // 3, tree.size))}


def settings_of(own: Server, name: str, home: Path) -> Settings:
    """Settings of a ledger on a new database, with keys in a folder of their own."""
    own.database(name)
    urls = {f"{role}_url": SecretStr(own.embedded.url(f"runfold_{role}", name)) for role in ("projector", "sealer")}
    return Settings(database_url=SecretStr(own.embedded.url("runfold_app", name)), home=home, **urls)  # type: ignore[arg-type]


def main() -> None:
    """Measure, and print."""
    asked = arguments(
        __doc__ or "",
        events=(100_000, "events appended, sealed and verified"),
        load=(1000, "appends a second that are offered"),
        seconds=(5, "seconds of that in each slice"),
        slices=(12, "slices with sealing, and as many without, in turn"),
    )
    wanted = {"append_p99_with_over_without": "≤ 1.2", "sealing_over_appending": "≥ 0.5", "verifying_over_reading": "≥ 0.5"}
    report = Report("evidence", wanted=wanted)
    with server() as own, tempfile.TemporaryDirectory() as home:
        with Ledger.open(settings=settings_of(own, "sealed_beside", Path(home))) as ledger:
            beside(ledger, report, asked.load, asked.seconds, asked.slices)
        with Ledger.open(settings=settings_of(own, "sealed_alone", Path(home))) as ledger:
            alone(ledger, report, asked.events)
            verifying(ledger, report, asked.rounds)
    report.print(as_json=asked.json)


if __name__ == "__main__":
    main()
