"""Where there is no room: for more open files, and so for another process; or for a byte on the disk."""

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


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let this process write nothing into files."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
