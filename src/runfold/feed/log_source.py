"""The log of a database as a source of the feed: from the past in pages, then from what the process keeps of the newest events.

Positions are dense and become visible in order, so reading on from the last one misses nothing.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from uuid import UUID

from runfold.domain.recorded import Recorded
from runfold.errors import LedgerUnavailable
from runfold.feed.asked import Asked
from runfold.feed.following import CaughtUp, Complete, Failed, FindEnd, Following, Retries, Span, Wait
from runfold.feed.looked import Looked
from runfold.feed.run_watch import ENDINGS, RunWatch
from runfold.feed.tail import Tail
from runfold.feed.wanted import Wanted
from runfold.store import epochs
from runfold.store.cursor import Cursor, name_of
from runfold.store.reading.reader import Reader
from runfold.uncollected import seldom_collected

PAGE = 500
LOOK_AGAIN_SECONDS = 1.0
PATIENCE_SECONDS = 300.0


class LogSource:
    """Reads the log. While the database is away it waits and tries again, for `patience` seconds."""

    def __init__(
        self,
        reader: Reader,
        tail: Tail,
        asked: Asked,
        find: Callable[[], Wanted],
        *,
        follow: bool = True,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`find` says what is wanted, where the ledger has what is asked for.

        Raises LedgerError, except where the database is away for now: then it is asked again when somebody looks.
        """
        self._reader, self._tail, self._find, self._follow = reader.tolerant(), tail, find, follow
        self._stopped = threading.Event()
        self._wanted: Wanted | None = None
        self._run: RunWatch | None = None
        self.begun = asked.after if isinstance(asked.after, Cursor) else Cursor(0)
        retries = Retries(lambda _: LOOK_AGAIN_SECONDS, patience if follow else 0.0)
        self._state: Following[UUID | None] = Following(self.begun.position, None, retries)
        with contextlib.nullcontext() if self.begun is not asked.after else contextlib.suppress(LedgerUnavailable):
            self._begin()

    def look(self) -> Looked:
        """Do what comes next. Raises LedgerError where it cannot go on."""
        events: list[Recorded] = []
        match self._state.step(now := time.monotonic()):
            case Complete():
                return Looked(self._place(), is_over=True)
            case CaughtUp():
                return Looked(self._place(), is_caught_up=True)
            case Failed(error):
                raise error
            case Wait():
                self._tail.wait(self._state.position, self._state.epoch, LOOK_AGAIN_SECONDS, self._stopped.is_set)
                events = self._look()
            case _ if (pause := self._state.retry_at - now) > 0:
                self._stopped.wait(pause)
            case FindEnd():
                events = self._tried(self._find_end)
            case _:
                events = self._look()
        return Looked(self._place(), events)

    def stop(self) -> None:
        """Let `look` return soon, in whichever thread it waits."""
        self._stopped.set()
        self._tail.nudge()

    def close(self) -> None:
        """Nothing is held."""

    def _place(self) -> Cursor:
        epoch = self._state.epoch
        return self.begun if epoch is None else Cursor(self._state.position, name_of(epoch))

    def _begin(self) -> Wanted:
        """Find out what is wanted, and in which history it begins. Raises LedgerError."""
        wanted = self._find()
        if wanted.goal is not None:
            self._state.ends_at(wanted.goal)
        if self._wanted is None:
            self._state.position = self._state.reached = wanted.after
            self._state.catches_up_at(wanted.head)
        self._wanted, self._run = wanted, wanted.run
        self._state.confirmed(wanted.epoch)
        self.begun = Cursor(wanted.after, name_of(wanted.epoch))
        return wanted

    def _look(self) -> list[Recorded]:
        """See what is new: in what all share of the newest events, or in the log."""
        after = self._state.position
        newest = self._tail.after(after, self._state.epoch) if self._follow and self._wanted is not None else None
        if newest is None or (not newest and self._is_failing()):
            return self._tried(self._read)
        if newest:
            taken = [each for each in newest if self._wanted is None or self._wanted.filter.takes(each)]
            return self._taken(Span(after, newest[-1].position, self._state.epoch, taken))
        self._state.goes_to(after, self._state.epoch)
        return []

    def _tried(self, ask: Callable[[], list[Recorded]]) -> list[Recorded]:
        began = time.monotonic()
        try:
            return ask()
        except LedgerUnavailable as error:
            self._state.failed(error, time.monotonic(), began)
            return []

    def _read(self) -> list[Recorded]:
        wanted = self._wanted or self._begin()
        with seldom_collected():  # else a third of the time goes into looking through the page, again and again
            found = self._found(wanted, self._state.position)
            for recorded in found.events[-1:]:
                self._tail.saw(recorded)
            return self._taken(found)

    def _found(self, wanted: Wanted, after: int) -> Span[Recorded]:
        """Return what stands in the log after a position. Raises HistoryChanged, LedgerUnavailable."""
        head = epochs.still(self._reader, self._state.reached, self._state.epoch or wanted.epoch)
        self._state.confirmed(head.epoch)
        if head.position <= after:
            self._state.goes_to(after, head.epoch)
            if not self._follow:
                self._state.ends_at(after)
            return Span(after, after, head.epoch)
        found = self._reader.knowing(head).stretch(wanted.filter, after=after, up_to=head.position, limit=PAGE)
        self._state.confirmed(epochs.still(self._reader, found.position, head.epoch).epoch)
        return Span(after, found.position, self._state.epoch, found.events)

    def _find_end(self) -> list[Recorded]:
        # What was recorded in the same transaction as the run's end still follows: up to where the log is now.
        self._state.ends_at(self._reader.head().position)
        return []

    def _taken(self, span: Span[Recorded]) -> list[Recorded]:
        """Return what of a part of the log was not given before and is to be shown; a run's end is noticed.

        Raises UnreadableEvent: nobody goes on after an event that could not be read.
        """
        taken = self._state.looked(span)
        if self._wanted is None:
            return [recorded.readable() for recorded in taken]
        for recorded in taken if self._run is not None and not self._run.has_ended else ():
            if self._run is not None and self._run.ends_with(recorded):
                self._run = RunWatch(self._run.run_id, ENDINGS[recorded.type])
                self._state.ends_at_head()
        return [recorded.readable() for recorded in taken if self._wanted.shown.takes(recorded)]

    def _is_failing(self) -> bool:
        since = self._tail.failing_since
        return since is not None and time.monotonic() - since > LOOK_AGAIN_SECONDS
