"""Starts the processes under test, kills them, starts them again, and sees them through to the end."""

import contextlib
import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from faults.clients import Work
from faults.feeds import Following, positions

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["faults.clients", "faults.crew", "faults.feeds", "faults.subscribers"])

Body = Callable[..., None]


def _begin(body: Body, work: Work, *more: Any) -> None:
    """An interrupt is for the runner: it ends everybody in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    body(work, *more)


def barrier(parties: int) -> Barrier:
    """A place where processes wait for each other."""
    return _FORKS.Barrier(parties)


class Crew:
    """The processes of one row."""

    def __init__(self) -> None:
        self._bodies: dict[str, tuple[Body, Work, tuple[Any, ...]]] = {}
        self._running: dict[str, BaseProcess] = {}
        self.kills = 0
        self.crashed: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """Called again and again while the crew is waited for: what its processes need is kept going there."""

    def start(self, body: Body, work: Work, *more: Any) -> None:
        """Start a process. `body` is a function of a module."""
        self._bodies[work.name] = (body, work, more)
        self._launch(work.name)

    def _launch(self, name: str) -> None:
        body, work, more = self._bodies[name]
        process = _FORKS.Process(target=_begin, args=(body, work, *more), name=f"faults-{name}", daemon=True)
        process.start()
        self._running[name] = process

    def watch(self, works: list[Work]) -> None:
        """Count in the journals of writers that somebody else starts."""
        for work in works:
            self._bodies[work.name] = (_elsewhere, work, ())

    def works(self) -> list[Work]:
        """All tasks."""
        return [work for _, work, _ in self._bodies.values()]

    def pid(self, name: str) -> int:
        """The process id of one that runs."""
        found = self._running[name].pid
        assert found is not None, "it was started"
        return found

    def alive(self, *, readers: bool = False) -> list[str]:
        """Who is at work: writers, or readers."""
        return [
            name for name, process in self._running.items() if process.is_alive() and self._bodies[name][1].until_goal == readers
        ]

    def kill_and_restart(self, name: str, pause: float = 0.0) -> None:
        """SIGKILL one, and start it again with the same task."""
        process = self._running[name]
        process.kill()
        process.join()
        if process.exitcode == -9:
            self.kills += 1
            time.sleep(pause)
            self._launch(name)

    def wait_for_writers(self, patience: float) -> bool:
        """Wait until all writers have ended. False when some have not after `patience` seconds: they are told to stop."""
        until = time.monotonic() + patience
        while self.alive() and time.monotonic() < until:
            self.meanwhile()
            time.sleep(0.02)
        late = self.alive()
        if late:
            self.tell_to_stop()
            until = time.monotonic() + 20
            while self.alive() and time.monotonic() < until:
                time.sleep(0.02)
        self._collect()
        return not late

    def tell_to_stop(self) -> None:
        """Let writers end after what they are at."""
        for folder in {work.folder for work in self.works()}:
            (Path(folder) / "stop").touch()

    def wait_for_readers(self, goal: int, patience: float) -> bool:
        """Wait until every reader was given everything up to a position. False when some were not in time."""
        for folder in {work.folder for work in self.works()}:
            fresh = Path(folder) / "goal.new"
            fresh.write_text(str(goal))
            fresh.replace(Path(folder) / "goal")
        until = time.monotonic() + patience
        while self.alive(readers=True) and time.monotonic() < until:
            self.meanwhile()
            time.sleep(0.02)
        return not self.alive(readers=True)

    def end(self) -> None:
        """Kill whoever is left."""
        for process in self._running.values():
            if process.is_alive():
                process.kill()
            process.join()
        self._collect()

    def _collect(self) -> None:
        for name, process in list(self._running.items()):
            if process.exitcode not in {None, 0, -9}:
                self.crashed.append(f"{name} ended with exit code {process.exitcode}")
                del self._running[name]

    def delivered(self) -> list[list[int]]:
        """What each reader was given."""
        return [positions(work.delivered) for work in self.works() if isinstance(work, Following)]

    def errors(self) -> list[tuple[str, str]]:
        """The errors that clients saw: kind and text."""
        found: list[tuple[str, str]] = []
        for work in self.works():
            with contextlib.suppress(FileNotFoundError):
                lines = [line.partition(" ") for line in work.errors.read_text().splitlines()]
                found += [(kind, text) for kind, _, text in lines]
        return found


def _elsewhere(work: Work) -> None:
    raise AssertionError(f"{work.name} is started by somebody else")


def times(work: Work) -> list[tuple[float, float, str, int]]:
    """When each block of a writer began, its seconds, its mode and its number of commands."""
    if not work.latencies.exists():
        return []
    lines = [line.split() for line in work.latencies.read_text().splitlines()]
    return [(float(began), float(seconds), mode, int(many)) for began, seconds, mode, many in lines]


def percentile(values: list[float], part: float) -> float:
    """The value below which that part of them lies; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def plain_command(work: Work) -> list[str]:
    """The command line of a writer in a process that is no fork of ours."""
    folder = str(Path(__file__).parents[1])
    code = (
        f"import sys, json; sys.path.insert(0, {folder!r}); from faults.clients import Work, main; "
        "told = json.loads(sys.argv[1]); told['modes'] = tuple(told['modes']); main(Work(**told))"
    )
    return [sys.executable, "-c", code, json.dumps(work.__dict__)]
