"""Batches that are on their way over one connection, more than one at a time.

A batch that is sent while another is on its way is stored just where that is. So order is kept, and what was decided on events
that are then refused is refused with them.
"""

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg

from runfold.store.appending.append_call import AppendCall, Conflicts, Placed, Sent
from runfold.store.appending.appends import Append, Ready, ready
from runfold.store.codec import Row

ON_THEIR_WAY = 2
"""The most batches that are sent and not answered: the server works on one while the other comes and goes."""


@dataclass(slots=True)
class OnItsWay:
    """A batch, and what of it was sent; nothing of it where it was broken off before."""

    batch: list[Append] = field(default_factory=list)
    ready: Ready | None = None


class Exchange:
    """Sends batches and takes their answers, in their order. One thread at a time."""

    def __init__(self, call: AppendCall, told: Callable[[Placed, Sequence[Row]], object]) -> None:
        """`told` is called with where a batch stands."""
        self.call = call
        self.sent: deque[OnItsWay] = deque()
        self.refused: Conflicts | psycopg.Error | None = None
        """What stands in the way of the first of what was sent. Then nothing of the rest is stored."""
        self.is_lost = False
        """Whether it is unknown what became of what was sent."""
        self.enough = 1
        """So many queued commands are worth a batch now: beside another, half of the callers that there seem to be."""
        self._told = told
        self._last: Sent | None = None
        self._sizes = (1, 1)

    def send(self, take: Callable[[list[Append]], None]) -> list[Append] | None:
        """Send what `take` puts into a batch; a batch of which nothing may be stored is given back. Raises psycopg.Error."""
        mine = OnItsWay()
        self.sent.append(mine)  # first: whatever happens, its commands are answered
        take(mine.batch)
        mine.ready = now = ready(mine.batch)
        if now is None:
            self.sent.pop()
            return mine.batch
        self._sizes = self._sizes[1], len(mine.batch)
        self._weigh()
        self._last = self.call.send(now.rows, now.watched, now.salts, self._last if len(self.sent) > 1 else None)
        return None

    def receive(self) -> list[Append] | None:
        """Return the first batch once it is stored; None where it was refused. Raises psycopg.Error where the answer is lost."""
        answer: Placed | Conflicts | psycopg.Error | None
        try:
            answer = self.call.receive(is_last=len(self.sent) == 1)
        except psycopg.Error as error:
            if self.call.is_broken:
                raise
            answer = error
        first = self.sent[0]
        if isinstance(answer, Placed) and first.ready is not None:
            first.ready.take(answer)
            self._told(answer, first.ready.rows)
            self.sent.popleft()
            self._weigh()
            return first.batch
        self.refused = answer if isinstance(answer, dict | psycopg.Error) else None
        self.is_lost = self.refused is None
        return None

    def _weigh(self) -> None:
        if not self.sent:
            self.enough = 1
        elif len(self.sent) < ON_THEIR_WAY:
            self.enough = max(sum(self._sizes) // 2, 1)
        else:
            self.enough = sys.maxsize

    def finish(self, settle: Callable[[list[Append]], None]) -> None:
        """Wait for the answers that are still to come."""
        try:
            while self.sent and not self.is_lost and self.refused is None:
                if batch := self.receive():
                    settle(batch)
            if self.refused is not None:
                for others in reversed(range(len(self.sent) - 1)):
                    with contextlib.suppress(psycopg.Error):
                        self.call.receive(is_last=others == 0)
        except Exception:
            self.is_lost = True  # what became of it is asked for, batch by batch; what was wrong shows again
