"""A reactor that follows the log: each event after its checkpoint is given to it, in order, at least once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from runfold.delivery.reactor import HOLD_SECONDS, Claim, Reacted
from runfold.domain.recorded import Recorded
from runfold.store.epochs import lineage_of
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Head, Reader

Take = Callable[[Sequence[Recorded]], Mapping[str, int]]
"""Takes events in and returns how often it did what. What it raises leaves the checkpoint where it was."""


class FeedReactor:
    """Gives events to `take`, and then moves its checkpoint on: what was taken in before a crash comes again.

    In a ledger that was restored it goes on where its history and the present one part.
    """

    hold_seconds = HOLD_SECONDS

    def __init__(
        self,
        name: str,
        reader: Reader,
        take: Take,
        *,
        wanted: Filter | None = None,
        begins: Literal["now", "beginning"] = "now",
        page: int = 500,
        pause: float = 0.25,
    ) -> None:
        self.name, self.pause = name, pause
        self._reader, self._take, self._wanted = reader.tolerant(), take, wanted
        self._begins, self._page = begins, page

    def react(self, claim: Claim) -> Reacted:
        """Take one page in."""
        head = self._reader.head()
        after = self._after(claim, head)
        stretch = self._reader.stretch(self._wanted, after=after, up_to=head.position, limit=self._page)
        done = self._take(stretch.events) if stretch.events else {}
        return Reacted(done, stretch.position, head.epoch, has_more=stretch.position < head.position)

    def _after(self, claim: Claim, head: Head) -> int:
        if claim.position is None or claim.epoch is None:
            return head.position if self._begins == "now" else 0
        if claim.epoch == head.epoch:
            return min(claim.position, head.position)
        shared = lineage_of(self._reader, head).shared(claim.epoch)
        return head.position if shared is None else min(claim.position, shared, head.position)
