"""A scale of times on which long stretches in which nothing begins or ends are folded to a narrow, marked width."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

MOST_FOLDS = 8
FOLD_WIDTH = 4.0
"""How much of the whole width a fold takes, in percent."""
_LONG = 0.3
"""A stretch that takes more than this part of all the time shown is folded …"""
_LEAST = timedelta(seconds=30)
"""… if it is longer than this, and not all that there is."""


class Fold(NamedTuple):
    """A stretch that is folded: where it stands, and how long it is."""

    at: float
    width: float
    lasted: timedelta


class Tick(NamedTuple):
    """A time that is written at the axis."""

    at: float
    time: datetime


class Scale:
    """Places times between 0 and 100, in percent of the width."""

    def __init__(self, moments: Iterable[datetime]) -> None:
        """`moments` are the times at which something begins or ends; there must be one at least."""
        self._times = sorted(set(moments))
        gaps = [after - before for before, after in zip(self._times, self._times[1:], strict=False)]
        folded = _folded(gaps)
        shown = sum((gap for index, gap in enumerate(gaps) if index not in folded), timedelta())
        room = 100 - FOLD_WIDTH * len(folded)
        self._places = [0.0]
        for index, gap in enumerate(gaps):
            width = FOLD_WIDTH if index in folded else room * (gap / shown) if shown else 0.0
            self._places.append(self._places[-1] + width)
        self.folds = [Fold(self._places[index], FOLD_WIDTH, gaps[index]) for index in sorted(folded)]

    def place(self, time: datetime) -> float:
        """Return where a time stands; one before the first or after the last stands there."""
        index = bisect_right(self._times, time) - 1
        if index < 0:
            return 0.0
        if index >= len(self._times) - 1:
            return self._places[-1]
        first, second = self._times[index], self._times[index + 1]
        part = (time - first) / (second - first)
        return self._places[index] + part * (self._places[index + 1] - self._places[index])

    def ticks(self) -> list[Tick]:
        """Return the times that are written: the first, the last, and what comes after each fold, where there is room."""
        wanted = [(0.0, self._times[0])]
        after = [(fold.at + fold.width, self._times[self._places.index(fold.at) + 1]) for fold in self.folds]
        last = (self._places[-1], self._times[-1])
        for at, time in after:
            if at - wanted[-1][0] >= _ROOM and last[0] - at >= _ROOM:
                wanted.append((at, time))
        if last[0] - wanted[-1][0] >= _ROOM:
            wanted.append(last)
        return [Tick(at, time) for at, time in wanted]


_ROOM = 12.0
"""How far apart times are written, in percent."""


def _folded(gaps: list[timedelta]) -> set[int]:
    """Return which gaps are folded: the longest, as long as one takes most of what is left."""
    rest, found = sum(gaps, timedelta()), set[int]()
    for index in sorted(range(len(gaps)), key=lambda index: gaps[index], reverse=True)[:MOST_FOLDS]:
        gap = gaps[index]
        if gap <= _LEAST or gap < rest * _LONG or gap == rest:
            break
        found.add(index)
        rest -= gap
    return found
