"""Numbers under names that several processes share, in a file that each of them has in its memory.

A name has a row of numbers; what the numbers are, whoever uses the table knows. The lock is one of the operating system's, which
ends with the process that holds it.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator

_NUMBER = 8
"""Bytes."""
_WAYS = 16
"""Among so many rows a name has its own: to find it takes the same time however many there are."""
TOTAL = 0
"""The row of what belongs to no name."""


def new_file(size: int) -> int:
    """Return the descriptor of a new file of zeros that has no name; processes that inherit it share it."""
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        return os.dup(file.fileno())


class SharedTable:
    """Rows of numbers, found by name. To be used by one thread of each process."""

    def __init__(self, file: int, *, start: int, sets: int, width: int) -> None:
        """Use a part of a file that begins at `start`: row `TOTAL`, and rows for names in so many `sets`."""
        self._file, self._sets, self._width = file, sets, width
        memory = memoryview(mmap.mmap(file, 0))[start : start + self.size(sets, width)]
        self._names, self._numbers = memory.cast("Q"), memory.cast("d")

    @staticmethod
    def size(sets: int, width: int) -> int:
        """Return how many bytes a table takes."""
        return (1 + sets * _WAYS) * (1 + width) * _NUMBER

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other processes from the file."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def row(self, name: str, is_free: Callable[[int], bool]) -> tuple[int, bool]:
        """Return the row of a name, and whether it is new; of rows that `is_free` lets go, one is taken for a new name.

        Where none is to be had, another name's is shared. Only under the lock.
        """
        digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_NUMBER).digest()) or 1
        first = 1 + digest % self._sets * _WAYS
        rows = range(first, first + _WAYS)
        for row in rows:
            if self._names[row * (1 + self._width)] == digest:
                return row, False
        for row in rows:
            if self._names[row * (1 + self._width)] == 0 or is_free(row):
                self._names[row * (1 + self._width)] = digest
                return row, True
        return first, False

    def __getitem__(self, place: tuple[int, int]) -> float:
        row, column = place
        return self._numbers[row * (1 + self._width) + 1 + column]

    def __setitem__(self, place: tuple[int, int], value: float) -> None:
        row, column = place
        self._numbers[row * (1 + self._width) + 1 + column] = value

    def sum(self, row: int) -> float:
        """Return the sum of a row."""
        first = row * (1 + self._width) + 1
        return sum(self._numbers[first : first + self._width])

    def clear(self, column: int) -> None:
        """Set a number to zero in all rows: the process that wrote it has ended."""
        with self.locked():
            for row in range(1 + self._sets * _WAYS):
                self[row, column] = 0.0
