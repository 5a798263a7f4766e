"""What a named subscription is, what it gives, and what becomes of it."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, Protocol, Unpack, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runfold.domain.event import refusal
from runfold.domain.recorded import Recorded
from runfold.errors import InvalidEvent, UsageError, shortened
from runfold.feed.asked import After, EventFilter

Order = Literal["stream", "thread", "nothing"]
"""Of which no two events are given before the first is answered."""

ORDERS: tuple[Order, ...] = get_args(Order)
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
MOST = 1000
"""Events that are given, acknowledged or listed at once."""
MOST_WAIT_SECONDS = 30.0

PromisedSeconds = Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)]
Attempts = Annotated[int, Field(ge=1, le=1000)]


class Promise(BaseModel):
    """What consumers are promised."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    lease_seconds: PromisedSeconds = 30.0
    """For how long an event is a consumer's alone before it is given to another."""
    retry_seconds: PromisedSeconds = 1.0
    """How long the first retry of a rejected event waits; each further one twice as long as the one before, an hour at most."""
    most_attempts: Attempts = 10
    """How often an event is given before it is parked."""


class SubscriptionView(Promise):
    """A named subscription as it stands."""

    name: str
    owner: str
    """Who made it, as `kind:id`."""
    wanted: dict[str, Any]
    """What it is narrowed by, as `GET /events` takes it."""
    in_order_of: Order
    """An event is not given while an earlier one of the same stream, or thread, is unanswered."""
    created_at: datetime
    acknowledged_up_to: str
    """The cursor up to which everything is acknowledged or parked."""
    head: int
    """The last position of the ledger."""
    lag: int
    """Positions between the two, whether or not what stands there is wanted."""
    leased: int
    """Events that consumers are at."""
    waiting: int
    """Events that were looked at and wait for a retry, or for one before them."""
    parked: int
    """Events that failed too often, or were set aside."""
    oldest_position: int | None
    """The first event that is wanted and neither acknowledged nor parked; null where none is known."""
    oldest_at: datetime | None
    """When that was recorded."""


class Delivery(NamedTuple):
    """An event as it is given to a consumer."""

    recorded: Recorded
    attempt: int
    """1 the first time."""
    replayed: bool
    """Whether it had been parked before."""

    @property
    def is_redelivery(self) -> bool:
        """Return whether it was given before: a consumer may have handled it already."""
        return self.attempt > 1 or self.replayed


class Taken(NamedTuple):
    """Events that are a consumer's for some time."""

    lease: UUID
    """To be shown with the answer."""
    lease_seconds: float
    deliveries: Sequence[Delivery]


class Answered(BaseModel):
    """What became of a consumer's answer: positions."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    acknowledged: list[int] = []
    """These are done, for ever."""
    retried: list[int] = []
    """These are given again later."""
    parked: list[int] = []
    """These are given again when somebody replays them."""
    released: list[int] = []
    """These are the consumer's no longer, and are given again as if they had not been."""
    extended: list[int] = []
    """These are the consumer's for longer."""
    lost: list[int] = []
    """These were no longer the consumer's: the lease had ended, and another has them or has answered."""


class ParkedEvent(BaseModel):
    """An event that was set aside."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    position: int
    attempts: int
    reason: str | None
    """What was said of the last attempt."""
    consumer: str | None
    """Who made it."""
    parked_at: datetime


class Keeps(Protocol):
    """Keeps the subscriptions of a tenant: the database, or a server."""

    def put(self, name: str, promise: Promise, in_order_of: Order, after: After, **wanted: Unpack[EventFilter]) -> None:
        """Make it, or change its promise."""

    def all(self, after: str = "", limit: int = MOST) -> list[SubscriptionView]:
        """Return them by name."""

    def view(self, name: str) -> SubscriptionView:
        """One of them."""

    def delete(self, name: str) -> None:
        """Forget it and where it is."""

    def take(self, name: str, limit: int, consumer: str | None, wait_seconds: float) -> Taken:
        """Give events to a consumer."""

    def acknowledge(self, name: str, lease: UUID, positions: Sequence[int]) -> Answered:
        """They are done."""

    def reject(
        self, name: str, lease: UUID, positions: Sequence[int], reason: str | None, delay_seconds: float | None, park: bool
    ) -> Answered:
        """They are not."""

    def extend(self, name: str, lease: UUID) -> Answered:
        """They take longer."""

    def release(self, name: str, lease: UUID) -> Answered:
        """They are given back."""

    def parked(self, name: str, after: int, limit: int) -> list[ParkedEvent]:
        """Return those that are set aside."""

    def replay(self, name: str, positions: Sequence[int] | None) -> list[int]:
        """Give these of them, or all, again."""

    def discard(self, name: str, positions: Sequence[int]) -> list[int]:
        """Give these of them never again."""

    def reset(self, name: str, after: After) -> None:
        """Go on after another place."""


def promise_of(lease_seconds: float, retry_seconds: float, most_attempts: int) -> Promise:
    """Return what consumers are promised. Raises InvalidEvent for a number out of range."""
    try:
        return Promise(lease_seconds=lease_seconds, retry_seconds=retry_seconds, most_attempts=most_attempts)
    except ValidationError as error:
        found = refusal(error)
        raise InvalidEvent(found.path, found.reason) from None


def checked_order(in_order_of: str) -> Order:
    """Return of what order is kept. Raises UsageError."""
    for known in ORDERS:
        if in_order_of == known:
            return known
    raise UsageError(f"in_order_of is {shortened(str(in_order_of))!r}; choose {', '.join(ORDERS)}", in_order_of=in_order_of)


def checked_name(name: str) -> str:
    """Return what can be the name of a subscription. Raises UsageError."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(
            f"{shortened(str(name))!r} is no name of a subscription; choose up to 64 small letters, digits, . _ and -", name=name
        )
    return name
