"""A process of ours that is kept running beside those that fold: started again when it ends, and ended with them."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from runfold.logs import logger
from runfold.projector.folding.pause import Pause


class Companion:
    """One such process. It ends when its standard input does, which the operating system sees to when this one is killed."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """`words` are those of a command of Runfold."""
        self._words, self._environment = words, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._pause, self._began = Pause(), 0.0

    def look_after(self) -> None:
        """Start it where it does not run, after a pause that grows while it ends soon."""
        if self._process is None:
            if self._pause.is_over:
                try:
                    self._launch()
                except OSError as error:  # the system has no room for a process now
                    logger().warning(
                        "a process cannot be started yet",
                        command=self._words[0],
                        error=str(error),
                        after_seconds=self._pause.begin(),
                    )
            return
        code = self._process.poll()
        if code is None:
            return
        self._pause.note_run(time.monotonic() - self._began)
        self.end()
        logger().warning(
            "a process ended, and is started again", command=self._words[0], exit_code=code, after_seconds=self._pause.begin()
        )

    def ask_to_end(self) -> None:
        """Let it end after what it is at."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def end(self, patience: float = 0.0) -> None:
        """End it, with force where it takes longer."""
        self.ask_to_end()
        if self._process is not None:
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _launch(self) -> None:
        self._began = time.monotonic()
        # A session of its own: Ctrl-C in a terminal is for who looks after it, which then lets this one end.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "runfold.cli.main", *self._words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=dict(self._environment),
            start_new_session=True,
        )
