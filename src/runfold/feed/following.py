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
"""Beyond every position."""


class Placed(Protocol):
    """An event, or what stands for it."""

    @property
    def position(self) -> int:
        """Its place in the log."""


T = TypeVar("T", bound=Placed)
E = TypeVar("E")


@dataclass(frozen=True)
class Span(Generic[T]):
    """A part of the log that was looked through, and what of it is wanted."""

    after: int
    up_to: int
    epoch: object
    """The history that it is of."""
    events: Sequence[T] = ()


@dataclass(frozen=True)
class Refused:
    """The end: whoever follows may no longer see it."""

    error: LedgerError


@dataclass(frozen=True)
class Failed:
    """It cannot go on, for a reason that does not pass by itself, or not soon enough. Told once."""

    error: LedgerError


@dataclass(frozen=True)
class Stopping:
    """The end for now: who serves it stops."""


@dataclass(frozen=True)
class CaughtUp:
    """All that was recorded before it began has been looked at. Told once."""


@dataclass(frozen=True)
class Complete:
    """The end: there is nothing more to come."""


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
    """How a source that failed is asked again: after how many seconds, by the number of failures in a row, and for how long."""

    pause: Callable[[int], float]
    patience: float | None = None
    """Seconds; None: for ever."""


class Following(Generic[E]):
    """One follower's state. `position` is the last position looked at, wanted or not, of the history that `epoch` names."""

    def __init__(
        self,
        position: int,
        epoch: E,
        retries: Retries,
        *,
        head: int | None = None,
        goal: int | None = None,
        is_seen: bool = True,
        heartbeat_seconds: float = float("inf"),
        now: float = 0.0,
    ) -> None:
        """`head` is where it has caught up, and `goal` where it is complete; None: nowhere.

        `is_seen` is off for a position that may be beyond the ledger: nothing says yet that anybody has seen it.
        """
        self.position, self.epoch, self.goal = position, epoch, goal
        self.reached = position if is_seen else 0
        """How far the history is known to go. A bare position may be beyond it."""
        self.retry_at = now
        """When a source that failed, or found nothing, may be asked again."""
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
        """How far to go now: what is told on the way comes at its place."""
        return min(LATEST if mark is None else mark for mark in (self.goal, self._caught_up_at))

    # What comes out

    def step(self, now: float) -> Step:
        """What is to be done next. A question to a source that failed before waits until `retry_at`."""
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
        """What is to be given of a part of the log: what was not given before, up to where something else comes first.

        Nothing of a part that is of another history, or that does not join what was looked at: what is between comes first.
        Raises OutOfOrder.
        """
        up_to, before = min(span.up_to, self.bound), span.after
        if self._refused is not None or span.epoch != self.epoch or span.after > self.position or up_to <= self.position:
            return []
        for event in span.events:
            if not before < event.position <= span.up_to:
                raise OutOfOrder(event.position, before, span.up_to)
            before = event.position
        given = [event for event in span.events if self.position < event.position <= up_to]
        self.position, self.reached = up_to, max(self.reached, up_to)
        return given

    def gave(self, now: float) -> None:
        """Something was given, or told: the next sign of life is due later."""
        self._alive_at = now + self._heartbeat_seconds

    @property
    def alive_at(self) -> float:
        """When a sign of life is due."""
        return self._alive_at

    def goes_to(self, newest: int, present: E | None) -> None:
        """The source goes so far, in the history that it says is the present one."""
        self._newest, self._present = newest, present

    def confirmed(self, present: E) -> None:
        """A source has answered, and what was reached is in the present history, too: it goes on in that one."""
        self.epoch = self._present = present
        self._failures = 0

    def nothing_yet(self, retry_at: float) -> None:
        """A source has no more at the moment."""
        self.retry_at = retry_at

    def ends_at_head(self) -> None:
        """Where the log ends when it is next asked, it is complete."""
        self._ends_at_head = True

    def ends_at(self, position: int) -> None:
        """That is where it is complete."""
        self.goal = position

    def failed(self, error: LedgerError, now: float, since: float | None = None) -> None:
        """A source failed, which was asked at `since`. It is asked again, unless that is in vain."""
        self.disconnected(now, float(getattr(error, "retry_after", 0.0)), since)
        patience = self._retries.patience
        if not _passes(error) or (patience is not None and now - self._failing_since >= patience):
            self._failed, self._failures, self.retry_at = error, 0, now

    def disconnected(self, now: float, least: float = 0.0, since: float | None = None) -> None:
        """A source has ended, and is asked again after a pause, of so many seconds at least."""
        if not self._failures:
            self._failing_since = now if since is None else since
        self._failures += 1
        self.retry_at = now + max(least, self._retries.pause(self._failures))

    def stop(self) -> None:
        """Who serves it stops."""
        self._is_stopping = True

    def refuse(self, error: LedgerError) -> None:
        """Whoever follows may no longer see it: not one event more is given."""
        self._refused = error


def _passes(error: LedgerError) -> bool:
    """Whether it may be over in a moment."""
    return isinstance(error, TooManyRequests) or (isinstance(error, LedgerUnavailable) and error.retriable)
