"""Where somebody stands who follows the log, and what is to be done next: one state machine for all who follow.

What a source has found goes in (`looked`, `goes_to`, `confirmed`, `failed` …); `step` says what comes next. Nothing is read,
sent or waited for here, and the time is handed in. The iterator of a process, an event stream of the server and a client of
a server drive it, each with the sources that it has.

Each event that is wanted comes out once, in order, and none is left out: a part of the log counts only where it is of the
history that is followed and joins what was looked at before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from runfold.errors import LedgerError, LedgerUnavailable, OutOfOrder, TooManyRequests

LATEST = 2**62
"""Lies beyond every position."""


class Placed(Protocol):
    """Has a place in the log: an event, or what stands for it."""

    @property
    def position(self) -> int:
        """Return its place in the log."""


T = TypeVar("T", bound=Placed)
E = TypeVar("E")


@dataclass(frozen=True)
class Span(Generic[T]):
    """Holds what is wanted of a part of the log that was looked through."""

    after: int
    up_to: int
    epoch: object
    """Names the history that it is of."""
    events: Sequence[T] = ()


@dataclass(frozen=True)
class Refused:
    """It ends here: whoever follows may no longer see it."""

    error: LedgerError


@dataclass(frozen=True)
class Failed:
    """It cannot go on, for a reason that does not pass by itself, or not soon enough. Told once."""

    error: LedgerError


@dataclass(frozen=True)
class Stopping:
    """It ends for now: who serves it stops. Connect again, and go on."""


@dataclass(frozen=True)
class CaughtUp:
    """All that was recorded before it began has been looked at. Told once."""


@dataclass(frozen=True)
class Complete:
    """It ends here: nothing more is to come."""


@dataclass(frozen=True)
class Alive:
    """Nothing was given for so long that a sign of life is due."""


@dataclass(frozen=True)
class Confirm:
    """Ask whether a position that was reached in one history is one of the present history."""

    position: int
    epoch: object


@dataclass(frozen=True)
class FindEnd:
    """Ask where the log ends: that is how far to go."""


@dataclass(frozen=True)
class Read:
    """Look through the log after one position, and no further than another."""

    after: int
    up_to: int


@dataclass(frozen=True)
class Wait:
    """There is nothing new that is known of."""


Step = Refused | Failed | Stopping | CaughtUp | Complete | Alive | Confirm | FindEnd | Read | Wait


@dataclass(frozen=True)
class Retries:
    """Says when a source that failed is asked again, by the number of failures in a row, and for how long."""

    pause: Callable[[int], float]
    patience: float | None = None
    """Counts seconds from the first failure in a row; None lasts for ever."""


class Following(Generic[E]):
    """Knows where one follower stands: at the last `position` looked at, wanted or not, of the history that `epoch` names."""

    def __init__(
        self,
        position: int,
        epoch: E,
        retries: Retries,
        *,
        head: int | None = None,
        goal: int | None = None,
        heartbeat_seconds: float = float("inf"),
        now: float = 0.0,
    ) -> None:
        """`head` is where it has caught up, and `goal` where it is complete; None: nowhere."""
        self.position, self.epoch, self.goal = position, epoch, goal
        self.reached = position
        """Says how far the history is known to go."""
        self.retry_at = now
        """Says when a source that failed, or found nothing, may be asked again."""
        self._retries, self._heartbeat_seconds = retries, heartbeat_seconds
        self._caught_up_at = head
        self._newest = LATEST
        self._present: E | None = epoch
        self._alive_at = now + heartbeat_seconds
        self._failures, self._failing_since = 0, 0.0
        self._ends_at_head = self._is_stopping = False
        self._refused: LedgerError | None = None
        self._failed: LedgerError | None = None

    @property
    def bound(self) -> int:
        """Return how far to go now, so that what is told on the way comes at its place."""
        return min(LATEST if mark is None else mark for mark in (self.goal, self._caught_up_at))

    # What comes out

    def step(self, now: float) -> Step:
        """Return what is to be done next. A question to a source that failed before waits until `retry_at`."""
        return self._told() or self._due(now) or self._wanted()

    def _told(self) -> Step | None:
        if self._refused is not None:
            return Refused(self._refused)
        if self._is_stopping:
            return Stopping()
        if self._failed is not None:
            error, self._failed = self._failed, None
            return Failed(error)
        if self._caught_up_at is not None and self.position >= self._caught_up_at:
            self._caught_up_at = None
            return CaughtUp()
        return Complete() if self.goal is not None and self.position >= self.goal else None

    def _due(self, now: float) -> Alive | None:
        return Alive() if now >= self._alive_at else None

    def _wanted(self) -> Confirm | FindEnd | Read | Wait:
        if self._present != self.epoch:
            return Confirm(self.position, self.epoch)
        if self._ends_at_head and self.goal is None:
            return FindEnd()
        up_to = min(self.bound, self._newest)
        return Read(self.position, up_to) if self.position < up_to else Wait()

    # What goes in

    def looked(self, span: Span[T]) -> list[T]:
        """Take in a part of the log. Return what of it was not given before, up to where something else comes first.

        Nothing is taken of a part that is of another history, or that does not join what was looked at: what lies between comes
        first. Raises OutOfOrder.
        """
        up_to, before = min(span.up_to, self.bound), span.after
        if self._refused is not None or span.epoch != self.epoch or span.after > self.position or up_to <= self.position:
            return []
        given = []
        for event in span.events:
            if not before < event.position <= span.up_to:
                raise OutOfOrder(event.position, before, span.up_to)
            before = event.position
            if self.position < before <= up_to:
                given.append(event)
        self.position, self.reached = up_to, max(self.reached, up_to)
        return given

    def gave(self, now: float) -> None:
        """Note that something was given or told: the next sign of life is due later."""
        self._alive_at = now + self._heartbeat_seconds

    @property
    def alive_at(self) -> float:
        """Return when a sign of life is due."""
        return self._alive_at

    def goes_to(self, newest: int, present: E | None) -> None:
        """Note how far the source goes, in the history that it says is the present one."""
        self._newest, self._present = newest, present

    def confirmed(self, present: E) -> None:
        """Note that a source has answered, and that what was reached is in the present history, too: it goes on in that one."""
        self.epoch = self._present = present
        self._failures = 0

    def nothing_yet(self, retry_at: float) -> None:
        """Note that a source has no more at the moment."""
        self.retry_at = retry_at

    def catches_up_at(self, head: int) -> None:
        """Let it have caught up where the log ended when it began."""
        self._caught_up_at = head

    def ends_at_head(self) -> None:
        """Let it be complete where the log ends when that is next asked."""
        self._ends_at_head = True

    def ends_at(self, position: int) -> None:
        """Let it be complete at a position."""
        self.goal = position

    def failed(self, error: LedgerError, now: float, since: float | None = None) -> None:
        """Note that a source failed, which was asked at `since`. It is asked again, unless that is in vain."""
        self.disconnected(now, float(getattr(error, "retry_after", 0.0)), since)
        patience = self._retries.patience
        if not passes(error) or (patience is not None and now - self._failing_since >= patience):
            self._failed, self._failures, self.retry_at = error, 0, now

    def disconnected(self, now: float, least: float = 0.0, since: float | None = None) -> None:
        """Note that a source has ended; it is asked again after a pause, of so many seconds at least."""
        if not self._failures:
            self._failing_since = now if since is None else since
        self._failures += 1
        self.retry_at = now + max(least, self._retries.pause(self._failures))

    def stop(self) -> None:
        """Let it end, because who serves it stops."""
        self._is_stopping = True

    def refuse(self, error: LedgerError) -> None:
        """Let it end, because whoever follows may no longer see it: not one event more is given."""
        self._refused = error


def passes(error: LedgerError) -> bool:
    """Return whether an error may be over in a moment."""
    return isinstance(error, TooManyRequests) or (isinstance(error, LedgerUnavailable) and error.retriable)
