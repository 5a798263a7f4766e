"""The process beside the server that folds the log into the read models, so that folding never slows an append.

It is `runfold work`. It ends when its standard input does, which the operating system sees to when the server is killed.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping

import structlog

from runfold.settings import Settings

FIRST_PAUSE, LONGEST_PAUSE, SETTLED_SECONDS = 0.25, 30.0, 60.0
"""Seconds until one that ended is started again, twice as many each time; and after how many it counts as running well."""
PATIENCE_SECONDS = 5.0
COMMAND = (sys.executable, "-P", "-m", "runfold.cli.main", "work", "--until-input-ends")
_log = structlog.get_logger("runfold.http")


class FoldingProcess:
    """Keeps one process folding, and starts it again when it dies."""

    def __init__(self, settings: Settings, projections: Iterable[str] = ()) -> None:
        """`projections` are all that it is to fold, by name or as module:Class; without any, all that are known."""
        self._command = [*COMMAND, *(word for name in projections for word in ("--projection", name))]
        self._environment = {**os.environ, **environment(settings)}
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="runfold-folding", daemon=True)

    def start(self) -> None:
        """Start it, without waiting for it."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let it end after what it is at."""
        self._stopping.set()
        with self._turn:
            if self._process is not None and self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()

    def stop(self) -> None:
        """End it. What it was at is not lost: a page is stored whole, or folded again."""
        self.ask_to_stop()
        if not self._thread.is_alive():
            return
        self._thread.join(PATIENCE_SECONDS)
        with self._turn:
            if self._process is not None:
                self._process.kill()
        self._thread.join()

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while (process := self._launch()) is not None:
            began = time.monotonic()
            code = process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > SETTLED_SECONDS:
                pause = FIRST_PAUSE
            _log.warning("folding ended, and is started again", exit_code=code, after_seconds=pause)
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _launch(self) -> "subprocess.Popen[bytes] | None":
        with self._turn:
            if self._stopping.is_set():
                return None
            # A session of its own: Ctrl-C in a terminal is for the server, which then lets this one end.
            self._process = subprocess.Popen(  # noqa: S603
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=self._environment, start_new_session=True
            )
            return self._process


def environment(settings: Settings) -> Mapping[str, str]:
    """Settings as the environment of a process that is to have the same: a command line could be read by anybody."""
    found = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is not None:
            found[f"RUNFOLD_{name.upper()}"] = str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)
    return found
