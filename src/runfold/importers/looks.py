"""What earlier looks at files found, so that of many only those are read again that have changed since."""

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

T = TypeVar("T")

Stamp = tuple[int, int, int, int]
"""Size, inode, and when it was last written and last changed at all: a file that has the same four is taken to be the same."""


def stamp_of(about: os.stat_result) -> Stamp:
    """Return what tells whether a file is as it was, be it with the times of another or with other rights."""
    return about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns


class Looks:
    """Remembers of each file what was found in it, for as long as it stays as it is."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[Stamp, Any]] = {}

    def once(self, kind: str, path: str, stamp: Stamp, look: Callable[[], T]) -> T:
        """Return what was found when the file was as it is, or look now."""
        known = self._found.get((kind, path))
        if known is None or known[0] != stamp:
            known = self._found[kind, path] = (stamp, look())
        return cast("T", known[1])

    def keep(self, paths: Iterable[str]) -> None:
        """Forget all files but some."""
        left = set(paths)
        self._found = {(kind, path): found for (kind, path), found in self._found.items() if path in left}
