"""A process that may open no more files, and so can start no other: as where too many run, or memory is short."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def no_room(pid: int = 0, spare: int = 0) -> Iterator[None]:
    """Let a process, this one if none is named, open no more files than `spare`."""
    taken = {int(file.name) for file in Path(f"/proc/{pid or 'self'}/fd").iterdir()}
    most = 3
    while most - sum(number < most for number in taken) < spare:
        most += 1
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
