"""The answer of a command that is still on its way: for threads by `result`, for async callers by `await`."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runfold.domain.event import Event
from runfold.errors import UsageError
from runfold.event_loops import running_loop, tell_loop

if TYPE_CHECKING:
    from runfold.proofs.receipt import ToldEvent

T = TypeVar("T")


@dataclass(frozen=True, init=False)
class Receipt:
    """Says where a command's last event stands. With `appended` 0 it was recorded before, or was true already."""

    stream: str
    position: int
    version: int
    recorded_at: datetime | None
    appended: int
    events: tuple[Event, ...] = field(default=(), repr=False, compare=False)
    """What was recorded, where it was here."""
    told_by: "Callable[[], tuple[ToldEvent, ...]] | None" = field(default=None, repr=False, compare=False)
    """Finds what `told` says when it is asked for."""
    under_former_rule: bool = field(default=False, repr=False, compare=False)
    """Whether it is what was recorded while idempotency keys belonged to the tenant: what was made then has other ids."""
    is_repeated: bool = field(default=False, repr=False, compare=False)
    """Whether it was recorded before, under the same idempotency key: by this caller, or by another process for them."""

    def __init__(
        self,
        stream: str,
        position: int,
        version: int,
        recorded_at: datetime | None,
        appended: int,
        events: tuple[Event, ...] = (),
        told_by: "Callable[[], tuple[ToldEvent, ...]] | None" = None,
        under_former_rule: bool = False,
        is_repeated: bool = False,
    ) -> None:
        fields = self.__dict__  # each command has one: the way of a frozen dataclass, field by field, takes four times as long
        fields["stream"], fields["position"], fields["version"] = stream, position, version
        fields["recorded_at"], fields["appended"] = recorded_at, appended
        fields["events"], fields["told_by"] = events, told_by
        if under_former_rule or is_repeated:  # else the class says so
            fields["under_former_rule"], fields["is_repeated"] = under_former_rule, is_repeated

    @property
    def told(self) -> "tuple[ToldEvent, ...]":
        """What was told of each event: where it stands, its salt and its digests. Raises UsageError where that is not known."""
        if self.told_by is None:
            raise UsageError(
                f"the receipt of version {self.version} of {self.stream} tells of no event: nothing was recorded, it is not"
                " stored yet, or it is from a server that was not asked; connect with receipts=True"
            )
        return self.told_by()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it, to be kept: with what `ledger.verify_receipt` holds against the log. Raises UsageError."""
        from runfold.proofs.receipt import as_json  # noqa: PLC0415  few receipts are kept

        return {
            "stream": self.stream,
            "position": self.position,
            "version": self.version,
            "recorded_at": None if self.recorded_at is None else self.recorded_at.isoformat(),
            "appended": self.appended,
            **as_json(self.told),
        }


class Submitted(Generic[T]):
    """Stands for a command on its way. `await` it, or ask for its `result`."""

    __slots__ = ("_answer", "_error", "_event", "_hurry", "_more_waiters", "_receipt", "_waiter")

    _lock = threading.Lock()  # one for all: it is held for a few instructions

    def __init__(self, answer: Callable[[Receipt], T], hurry: Callable[[], None] | None = None) -> None:
        """`hurry` is called before a thread waits: an event loop of that thread will not get on meanwhile."""
        self._answer = answer
        self._hurry = hurry
        self._receipt: Receipt | None = None
        self._error: BaseException | None = None
        self._event: threading.Event | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._more_waiters: list[asyncio.Future[None]] | None = None

    def done(self) -> bool:
        """Return whether the answer is known."""
        return self._receipt is not None or self._error is not None

    @property
    def is_recorded(self) -> bool:
        """Return whether the answer is known, and is no error."""
        return self._receipt is not None

    def result(self, timeout: float | None = None) -> T:
        """Wait for the answer, at most `timeout` seconds. Raises what the command raised, or TimeoutError."""
        if not self.done():
            with self._lock:
                event = self._event = self._event or threading.Event()
            if self._hurry is not None:
                self._hurry()
            if not self.done() and not event.wait(timeout):
                raise TimeoutError("the command is still on its way; it may yet be recorded")
        return self._outcome()

    def __await__(self) -> Generator[Any, None, T]:
        if self._receipt is None and self._error is None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            with self._lock:
                waiting = self._receipt is None and self._error is None
                if waiting and self._waiter is None:
                    self._waiter = waiter  # there is hardly ever another
                elif waiting:
                    self._more_waiters = [*(self._more_waiters or ()), waiter]
            if waiting:
                yield from waiter
        receipt = self._receipt
        return self._outcome() if receipt is None else self._answer(receipt)

    def _outcome(self) -> T:
        if self._error is not None:
            raise self._error
        assert self._receipt is not None, "asked before it was done"  # noqa: S101
        return self._answer(self._receipt)


def known(answer: T) -> Submitted[T]:
    """Return an answer that need not be waited for, as if it had been."""
    submitted: Submitted[T] = Submitted(lambda _: answer)
    settle([(submitted, Receipt("", 0, 0, None, 0))])
    return submitted


def settle(outcomes: Iterable[tuple[Submitted[Any], Receipt | BaseException]]) -> None:
    """Give many commands their answers: one wake-up for each event loop, whatever their number."""
    events: list[threading.Event] = []
    here: list[asyncio.Future[None]] = []
    elsewhere: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
    running = running_loop()
    with Submitted._lock:
        for submitted, outcome in outcomes:
            if isinstance(outcome, Receipt):
                submitted._receipt = outcome
            else:
                submitted._error = outcome
            if submitted._event is not None:
                events.append(submitted._event)
            if (waiter := submitted._waiter) is None:
                continue
            if waiter.get_loop() is running:
                here.append(waiter)
            else:
                elsewhere[waiter.get_loop()].append(waiter)
            for another in submitted._more_waiters or ():
                (here if another.get_loop() is running else elsewhere[another.get_loop()]).append(another)
    for event in events:
        event.set()
    _wake(here)
    for loop, futures in elsewhere.items():
        tell_loop(loop, _wake, futures)


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
