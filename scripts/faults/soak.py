"""J11: all kinds of faults mixed, for as long as one likes.

It goes in rounds on one ledger. What is done in a round follows from the seed and the round's number alone, and is written
down before it is done; a round can be done again by itself with `--seed S --round N`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from faults.followers import Service, compare_streams, start_clients
from faults.row import row
from faults.servers import OwnServer
from faults.stage import Stage
from faults.workers import Worker, read_models_are_the_fold, start_worker
from runfold import Ledger, Settings
from runfold.projections.registry import known

MINUTES, SHORT_MINUTES = 3.0, 0.1
WRITERS, READERS, WORKERS, STREAMS = 3, 2, 2, 4
MOST_MIB = 700
"""No process may ever hold more."""
GROWTH, GROWTH_MIB = 1.5, 80
"""How much more the processes of a kind may hold in the second half than in the first."""
ALL_COMPARED_EVERY = 10
"""Rounds: to fold the whole log for each read model takes longer the longer the log is."""


class Step(NamedTuple):
    """What is done, after how many seconds, and the chance in it."""

    pause: float
    kind: str
    dice: float


def plan(seed: str, number: int, short: bool = False) -> list[Step]:
    """What a round does: every kind of fault once, and as many again by chance, in any order."""
    rng = Random(f"{seed}:{number}")
    kinds = [*ACTS, *(() if short else rng.choices(list(ACTS), k=len(ACTS)))]
    rng.shuffle(kinds)
    return [Step(round(rng.uniform(0.2, 1.0 if short else 2.5), 2), kind, round(rng.random(), 3)) for kind in kinds]


@row("J11", "soak", short=False)
def soak(stage: Stage) -> None:
    """Clients, readers, streams over HTTP, workers, rebuilds and moments, and everything that may befall them, mixed: killed
    clients, backends, servers, workers; naps, cut sessions, held locks, jumping clocks. For --minutes. After each round
    everything promised is there, once, in order, and was given to every reader; at the end every read model is the fold."""
    stage.own  # noqa: B018  # skips where it may not kill
    stage.use(OwnServer.start())
    stage.own.configure(max_connections="200")
    soaking = Soak(stage)
    minutes = stage.minutes or (SHORT_MINUTES if stage.short else MINUTES)
    until, number = time.monotonic() + minutes * 60, stage.round
    while number == stage.round or time.monotonic() < until:
        soaking.do_round(number)
        if stage.figures.wrong or stage.figures.failures:
            stage.expect(False, f"it was round {number}; `--rows J11 --seed {stage.seed.partition(':')[0]} --round {number}`")
            break
        number += 1
    soaking.finish(number - stage.round)


class Soak:
    """What is at work over all rounds, and what was done to it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.service = Service(stage)
        self.workers: list[Worker] = []
        self.at_work: set[int] = set()
        """Process ids of workers that were seen among those at work: such a one outlives its server, another may end with it."""
        self.beside: list[subprocess.Popen[bytes]] = []
        self.done: Counter[str] = Counter()
        self.peaks: list[dict[str, int]] = []
        self.base = stage.tag
        self.log = Path(os.environ.get("RUNFOLD_SOAK_LOG", stage.folder.parent / f"{stage.tag}.log"))
        self.complaints = stage.entered((stage.folder / "beside.err").open("ab"))
        for _ in range(WORKERS):
            self.start_worker()

    def start_worker(self) -> None:
        """One more."""
        self.workers.append(start_worker(self.stage))

    def do_round(self, number: int) -> None:
        """Do all that is planned to all that works, and see what became of it."""
        stage = self.stage
        stage.next_act()
        stage.tag, stage.rng = f"{self.base}-{number}", Random(f"{stage.seed}:{number}:acts")
        self.peaks.append({})
        writers = stage.start_writers(WRITERS, pause=0.5)
        for _ in range(READERS):
            stage.start_reader()
        thread = f"/threads/thread_{stage.tag}_{writers[0].name}/events"
        clients = start_clients(
            stage, self.service.port, ("/events", "/events?types=message.*&types=run.created", thread), STREAMS
        )
        stage.server.wait_for_progress(stage.after, 60)
        for step in plan(stage.seed, number, stage.short):
            self.note({"round": number, **step._asdict(), "head": stage.server.head()})
            time.sleep(step.pause)
            ACTS[step.kind](self, step.dice)
            self.done[step.kind] += 1
            self.look_after()
        stage.crew.meanwhile = self.service.keep  # it may end by itself after the last fault, and the streams need it
        stage.crew.tell_to_stop()
        stage.finish(patience=180)
        stage.figures.measured["events streamed"] = stage.figures.measured.get("events streamed", 0) + compare_streams(
            stage, clients, writers[0].name
        )
        if not stage.short and number % ALL_COMPARED_EVERY == ALL_COMPARED_EVERY - 1:
            self.compare_all()
        self.note({"round": number, "acknowledged": stage.figures.acknowledged, "wrong": stage.figures.wrong})

    def note(self, said: dict[str, object]) -> None:
        """Write down what is about to be done: it is there when everything else is gone."""
        with self.log.open("a") as file:
            file.write(f"{json.dumps(said)}\n")

    def look_after(self) -> None:
        """Start again what ended, which a worker that was at work must not; and see how much memory all take."""
        self.service.keep()
        for worker in list(self.workers):
            if worker.poll() is not None:
                self.workers.remove(worker)
                self.stage.expect(worker.pid not in self.at_work, f"a worker ended by itself, with {worker.returncode}")
                self.start_worker()
        with self.stage.server.admin() as connection:
            self.at_work |= {int(str(pid)) for (pid,) in connection.execute("SELECT pid FROM runfold.workers")}
        peaks = self.peaks[-1]
        for kind, pids in self.pids().items():
            peaks[kind] = max([peaks.get(kind, 0), *map(_resident_mib, pids)])

    def pids(self) -> dict[str, list[int]]:
        """Who works, by kind."""
        crew = self.stage.crew
        return {
            "writer": [crew.pid(name) for name in crew.alive()],
            "reader": [crew.pid(name) for name in crew.alive(readers=True)],
            "worker": [worker.pid for worker in self.workers],
            "service": [self.service.pid],
        }

    def run_beside(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A command of ours in a process of its own; what an earlier one left is its own affair."""
        own = self.stage.own
        told = {
            "RUNFOLD_DATABASE_URL": own.url,
            "RUNFOLD_PROJECTOR_URL": own.embedded.url("runfold_projector"),
            "RUNFOLD_LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "runfold.cli.main", *arguments]
        process = subprocess.Popen(
            command, env={**os.environ, **told}, cwd=self.stage.folder, stdout=self.complaints, stderr=self.complaints
        )
        self.stage.cleanup(process.kill)
        self.beside.append(process)
        return process

    def compare_all(self) -> None:
        """Every read model against the fold of the whole log, once nothing is being rebuilt."""
        for process in self.beside:
            process.kill()
            process.wait()
        self.beside.clear()
        came_through = self.run_beside("rebuild", "--all").wait(1800) == 0
        self.stage.expect(came_through, f"the last rebuild did not come through: {self._last_said()}")
        read_models_are_the_fold(self.stage)

    def _last_said(self) -> str:
        return Path(self.complaints.name).read_text(errors="replace")[-800:]

    def finish(self, rounds: int) -> None:
        """At the end all read models are the fold, memory was bounded, and of the past nothing is left that nobody uses."""
        stage = self.stage
        self.compare_all()
        self._moments_go()
        code = self.run_beside("check").wait(1800)
        stage.expect(code == 0, f"`runfold check` ended with {code}: {self._last_said()}")
        half = max(1, len(self.peaks) // 2)
        for kind in ("writer", "reader", "worker", "service"):
            first, second = (max(peaks.get(kind, 0) for peaks in part) for part in (self.peaks[:half], self.peaks[-half:]))
            stage.expect(max(first, second) < MOST_MIB, f"a {kind} held {max(first, second)} MiB")
            stage.expect(second <= first * GROWTH + GROWTH_MIB, f"{kind}s grew from {first} to {second} MiB")
            stage.figures.measured[f"{kind} MiB"] = f"{first} → {second}"
        stage.figures.measured |= {"rounds": rounds, "faults": sum(self.done.values()), **self.done, "plan": str(self.log)}

    def _moments_go(self) -> None:
        own = self.stage.own
        settings = Settings.model_validate({"database_url": own.url, "projector_url": own.embedded.url("runfold_projector")})
        with Ledger.open(settings=settings) as ledger:
            for view in ledger.moments():
                ledger.drop_moment(view.id)
            ledger.moments_of(ledger.caller.tenant_id).sweep()
            self.stage.expect(not ledger.schemas(), f"schemas of the past are left: {[made.schema for made in ledger.schemas()]}")


def _resident_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return max((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), default=0) // 1024


# The faults


def _kill_writer(soaking: Soak, dice: float) -> None:
    if names := soaking.stage.crew.alive():
        soaking.stage.crew.kill_and_restart(names[int(dice * len(names))])


def _kill_reader(soaking: Soak, dice: float) -> None:
    if names := [name for name in soaking.stage.crew.alive(readers=True) if name.startswith("r")]:
        soaking.stage.crew.kill_and_restart(names[int(dice * len(names))])


def _kill_backend(soaking: Soak, dice: float) -> None:
    stage = soaking.stage
    if victims := sorted(stage.own.backends()):
        os.kill(victims[int(dice * len(victims))], signal.SIGKILL)
        time.sleep(0.1)
    stage.server.head()  # until it has recovered


def _kill_server(soaking: Soak, dice: float) -> None:
    soaking.stage.own.kill()
    time.sleep(dice)
    soaking.stage.own.embedded.ensure_running()
    soaking.stage.server.head()


def _kill_worker(soaking: Soak, dice: float) -> None:
    worker = soaking.workers.pop(int(dice * len(soaking.workers)))
    worker.kill()
    worker.wait()
    soaking.start_worker()


def _nap(soaking: Soak, dice: float) -> None:
    """A worker sleeps until others have taken over, and wakes with its old claims."""
    worker = soaking.workers[int(dice * len(soaking.workers))]
    worker.send_signal(signal.SIGSTOP)
    time.sleep(5.5)
    worker.send_signal(signal.SIGCONT)


def _cut_sessions(soaking: Soak, dice: float) -> None:
    which = ("query = 'LISTEN runfold'", "usename = 'runfold_projector'", "application_name = 'runfold'")[int(dice * 3)]
    with soaking.stage.server.admin() as connection:
        connection.execute(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {which}")


def _hold_lock(soaking: Soak, dice: float) -> None:
    """The head is locked by somebody who takes his time, for longer than appends wait at times."""
    with soaking.stage.server.admin() as connection, connection.transaction(force_rollback=True):
        connection.execute("UPDATE runfold.head SET position = position")
        time.sleep(dice * 7)


def _jump_clock(soaking: Soak, dice: float) -> None:
    """The last event was recorded in the future, which is how a clock that went back looks."""
    with soaking.stage.server.admin() as connection:
        connection.execute(
            "UPDATE runfold.head SET recorded_at = greatest(recorded_at, now()) + make_interval(mins => %s)", [int(dice * 60)]
        )


def _rebuild(soaking: Soak, dice: float) -> None:
    """A read model is folded anew; it is killed on its way, or goes on by itself."""
    names = sorted(known())
    process = soaking.run_beside("rebuild", names[int(dice * 1000) % len(names)])
    if dice < 0.6:
        time.sleep(0.5 + dice * 3)
        process.kill()
        process.wait()


def _end_service(soaking: Soak, dice: float) -> None:
    soaking.service.end(signal.SIGKILL if dice < 0.5 else signal.SIGTERM)


def _prepare_moment(soaking: Soak, dice: float) -> None:
    """The past is prepared; who does it is killed on the way, and a server carries on, or it goes on by itself."""
    process = soaking.run_beside("moments", "prepare", str(1 + int(dice * soaking.stage.server.head())), "--expires-in", "30s")
    if dice < 0.6:
        time.sleep(0.5 + dice * 3)
        process.kill()
        process.wait()


ACTS: dict[str, Callable[[Soak, float], None]] = {
    "writer killed": _kill_writer,
    "reader killed": _kill_reader,
    "backend killed": _kill_backend,
    "server killed": _kill_server,
    "worker killed": _kill_worker,
    "worker asleep": _nap,
    "sessions cut": _cut_sessions,
    "lock held": _hold_lock,
    "clock jumped": _jump_clock,
    "rebuild begun": _rebuild,
    "service ended": _end_service,
    "moment asked for": _prepare_moment,
}
"""Every kind of fault, by what is counted."""
