"""A module of Runfold in a process of its own, and how many of those are of use."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NICE = 10
"""How far who gives way goes: about a tenth of what others get where processors are short, which is never nothing."""


def run_module(module: str, environment: Mapping[str, str] = os.environ, **more: Any) -> "subprocess.Popen[str]":
    """Start a module that can be written to. `more` is what `Popen` takes.

    It finds the modules that are found here, and runs nothing that lies in the working folder.
    """
    command = [sys.executable, "-P", "-m", module]
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    found: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603  a module of ours
        command, stdin=subprocess.PIPE, text=True, encoding="utf-8", env={**environment, "PYTHONPATH": paths}, **more
    )
    return found


def usable_processors() -> int:
    """Return how many processors this process may use; where the system does not tell, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def give_way() -> None:
    """Let every other process go first from now on, as far as the system has ways to do that and lets us.

    Where Linux shares the processors out by session, what a process of a session says counts in that session alone; so one with
    a session of its own says it of that, too.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICE)
    with contextlib.suppress(OSError, AttributeError):
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(NICE), "ascii")
