"""Sends the events of the log on to a receiver, each once, in order, whatever dies in between.

How far it is stands in the ledger, with the claim by which one process at a time relays; but what was sent is what the receiver
holds, so each time it begins it asks for the last message there, and goes on behind that. What the receiver has dropped since
(by age, say) is not sent again: then the ledger's own note says where to go on.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from runfold.delivery.claims import Claims
from runfold.delivery.reactor import Claim, Reacted
from runfold.delivery.relay.receiver import Message, Receiver
from runfold.domain.recorded import Recorded
from runfold.errors import HistoryChanged, LedgerError, LedgerUnavailable, ReceiverUnavailable, RelayRefused, UsageError
from runfold.feed.tail import Tail
from runfold.store import epochs
from runfold.store.cursor import Cursor, cursor_of
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Head, Reader

HOLD_SECONDS = 5.0
"""How long after it has died another may take over."""
PAGE = 500
LOOK_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
"""Seconds until one that failed is tried again, twice as many each time."""
SENT = "sent"


def _nothing(*_: object) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Told:
    """Who is told what a relay does."""

    waits: Callable[[], object] = _nothing
    """Another process relays, and is waited for."""
    began: Callable[[int], object] = _nothing
    """It is connected, and goes on after a position."""
    went_on: Callable[[int, int, int], object] = _nothing
    """So many were sent, in all; it has come to a position; of all that there are."""
    failed: Callable[[LedgerError, float], object] = _nothing
    """It cannot go on, and tries again in so many seconds."""


@dataclass(frozen=True)
class Relayed:
    """What a relay did."""

    sent: int
    position: int
    epoch: UUID | None

    @property
    def cursor(self) -> str | None:
        """Return up to where everything that is wanted was sent."""
        return None if self.epoch is None else cursor_of(self.position, self.epoch)


Body = Callable[[Recorded, UUID, int], tuple[bytes, str]]
"""Writes the body of an event's message, of at most so many bytes, and names its media type."""


