"""The command as a person at a terminal gives it."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import NamedTuple


class OnTerminal(NamedTuple):
    """How a call ended, what was seen on the terminal, and what went to standard output where that led elsewhere."""

    code: int
    seen: str
    out: str


def on_a_terminal(
    arguments: list[str], question: str, typed: bytes | signal.Signals = b"", *, stdin: int | None = None, is_piped: bool = False
) -> OnTerminal:
    """Call a command, and type something, or send a signal, once it asks a question.

    `stdin` stands for the terminal's input; with `is_piped` standard output does not lead to the terminal. A signal is sent
    again where nothing comes of it: Python sees none that comes just before it begins to wait for what is typed.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runfold.cli.main", *arguments],
        stdin=theirs if stdin is None else stdin,
        stdout=subprocess.PIPE if is_piped else theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen, is_due = b"", bool(typed)
    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at:
        if is_due and question.encode() in seen:
            process.send_signal(typed) if isinstance(typed, signal.Signals) else os.write(ours, typed)
            is_due = False
        if not select.select([ours], [], [], 1)[0]:
            is_due = is_due or isinstance(typed, signal.Signals)
            continue
        try:
            new = os.read(ours, 4096)
        except OSError:  # it has ended
            break
        if not new:
            break
        seen += new
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    return OnTerminal(process.returncode, seen.decode(), (out or b"").decode())
