"""Projections whose folds take long, never return, or take their process along."""

import ctypes
import signal
import time
from collections.abc import Iterable

from runfold.domain.message import MessageAdded
from runfold.domain.recorded import Recorded
from runfold.projections.projection import Key, Projection, Row


class SeenRow(Row):
    """A run, and how many messages it has."""

    run_id: str
    """The run."""
    seen: int = 0
    """How many messages."""


class _Seen(Projection[SeenRow]):
    """One row per run."""

    row, key, events = SeenRow, ("run_id",), (MessageAdded,)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        return ((recorded.stream,),)

    def evolve(self, row: SeenRow, recorded: Recorded) -> SeenRow:
        self.dwell()
        return row.but(seen=row.seen + 1)

    def dwell(self) -> None:
        """Take its time."""


class Slow(_Seen):
    """It takes a moment over each event."""

    name = "slow"

    def dwell(self) -> None:
        time.sleep(0.02)


class Endless(_Seen):
    """It never returns, and others may run meanwhile."""

    name = "endless"

    def dwell(self) -> None:
        while True:
            time.sleep(1)


class Locked(_Seen):
    """It never returns, and keeps Python's lock, as a regular expression may that tries all there is."""

    name = "locked"

    def dwell(self) -> None:
        while True:
            ctypes.PyDLL(None).sleep(1000)


class Crashing(_Seen):
    """It takes its process along."""

    name = "crashing"

    def dwell(self) -> None:
        signal.raise_signal(signal.SIGKILL)
