"""What an appender has done so far, counted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from runfold.errors import Conflict
from runfold.store.appending.appends import Append

MOST_EVENTS = 500
"""In a batch of more than one command."""
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, MOST_EVENTS, math.inf)
"""The most events in a batch. A single command may hold more."""


@dataclass
class Tally:
    """What an appender has done so far. Only whoever appends writes to it; others may read it at any time."""

    commands: int = 0
    """Commands that were stored."""
    events: int = 0
    conflicts: int = 0
    """Commands that hit a version conflict, or were already recorded."""
    failures: int = 0
    """Commands that failed in the database."""
    batches: dict[float, int] = field(default_factory=lambda: dict.fromkeys(BATCH_SIZES, 0))
    """How many transactions, by the smallest of `BATCH_SIZES` that their events fit in."""

    def count(self, batch: Sequence[Append]) -> None:
        """Count an answered batch."""
        stored = [len(append.rows) for append in batch if append.error is None]
        if len(stored) < len(batch):
            conflicts = sum(isinstance(append.error, Conflict) for append in batch)
            self.conflicts += conflicts
            self.failures += len(batch) - len(stored) - conflicts
        if stored:
            events = sum(stored)
            self.commands += len(stored)
            self.events += events
            self.batches[next(size for size in BATCH_SIZES if events <= size)] += 1
