"""What requests about named subscriptions hold, and what they are answered."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from runfold.http.bodies import Body
from runfold.http.routes.events import EventView
from runfold.queries.lists.paging import DEFAULT_LIMIT
from runfold.queries.lists.paging import limit as page_limit
from runfold.subscriptions.views import Attempts, Order, PromisedSeconds

Positions = list[Annotated[int, Field(ge=1, lt=2**62)]]


class SubscriptionAsked(Body):
    """The subscription to make, or to change."""

    after: str | None = None
    """Where it begins: a position, a cursor, a time, or `now`; at the beginning if not given. Of one that is there, nothing."""
    types: list[str] | None = None
    """Only events of these types, such as `tool.called`, or `approval.*`."""
    thread_id: str | None = None
    run_id: str | None = None
    agent_id: list[str] | None = None
    goal_id: list[str] | None = None
    user_id: list[str] | None = None
    actor: list[str] | None = None
    in_order_of: Order = "stream"
    """An event is not given while an earlier one of the same stream, or thread, is unanswered."""
    lease_seconds: PromisedSeconds = 30.0
    """For how long an event is a consumer's alone."""
    retry_seconds: PromisedSeconds = 1.0
    """How long the first retry waits; each further one twice as long, an hour at most."""
    most_attempts: Attempts = 10
    """How often an event is given before it is parked."""


class TakeAsked(Body):
    """How many events to take."""

    limit: int = 100
    consumer: str | None = None
    """Who takes them, for those who look at what failed."""
    wait_seconds: float = 0.0
    """How long to wait for events where there are none: 30 at most."""


class LeaseAsked(Body):
    """What one take gave."""

    lease: Annotated[UUID, Field(strict=False)]


class AcknowledgeAsked(LeaseAsked):
    """The events that are done."""

    positions: Positions


class RejectAsked(AcknowledgeAsked):
    """The events that failed."""

    reason: str | None = None
    delay_seconds: float | None = None
    """When to give them again; if not given, longer each time."""
    park: bool = False
    """Set them aside at once."""


class ReplayAsked(Body):
    """Which of the parked events."""

    positions: Positions | None = None
    """All of them, if not given."""


class DiscardAsked(Body):
    """Which of the parked events."""

    positions: Positions


class ResetAsked(Body):
    """Where to go on."""

    after: str


class SubscriptionsQuery(BaseModel):
    """Which page of the subscriptions."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    limit: Annotated[int, page_limit(DEFAULT_LIMIT)] | None = None
    cursor: str | None = None


class DeliveryView(BaseModel):
    """An event as it is given to a consumer."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    attempt: int
    """1 the first time."""
    replayed: bool
    """Whether it had been parked before."""
    event: EventView


class TakenView(BaseModel):
    """Events that are a consumer's for some time."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    lease: UUID
    """To be shown with the answer."""
    lease_seconds: float
    deliveries: list[DeliveryView]


class PositionsView(BaseModel):
    """Positions of events."""

    positions: list[int]


class SubscriptionDeleted(BaseModel):
    """The subscription that was deleted."""

    name: str
    deleted: bool = True
