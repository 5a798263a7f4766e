"""Standard input, output and error as shells, cron and full disks give them to a program. Needs Python alone."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143
"""Exit codes, as shells report SIGINT, SIGPIPE and SIGTERM."""


class OutputRefused(OSError):
    """Standard output did not take what was written."""


class _Output(io.FileIO):
    def write(self, data: Any, /) -> int:
        """Write, and tell a refusal from that of any other file."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputRefused(error.errno, error.strerror) from error


def prepare() -> None:
    """Make a program's streams ready, before it opens anything.

    One that whoever started the program closed leads nowhere: its number is not given to a file or a connection. What a
    terminal has no letter for is written as an escape.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  open as long as the program
    sys.stdout = _stream(1, sys.stdout)
    sys.stderr = _stream(2, sys.stderr)


def discard(stream: TextIO) -> None:
    """Send what is still buffered nowhere, so that the interpreter's exit does not fail of it again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextlib.contextmanager
def complaining() -> Iterator[None]:
    """Write to standard error; where that takes nothing, only the exit code tells."""
    try:
        yield
        sys.stderr.flush()
    except (OutputRefused, BrokenPipeError):
        discard(sys.stderr)


def _stream(number: int, given: TextIO | None) -> io.TextIOWrapper:
    is_terminal = os.isatty(number)
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(number, "w", closefd=False)),
        encoding=getattr(given, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=is_terminal or number == 2,
    )
