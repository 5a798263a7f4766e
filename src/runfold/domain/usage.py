"""Tokens and cost of a run's model calls. Null means not reported and is never zero."""

from dataclasses import dataclass
from typing import Literal, Self, assert_never

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.life import Life
from runfold.domain.values import Amount, Count, Currency, Id, JsonObject, Label, Text, Value


class Tokens(Value):
    """Token counts of one model call, as its provider reported them.

    Parts never exceed their total: reasoning is part of the output, unless `reasoning_beside` says that it stands beside it;
    one-hour cache writes are part of all cache writes; input and output together are part of the total.
    Whether cache reads are part of the input differs between providers (OpenAI: yes, Anthropic: no), so that is not checked.
    """

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    reasoning_output_tokens: Count | None = None
    cache_creation_1h_input_tokens: Count | None = None
    """The part of cache_creation_input_tokens that is kept for an hour."""
    web_search_requests: Count | None = None
    """Searches of the web that the provider made, which it bills beside tokens."""
    reasoning_beside: bool = False
    """Whether reasoning is not part of the output, but reported beside it."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        reasoning = 0 if self.reasoning_beside else self.reasoning_output_tokens or 0
        if self.output_tokens is not None and reasoning > self.output_tokens:
            raise PydanticCustomError(
                "parts", "reasoning_output_tokens exceed output_tokens, which they are part of unless reasoning_beside is true"
            )
        written = self.cache_creation_input_tokens
        if written is not None and (self.cache_creation_1h_input_tokens or 0) > written:
            raise PydanticCustomError(
                "parts", "cache_creation_1h_input_tokens exceed cache_creation_input_tokens, which they are part of"
            )
        output = reasoning if self.output_tokens is None else self.output_tokens
        if self.total_tokens is not None and (self.input_tokens or 0) + output > self.total_tokens:
            raise PydanticCustomError("parts", "input_tokens and output_tokens exceed total_tokens, which they are part of")
        return self


CostSource = Literal["provider", "local"]


class UsageEvent(Event):
    """Tokens were used, or a cost was reported."""


class UsageRecorded(UsageEvent, type="usage.recorded", version=2):
    """What one model call, or one iteration of it, used; never cumulative. `raw` is the provider's own report."""

    usage_id: Id
    model_call_id: Id | None = None
    step_id: Id | None = None
    node_id: Label | None = None
    provider: Label | None = None
    model: Label | None = None
    tokens: Tokens
    service_tier: Label | None = None
    raw: JsonObject | None = None


class UsageCorrected(UsageEvent, type="usage.corrected"):
    """The usage of a model call was corrected. The event carries the old counts whole, so that a fold needs no look-up."""

    usage_id: Id
    node_id: Label | None = None
    provider: Label | None = None
    model: Label | None = None
    corrected: Tokens
    replacement: Tokens
    reason: Text


class CostReported(UsageEvent, type="usage.cost_reported"):
    """A cost was reported, fixed at the time.

    Source `provider` is the provider's bill, `local` the application's own sum; without one, nobody said whose word it is.
    """

    cost_id: Id
    usage_id: Id | None = None
    node_id: Label | None = None
    provider: Label | None = None
    model: Label | None = None
    amount: Amount
    currency: Currency
    source: CostSource | None = None


AnyUsageEvent = UsageRecorded | UsageCorrected | CostReported


@dataclass(slots=True)
class UsageState:
    """The state of one model call's usage that the rules need: not what its provider reported, which may be long."""

    recorded_at: int
    tokens: Tokens
    node_id: str | None
    provider: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class CostState:
    """Where a cost was recorded, and whose word it was said to be."""

    recorded_at: int
    source: CostSource | None


class Usages:
    """The usage that one run reported."""

    def __init__(self, run: Life) -> None:
        self.run = run
        self.by_id: dict[str, UsageState] = {}
        self.by_call: dict[str, str] = {}
        self.costs: dict[str, CostState] = {}

    def record(self, usage: UsageRecorded) -> Events:
        """Record the usage of one model call, once. This is also allowed after the run has ended: streams tell it last."""
        if known := self.by_id.get(usage.usage_id):
            raise AlreadyRecorded("usage", usage.usage_id, self.run.id, known.recorded_at, usage)
        if usage.model_call_id in self.by_call:
            self.run.refuse(
                "record_usage",
                f"model call {usage.model_call_id} has its usage already; `correct` {self.by_call[usage.model_call_id]}",
            )
        return [usage]

    def correct(self, usage_id: str, replacement: Tokens, reason: str) -> Events:
        """Correct a recorded usage. This is also allowed after the run has ended."""
        known = self.by_id.get(usage_id)
        if known is None:
            self.run.refuse("correct_usage", f"this run has no usage {usage_id!r}")
        if known.tokens == replacement:
            return []
        return [
            UsageCorrected(
                usage_id=usage_id,
                node_id=known.node_id,
                provider=known.provider,
                model=known.model,
                corrected=known.tokens,
                replacement=replacement,
                reason=reason,
            )
        ]

    def report_cost(self, cost: CostReported) -> Events:
        """Report a cost. This is also allowed after the run has ended. A repetition without a source says the same of it."""
        if known := self.costs.get(cost.cost_id):
            repeated = cost if cost.source is not None else cost.model_copy(update={"source": known.source})
            raise AlreadyRecorded("cost", cost.cost_id, self.run.id, known.recorded_at, repeated)
        return [cost]

    def evolve(self, event: AnyUsageEvent) -> None:
        """Update the state by one event."""
        match event:
            case UsageRecorded():
                self.by_id[event.usage_id] = UsageState(
                    self.run.version, event.tokens, event.node_id, event.provider, event.model
                )
                if event.model_call_id:
                    self.by_call[event.model_call_id] = event.usage_id
            case UsageCorrected():
                self.by_id[event.usage_id].tokens = event.replacement
            case CostReported():
                self.costs[event.cost_id] = CostState(self.run.version, event.source)
            case _:
                assert_never(event)