class Relay:
    """Sends what a filter lets pass to one receiver."""

    def __init__(
        self,
        name: str,
        reader: Reader,
        tail: Tail,
        receiver: Receiver,
        wanted: Filter,
        body: Body,
        *,
        begins_after: int = 0,
        told: Told | None = None,
        claims: Claims | None = None,
    ) -> None:
        """`begins_after` is where it begins with a receiver that it has to make."""
        self.name = name
        self._reader, self._tail, self._receiver = reader.tolerant(), tail, receiver
        self._wanted, self._body, self._begins_after = wanted, body, begins_after
        self._told = told or Told()
        self._claims = claims or Claims(reader.datastore, HOLD_SECONDS)
        self._stop = threading.Event()
        self._sent, self._position = 0, 0
        self._epoch: UUID | None = None
        self._pause = FIRST_PAUSE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.close()

    def stop(self) -> None:
        """End it, from any thread, at once."""
        self._stop.set()
        self._receiver.interrupt()
        self._tail.nudge()

    def run(self, *, follow: bool = True) -> Relayed:
        """Relay until told to stop, or with `follow` off what is there now.

        What is away is waited for, but not with `follow` off. Raises RelayRefused, ReceiverUnavailable, LedgerUnavailable.
        """
        while not self._stop.is_set():
            claim = None
            try:
                claim = self._claims.take(self.name)
                if claim is not None:
                    self._relay(claim, follow=follow)
                else:
                    self._wait_for_the_other(follow=follow)
            except (ReceiverUnavailable, LedgerUnavailable) as error:
                self._failed(claim, error, follow=follow)
            except RelayRefused as error:
                self._note_failure(claim, error)
                raise
            finally:
                self._give_back(claim)
            if not follow:
                break
        return Relayed(self._sent, self._position, self._epoch)

    def _wait_for_the_other(self, *, follow: bool) -> None:
        if not follow:
            raise RelayRefused(self.name, "is carried out by another process just now", "leave it to that, or stop it")
        self._told.waits()
        self._stop.wait(LOOK_SECONDS)

    def _relay(self, claim: Claim, *, follow: bool) -> None:
        """Go on for as long as it goes well."""
        self._receiver.connect()
        head = self._reader.head()
        self._position, self._epoch = self._begin(claim, head), head.epoch
        self._told.began(self._position)
        until = None if follow else head.position
        note_at = 0.0
        while not self._stop.is_set():
            head = self._still()
            up_to = head.position if until is None else until
            found = self._reader.stretch(self._wanted, after=self._position, up_to=up_to, limit=PAGE)
            self._send(found.events, head.epoch)
            has_moved = found.position != self._position
            self._position, self._epoch, self._pause = found.position, head.epoch, FIRST_PAUSE
            if has_moved or time.monotonic() >= note_at:
                self._note(claim, len(found.events))
                note_at = time.monotonic() + self._claims.hold_seconds / 3
            if has_moved:
                self._told.went_on(self._sent, self._position, up_to)
            if until is not None and self._position >= until:
                return
            if self._position >= head.position:
                wait_seconds = min(LOOK_SECONDS, self._claims.hold_seconds / 3)
                self._tail.wait(self._position, head.epoch, wait_seconds, self._stop.is_set)

    def _begin(self, claim: Claim, head: Head) -> int:
        """Return after which position to go on."""
        noted = None
        if claim.position is not None and claim.epoch is not None:
            noted = self._shared(claim.position, claim.epoch)
            noted = head.position if noted is None else noted
        end = self._receiver.end()
        if end is None:
            self._note_begin(claim, head)
            self._receiver.make()
            return min(self._begins_after, head.position)
        if end.cursor is not None:
            return self._after_the_last(end.cursor)
        if noted is None:
            self._note_begin(claim, head)
            return min(self._begins_after, head.position)
        return noted

    def _note_begin(self, claim: Claim, head: Head) -> None:
        """Note where it begins before anything is made: else one that dies in between would begin elsewhere."""
        self._claims.note(claim, Reacted(position=min(self._begins_after, head.position), epoch=head.epoch))

    def _after_the_last(self, text: str) -> int:
        try:
            last = Cursor.parse(text)
            epoch = UUID(last.epoch or "")
        except (UsageError, ValueError):
            fact = f"holds a last message that says it is {text[:60]!r}"
            raise RelayRefused(self._receiver.name, fact, "choose another stream, or another subject") from None
        shared = self._shared(last.position, epoch)
        if shared is None:
            fact = f"holds events of another ledger, up to {cursor_of(last.position, epoch)}"
            raise RelayRefused(self._receiver.name, fact, "choose another stream, or another subject")
        return shared

    def _shared(self, position: int, epoch: UUID) -> int | None:
        """Return how much of what was recorded up to a place is recorded in the present history; None for an unknown one."""
        try:
            epochs.still(self._reader, position, epoch)
        except HistoryChanged as error:
            return error.position
        return position

    def _still(self) -> Head:
        """Return the head. Where the ledger was put back meanwhile, it goes on where both histories part."""
        head = self._reader.head()
        if self._epoch is not None and (head.epoch != self._epoch or head.position < self._position):
            raise LedgerUnavailable("the ledger was put back to another history", "it is looked where both part")
        return head

    def _send(self, events: Sequence[Recorded], epoch: UUID) -> None:
        if not events:
            return
        self._receiver.send([self._message(each, epoch) for each in events])
        self._sent += len(events)

    def _message(self, recorded: Recorded, epoch: UUID) -> Message:
        body, media_type = self._body(recorded, epoch, self._receiver.most_bytes)
        cursor = str(Cursor(recorded.position, epoch.hex))
        return Message(recorded.event_id, cursor, recorded.type, recorded.thread_id, body, media_type)

    def _note(self, claim: Claim, sent: int) -> None:
        reacted = Reacted({SENT: sent} if sent else {}, self._position, self._epoch)
        if not self._claims.note(claim, reacted):
            raise LedgerUnavailable("another process has taken over", "it is waited for")

    def _failed(self, claim: Claim | None, error: LedgerError, *, follow: bool) -> None:
        if self._stop.is_set():
            return
        seconds, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        self._note_failure(claim, error)
        if not follow:
            raise error
        self._told.failed(error, seconds)
        self._reader.datastore.revive()
        self._stop.wait(seconds)

    def _note_failure(self, claim: Claim | None, error: LedgerError) -> None:
        if claim is not None:
            self._quietly(lambda: self._claims.fail(claim, str(error)))

    def _give_back(self, claim: Claim | None) -> None:
        if claim is not None:
            self._quietly(lambda: self._claims.release(claim))

    @staticmethod
    def _quietly(ask: Callable[[], object]) -> None:
        try:
            ask()
        except LedgerUnavailable:  # the claim runs out by itself, and what failed is told where it failed
            return
