"""A4, G4, H9, E2: workers that fold read models while they are killed, put to sleep, cut off, and given other clocks.

Whatever is done to them, every read model equals the fold of the log at the end, and its receipts say that each event was
applied once.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from psycopg.rows import dict_row

from faults.clocks import JUMPS
from faults.row import row
from faults.servers import OwnServer
from faults.stage import Stage
from runfold import Ledger, Recorded, Settings
from runfold.failpoint import POINTS
from runfold.projections.fold import fold_all
from runfold.projections.registry import known
from runfold.projector.checking.comparing import differences
from runfold.projector.checkpoints import QUERIES, digest_of, read_models
from runfold.store.reading.filter import Filter

Worker = subprocess.Popen[bytes]


def start_worker(stage: Stage, **more: str) -> Worker:
    """`runfold work` in a process of its own, which folds in it: so that it can be killed and put to sleep."""
    own = stage.own
    told = {
        "RUNFOLD_DATABASE_URL": own.url,
        "RUNFOLD_PROJECTOR_URL": own.embedded.url("runfold_projector"),
        "RUNFOLD_LOG_LEVEL": "error",
        **more,
    }
    command = [sys.executable, "-m", "runfold.cli.main", "work", "--in-process"]
    worker = subprocess.Popen(command, env={**os.environ, **told}, cwd=stage.folder, stderr=subprocess.DEVNULL)
    stage.cleanup(lambda: _end(worker))
    return worker


def _end(worker: Worker) -> None:
    if worker.poll() is None:
        worker.kill()
    worker.wait()


def finish(stage: Stage) -> None:
    """Let the writers end, fold the rest, and compare every read model with the fold of the log."""
    stage.finish()
    read_models_are_the_fold(stage)


def read_models_are_the_fold(stage: Stage) -> None:
    """Fold the rest, and compare every read model with the fold of the log, whose events need not be in memory for that."""
    own = stage.own
    settings = Settings.model_validate(
        {"database_url": own.url, "projector_url": own.embedded.url("runfold_projector"), "admin_url": own.admin_url}
    )
    with Ledger.open(settings=settings) as ledger, own.admin() as connection:
        head = ledger.fold()
        connection.row_factory = dict_row  # type: ignore[assignment]  # it was made for tuples
        for model in read_models(connection):
            if model.state != "live":
                continue  # kept for a rollback, or half made by a rebuild that broke off
            projection = known()[model.name]
            stage.expect(model.position == head, f"{model.name} is at {model.position}, not at {head}: {model.message}")
            events = Counted(ledger.recorder.reader.events(Filter(types=tuple(each.type for each in projection.events))))
            found = differences(connection, projection, model.generation, fold_all(projection, events))
            for number, difference in enumerate(found):
                if number < 3:
                    stage.figures.add("inverted", f"{model.name}: {difference}")
            named = {"name": model.name, "generation": model.generation}
            receipts = [tuple(found.values()) for found in connection.execute(QUERIES["receipts"], named)]  # type: ignore[attr-defined]  # as above
            if receipts != [(1, head, events.count, events.digest)]:
                stage.figures.add("doubled", f"{model.name} has the receipts {receipts}, and the log ends at {head}")
    stage.figures.measured |= {"read models": len(known()), "position": head}


class Counted:
    """Events as they come, and what a receipt of all of them says."""

    def __init__(self, events: Iterable[Recorded]) -> None:
        self._events = events
        self.count = self.digest = 0

    def __iter__(self) -> Iterator[Recorded]:
        for recorded in self._events:
            self.count += 1
            self.digest = (self.digest + digest_of([recorded])) % 2**64
            yield recorded


def _begin(stage: Stage) -> None:
    stage.own  # noqa: B018  # skips where it may not kill
    stage.use(OwnServer.start())
    stage.start_writers(2, modes=("single",), pause=0.02)


@row("A4", "workers killed at every point", share=0.03, short=True)
def workers_killed(stage: Stage) -> None:
    """A worker dies at each named point in turn, between any two statements of a page, while writers write. Its rows,
    checkpoint and receipt stand or fall together."""
    _begin(stage)
    kills = 0
    for round_number in range(1 if stage.short else 4):
        for point in POINTS:
            if point.startswith("generation"):
                continue  # reached by a new version only, or one with much to fold
            most = len(known()) if point == "claimed" else 30
            times = 1 if round_number == 0 else stage.rng.randint(2, most)
            worker = start_worker(stage, RUNFOLD_FAILPOINT=f"{point}:{times}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(120)
            stage.expect(worker.poll() == -signal.SIGKILL, f"the worker did not come to {point!r} {times} times")
            _end(worker)
            kills += 1
    while not stage.enough(1, 1):
        time.sleep(0.05)
    stage.figures.measured["kills"] = kills
    finish(stage)


@row("G4", "workers fight", share=0.03, short=True)
def workers_fight(stage: Stage) -> None:
    """Three workers share the read models; at random moments one is killed and another started, or one is put to sleep
    until the others have taken over and wakes with its old claim. Nothing is applied twice."""
    _begin(stage)
    workers = [start_worker(stage) for _ in range(3)]
    kills = naps = 0
    while not stage.enough(naps + kills, 3 if stage.short else 24):
        stage.pause(0.3, 1.5)
        index = stage.rng.randrange(3)
        if stage.rng.random() < 0.5:
            _end(workers[index])
            workers[index] = start_worker(stage)
            kills += 1
        else:
            workers[index].send_signal(signal.SIGSTOP)
            stage.pause(5.5, 7.0)
            workers[index].send_signal(signal.SIGCONT)
            naps += 1
    stage.figures.measured |= {"kills": kills, "naps": naps}
    finish(stage)


@row("H9", "workers cut off", share=0.03, short=True)
def workers_cut_off(stage: Stage) -> None:
    """The server ends the sessions that listen and those that write, in the middle of whatever they do. Workers go on by
    themselves, from their checkpoints."""
    _begin(stage)
    workers = [start_worker(stage) for _ in range(2)]
    cuts = 0
    while not stage.enough(cuts, 10 if stage.short else 60):
        stage.pause(0.05, 0.4)
        which = "query = 'LISTEN runfold'" if stage.rng.random() < 0.5 else "usename = 'runfold_projector'"
        with stage.server.admin() as connection:
            query = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {which}"
            found = connection.execute(query).fetchone()
        cuts += int(str(found[0])) if found else 0
    stage.expect(all(worker.poll() is None for worker in workers), "a worker ended by itself")
    stage.figures.measured["sessions ended"] = cuts
    finish(stage)


@row("E2", "workers under other clocks", share=0.02)
def workers_under_other_clocks(stage: Stage) -> None:
    """Two workers whose clocks are an hour and years apart, and jump, fold the same log: no clock decides who folds, and
    none comes into a row."""
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    _begin(stage)
    clocks = [stage.folder / f"clock-{number}" for number in range(2)]
    for clock in clocks:
        clock.write_text("+0")
    told = [
        {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        if library
        else {"TZ": zone}
        for clock, zone in zip(clocks, ("Pacific/Kiritimati", "Pacific/Niue"), strict=True)
    ]
    workers = [start_worker(stage, **environment) for environment in told]
    jumps = 0
    while not stage.enough(jumps, 12):
        stage.pause(0.2, 0.8)
        stage.rng.choice(clocks).write_text(f"{stage.rng.choice(JUMPS).total_seconds():+.0f}")
        jumps += 1
    stage.expect(all(worker.poll() is None for worker in workers), "a worker ended by itself")
    stage.figures.measured |= {"jumps": jumps if library else 0, "by": "faketime" if library else "other time zones alone"}
    finish(stage)
