"""Looks after the processes that fold: starts one again that dies, and ends one whose fold does not return.

A projection that held up others gets a process of its own, so that they go on. Its read model is in the same trouble as one
whose fold raises: it is tried again a few times, and then it has stopped.
"""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import psycopg

from runfold.errors import LedgerError, PoisonEvent
from runfold.logs import logger
from runfold.projector import checkpoints
from runfold.projector.connection import connect
from runfold.projector.folding.companion import Companion
from runfold.projector.folding.marks import DUMP_SIGNAL, Mark, MarkReader
from runfold.projector.folding.pause import Pause
from runfold.projector.folding.shard import PAUSES
from runfold.store.datastore import Connection, Datastore

PATIENCE_SECONDS = 5.0
"""How long a process may take to end when it is told to."""
LOOK_SECONDS = 0.1
TRACE_SECONDS = 1.0
_FRAME = re.compile(r'  File "(.+)", line (\d+) in (.+)')
_OURS = ("/runfold/projections/fold.py", "/runfold/projector/checking/purity.py", "/runfold/projector/folding/marks.py")
Trouble = Literal["retrying", "stopped"]


class FoldingProcess:
    """A process that folds some projections, and where it is."""

    def __init__(self, command: Sequence[str], names: Iterable[str], environment: Mapping[str, str], pause: float = 0.0) -> None:
        self.names = tuple(sorted(names))
        self.pause = Pause(pause)
        self.last: Mark | None = None
        """Where the one before it was when it died."""
        self.seen: tuple[Mark, float] | None = None
        self.began = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.marks: MarkReader | None = None
        self._command, self._environment = command, environment

    def launch(self) -> None:
        """Start it. Raises OSError where the system has no room for a process now."""
        self.marks = self.marks or MarkReader(self.names)
        self.began, self.seen = time.monotonic(), None
        # A session of its own: Ctrl-C in a terminal is for who looks after it, which then lets this one end.
        self.process = subprocess.Popen(  # noqa: S603
            [*self._command, "--watched", str(self.marks.descriptor)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,
            pass_fds=[self.marks.descriptor],
        )

    def stands_still_for(self, mark: Mark) -> float:
        """Return for how many seconds it has been at the same mark."""
        now = time.monotonic()
        if self.seen is None or self.seen[0] != mark:
            self.seen = mark, now
        return now - self.seen[1]

    def trace(self) -> str:
        """Return where its threads are."""
        if self.process is None or self.marks is None:
            return ""
        self.process.send_signal(DUMP_SIGNAL)
        end = time.monotonic() + TRACE_SECONDS
        while not (found := self.marks.trace()) and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        return found

    def ask_to_end(self) -> None:
        """Let it end after the page that it is at."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def end(self, patience: float = 0.0) -> None:
        """End it, with force where it takes longer. What it was at is not lost: a page is stored whole, or folded again."""
        self.ask_to_end()
        if self.process is not None:
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.marks is not None:
            self.marks.close()
        self.process = self.marks = None


class Supervisor:
    """Keeps all of some projections folded, in as few processes as that takes."""

    def __init__(
        self,
        datastore: Callable[[], Datastore],
        projections: Mapping[str, str],
        environment: Mapping[str, str],
        fold_seconds: float,
        *,
        apart: Iterable[str] = (),
        once: bool = False,
        gives_up: bool = False,
        options: Sequence[str] = (),
        beside: Sequence[Sequence[str]] = (),
    ) -> None:
        """`projections` are those to fold, and how a command names each; some are folded `apart` from the others.

        With `once` the processes end when all is folded. With `gives_up` one that ends with an error of its own, such as
        that it may not fold, is not started again: `run` raises ChildFailed. `options` are words that each command gets;
        `beside` are the words of other commands of Runfold to keep running.
        """
        self._datastore, self._said = datastore, projections
        paths = os.pathsep.join(entry for entry in sys.path if entry)
        self._environment = {**os.environ, "PYTHONPATH": paths, **environment}
        self._fold_seconds, self._once, self._gives_up = fold_seconds, once, gives_up or once
        self._options = options
        self._stopping = threading.Event()
        groups = projections.keys() - set(apart), projections.keys() & set(apart)
        self._processes = [self._of(names) for names in groups if names]
        self._companions = [Companion(words, self._environment) for words in beside]

    def run(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Look after them until `stop`, or until all is folded where that was asked for. Raises ChildFailed."""
        try:
            while self._processes and not self._stopping.is_set():
                for each in list(self._processes):
                    self._look_after(each)
                for companion in self._companions:
                    companion.look_after()
                if progress is not None:
                    found = [each.marks.progress() for each in self._processes if each.marks is not None]
                    progress(sum(done for done, _ in found), sum(total for _, total in found))
                self._stopping.wait(min(LOOK_SECONDS, self._fold_seconds / 4))
        finally:
            self._end_all()

    def stop(self) -> None:
        """Let `run` end: within seconds, whatever a fold does."""
        self._stopping.set()

    def _of(self, names: Iterable[str], pause: float = 0.0) -> FoldingProcess:
        own = sorted(names)
        command = [sys.executable, "-P", "-m", "runfold.cli.main", "work", "--once" if self._once else "--until-input-ends"]
        command += [word for name in own for word in ("--projection", self._said[name])]
        return FoldingProcess([*command, *self._options], own, self._environment, pause)

    def _look_after(self, each: FoldingProcess) -> None:
        if each.process is None or each.marks is None:
            if each.pause.is_over:
                self._launch(each)
            return
        code = each.process.poll()
        mark = each.marks.read()
        if code is not None:
            self._has_ended(each, code, mark)
        elif mark.projection is not None and each.stands_still_for(mark) > self._fold_seconds:
            where = place_of(each.trace())
            seconds = f"{self._fold_seconds:g} s"
            logger().error("a fold does not return", read_model=mark.projection, position=mark.position, at=where, after=seconds)
            self._is_at_fault(each, mark, f"it did not return within {seconds}{f' (at {where})' if where else ''}")

    def _launch(self, each: FoldingProcess) -> None:
        try:
            each.launch()
        except OSError as error:
            if self._once:
                raise
            logger().warning("folding cannot be started yet", error=str(error), after_seconds=each.pause.begin())

    def _has_ended(self, each: FoldingProcess, code: int, mark: Mark) -> None:
        if self._once and code == 0:
            each.end()
            self._processes.remove(each)
            return
        at = mark._replace(changes=0)
        if mark.projection is not None and each.last == at:  # once may be anybody's doing, as where memory runs out
            self._is_at_fault(each, mark, f"the process ended twice while it was folded (exit code {code})")
            return
        each.last = at if mark.projection is not None else None
        each.pause.note_run(time.monotonic() - each.began)
        each.end()
        if self._gives_up and code > 0 and mark.projection is None:
            raise ChildFailed(code)
        logger().warning("folding ended, and is started again", exit_code=code, after_seconds=each.pause.begin())

    def _is_at_fault(self, each: FoldingProcess, mark: Mark, reason: str) -> None:
        """End a process that a projection holds up; from now on that one has its own."""
        name, pid = str(mark.projection), each.process.pid if each.process else 0
        each.end()
        attempts = self._note(name, mark, reason, pid)
        self._processes.remove(each)
        self._processes += [self._of(names) for names in [set(each.names) - {name}] if names]
        self._processes.append(self._of([name], PAUSES[min(attempts, len(PAUSES)) - 1]))

    def _note(self, name: str, mark: Mark, reason: str, pid: int) -> int:
        """Say what is wrong with a read model, unless another has it by now; return how often it was tried."""
        try:
            with contextlib.closing(connect(self._datastore())) as connection:
                for model in checkpoints.read_models(connection):
                    if (model.name, model.generation) == (name, mark.generation) and _is_of(model.worker, pid):
                        attempts = (model.attempts or 0) + 1
                        error = PoisonEvent(name, mark.position, _type_at(connection, mark.position), reason)
                        state: Trouble = "retrying" if attempts <= len(PAUSES) else "stopped"
                        checkpoints.note_trouble(connection, model, error, state, attempts)
                        checkpoints.remove_worker(connection, str(model.worker))
                        logger().log(40 if state == "stopped" else 30, state, read_model=name, error=str(error), attempt=attempts)
                        return attempts
        except (psycopg.Error, LedgerError) as error:
            logger().warning("the database does not answer", error=" ".join(str(error).split()))
        return 1

    def _end_all(self) -> None:
        everybody: list[Companion | FoldingProcess] = [*self._companions, *self._processes]
        for each in everybody:
            each.ask_to_end()
        end = time.monotonic() + PATIENCE_SECONDS
        for each in everybody:
            each.end(max(0.0, end - time.monotonic()))


class ChildFailed(Exception):
    """A process ended with an error of its own, which it printed."""

    def __init__(self, code: int) -> None:
        super().__init__(f"folding ended with exit code {code}")
        self.code = code


def place_of(trace: str) -> str:
    """Return the line of a projection's module that a fold is at, from a trace of all threads."""
    for thread in trace.split("\n\n"):
        frames = [found.groups() for line in thread.splitlines() if (found := _FRAME.match(line))]
        files = [file for file, _, _ in frames]
        ours = next((index for index, file in enumerate(files) if file.endswith(_OURS)), 0)
        if ours:  # what comes before is the projection, and what it has called
            file, line, function = frames[files.index(files[ours - 1])]
            return f"{Path(file).name}:{line} in {function}"
    return ""


def _is_of(worker: str | None, pid: int) -> bool:
    """Return whether a worker is a process of this machine."""
    return worker is not None and worker.split(":")[-2:-1] == [str(pid)]


def _type_at(connection: Connection, position: int) -> str:
    row = connection.execute("SELECT topic FROM runfold.log WHERE notification_id = %s", [position]).fetchone()
    return str(row["topic"]) if row else "event"
