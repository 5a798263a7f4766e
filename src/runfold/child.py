"""A module of Runfold in a process of its own, and how many of those are of use."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


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
