"""Limits that hold for several server processes together: bytes of bodies, and how often a key may ask."""

from runfold.access.bucket import Bucket, Takes
from runfold.access.limits import Tally
from runfold.access.shared_memory import TOTAL, SharedTable, new_file

_OWNERS, _KEYS = 64, 1024
"""Sets of rows."""
_LEFT, _AT = 0, 1


class SharedLimits:
    """What the processes of one server have taken, all together."""

    def __init__(self, file: int, number: int, processes: int) -> None:
        """Take part as process `number`, from 0, of so many."""
        self._bytes = SharedTable(file, start=0, sets=_OWNERS, width=processes)
        self._asked = SharedTable(file, start=SharedTable.size(_OWNERS, processes), sets=_KEYS, width=2)
        self._number = number

    @staticmethod
    def new(processes: int) -> int:
        """Return the file of a new server."""
        return new_file(SharedTable.size(_OWNERS, processes) + SharedTable.size(_KEYS, 2))

    def forget(self, number: int) -> None:
        """Give back what a process held that has ended."""
        self._bytes.clear(number)

    def tally(self) -> Tally:
        """Return the count of bytes that are held."""
        return SharedTally(self._bytes, self._number)

    def bucket(self, name: str, a_second: float, _now: float) -> Takes:
        """Return how often the key of some name may still ask."""
        return SharedBucket(self._asked, name, a_second)


class SharedTally:
    """What all processes hold together, and what each owner does."""

    def __init__(self, table: SharedTable, number: int) -> None:
        self._table, self._number = table, number
        self._rows: dict[str, tuple[int, int]] = {}
        """Where an owner's number stands that holds something here, and how much that is."""

    @property
    def total(self) -> int:
        """Return what all hold."""
        return int(self._table.sum(TOTAL))

    def take(self, owner: str, size: int, most: int, most_of_one: int) -> bool:
        """Return whether there is room for so much more; then it is taken."""
        with self._table.locked():
            row, held = self._rows.get(owner) or (self._table.row(owner, lambda row: self._table.sum(row) == 0)[0], 0)
            if self._table.sum(TOTAL) + size > most or self._table.sum(row) + size > most_of_one:
                return False
            self._add(row, size)
        self._rows[owner] = row, held + size
        return True

    def give_back(self, owner: str, size: int) -> None:
        """Let others have it."""
        row, held = self._rows[owner]
        with self._table.locked():
            self._add(row, -size)
        if held == size:
            del self._rows[owner]
        else:
            self._rows[owner] = row, held - size

    def _add(self, row: int, size: int) -> None:
        for each in (TOTAL, row):
            self._table[each, self._number] += size


class SharedBucket:
    """A bucket that all processes take from."""

    def __init__(self, table: SharedTable, name: str, a_second: float) -> None:
        self._table, self._name, self._a_second = table, name, a_second

    def take(self, now: float) -> float:
        """Let one request through, which is 0; else the seconds until there is room for it."""
        table = self._table
        with table.locked():
            row, is_new = table.row(self._name, lambda row: self._of(row, now).is_full(now))
            bucket = Bucket(self._a_second, now) if is_new else self._of(row, now)
            seconds = bucket.take(now)
            table[row, _LEFT], table[row, _AT] = bucket.left, bucket.at
        return seconds

    def _of(self, row: int, now: float) -> Bucket:
        bucket = Bucket(self._a_second, now)
        bucket.left, bucket.at = self._table[row, _LEFT], self._table[row, _AT]
        return bucket
