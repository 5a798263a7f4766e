"""What model calls used and cost: one row for each, so that corrections and reported costs meet what they are about.

All totals are sums over these rows, and null stays null in them; `sum` in SQL does so by itself.

- Tokens: the sum of a column. A null is a count that nobody reported, not a zero.
- Cost of one currency: the sum of `reported_cost` where `reported_currency` is that currency; and in US dollars also the
  sum of `computed_cost` where `reported_cost` is null. Only a call of which nobody reported a cost counts as computed, so
  no call counts twice. A null in both is a call whose cost nobody knows.
- `other_costs` is null but where one usage was reported in several currencies: it holds those beside
  `reported_currency`, currency → amount as text, to be added to their currencies' sums (jsonb_each_text).

A report of a cost that names a usage belongs to that usage's row, with the usage's day, model and node. Of several sources
the provider's word counts, then the application's, then one of which nobody said whose it is, whatever came first and in
whatever currency; reports of one source add up. A report that names no usage has a row of its own, without tokens. So has one
that names a usage which its run has not recorded; when it does, that row becomes the usage's.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any, Literal

from runfold.domain.recorded import Recorded
from runfold.domain.usage import CostReported, CostSource, Tokens, UsageCorrected, UsageRecorded
from runfold.projections.prices.book import PRICE_SOURCE, computed_cost
from runfold.projections.projection import Key, Projection, Row
from runfold.projections.usage_totals import USAGE_TOTALS

_EXACT = Context(prec=80)
"""Amounts add up exactly, whatever the caller's context is."""
_WEIGHT: dict[CostSource | None, int] = {"provider": 2, "local": 1, None: 0}
"""Of two sources of a cost the heavier counts."""


class UsageEntry(Row):
    """What one model call used and cost, or a cost of no model call."""

    run_id: str
    """The run."""
    entry_id: str
    """`call:` and the usage's id, or `cost:` and the cost's where it names no usage."""
    kind: Literal["call", "cost"] = "cost"
    """`call` for a recorded usage: count these to count model calls."""
    usage_id: str | None = None
    """The usage; null for a cost that names none."""
    model_call_id: str | None = None
    """The model call, where the usage names it."""
    step_id: str | None = None
    """The step, where the usage names it."""
    day: date | None = None
    """The UTC day of happened_at."""
    happened_at: datetime | None = None
    """When it was used, by the producer's clock where it gave one; of a cost without usage, when it was reported."""
    thread_id: str = ""
    """The thread of the run."""
    agent_id: str | None = None
    """Who runs."""
    user_id: str | None = None
    """Whose thread it is."""
    goal_id: str | None = None
    """What the run is for."""
    source: str | None = None
    """The import that brought its run; null where none did, and where it was imported before imports had names."""
    node_id: str | None = None
    """The node of the run's graph; null where nobody said."""
    provider: str | None = None
    """The provider; null where nobody said."""
    model: str | None = None
    """The model; null where nobody said."""
    service_tier: str | None = None
    """The provider's service tier; null where nobody said."""

    input_tokens: int | None = None
    """Input tokens as the provider counts them: to some with those of caches, to others (Anthropic) without."""
    output_tokens: int | None = None
    """Output tokens, those of reasoning included."""
    total_tokens: int | None = None
    """Total tokens, where the provider reported a total."""
    cache_read_input_tokens: int | None = None
    """Input tokens read from a prompt cache."""
    cache_creation_input_tokens: int | None = None
    """Input tokens written to a prompt cache."""
    reasoning_output_tokens: int | None = None
    """Output tokens of reasoning."""
    cache_creation_1h_input_tokens: int | None = None
    """The part of cache_creation_input_tokens that is kept for an hour."""
    web_search_requests: int | None = None
    """Searches of the web that the provider made."""
    reasoning_beside: bool = False
    """Whether reasoning is not part of the output, but reported beside it."""
    corrections: int = 0
    """How many times the counts were corrected; those here are the last."""

    reported_cost: Decimal | None = None
    """What it cost as somebody reported; null where nobody did."""
    reported_currency: str | None = None
    """The currency of reported_cost."""
    reported_source: CostSource | None = None
    """Whose word reported_cost is: the provider's bill, the application's own sum without that, or null: nobody said."""
    other_costs: dict[str, str] | None = None
    """What was reported in further currencies, currency to amount; null but where one usage has several."""
    computed_cost: Decimal | None = None
    """US dollars by the list prices of its day; null where model or counts are not known. Counts where nobody reported."""
    price_source: str | None = None
    """The price list of computed_cost, with its version; null where that is null."""

    recorded_position: int | None = None
    """The event that recorded the usage."""
    corrected_position: int | None = None
    """The event that corrected it last, with its reason."""
    cost_position: int | None = None
    """The event that reported the cost that counts; of several that add up, the last."""


class Usage(Projection[UsageEntry]):
    """One row per model call and per cost of none: tokens, what somebody said they cost, and what they cost by the list."""

    name = "usage"
    version = 5
    row = UsageEntry
    key = ("run_id", "entry_id")
    events = (UsageRecorded, UsageCorrected, CostReported)
    indexes = (("thread_id",), ("day",), ("agent_id", "day"), ("goal_id",))
    partition = "thread"
    totals = USAGE_TOTALS
    depends_on = PRICE_SOURCE

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The row of the usage it is about, or the cost's own."""
        event = recorded.event
        match event:
            case UsageRecorded() | UsageCorrected():
                return ((recorded.stream, f"call:{event.usage_id}"),)
            case CostReported():
                entry = f"cost:{event.cost_id}" if event.usage_id is None else f"call:{event.usage_id}"
                return ((recorded.stream, entry),)
        return ()

    def evolve(self, row: UsageEntry, recorded: Recorded) -> UsageEntry:
        """The row after a usage was recorded or corrected, or its cost reported."""
        event = recorded.event
        match event:
            case UsageRecorded():
                return _used(row, recorded, event)
            case UsageCorrected():
                return _corrected(row, recorded, event)
            case CostReported():
                return _costed(row, recorded, event)
        return row


def _used(row: UsageEntry, recorded: Recorded, event: UsageRecorded) -> UsageEntry:
    place, provider, model, tier = _place(recorded), event.provider, event.model, event.service_tier
    return row.but(
        **place,
        **_counts(provider, model, event.tokens, place["happened_at"], tier),
        kind="call",
        usage_id=event.usage_id,
        model_call_id=event.model_call_id,
        step_id=event.step_id,
        node_id=event.node_id,
        provider=provider,
        model=model,
        service_tier=tier,
        recorded_position=recorded.position,
    )


def _corrected(row: UsageEntry, recorded: Recorded, event: UsageCorrected) -> UsageEntry:
    at = row.happened_at or recorded.happened_at
    return row.but(
        **_counts(row.provider, row.model, event.replacement, at, row.service_tier),
        corrections=row.corrections + 1,
        corrected_position=recorded.position,
    )


def _counts(provider: str | None, model: str | None, tokens: Tokens, at: datetime, tier: str | None) -> dict[str, Any]:
    """The counts, and what they cost at that time."""
    cost = computed_cost(provider, model, tokens, at, tier)
    return {**tokens.__dict__, "computed_cost": cost, "price_source": None if cost is None else PRICE_SOURCE}


def _costed(row: UsageEntry, recorded: Recorded, event: CostReported) -> UsageEntry:
    if row.reported_cost is not None and _WEIGHT[row.reported_source] > _WEIGHT[event.source]:
        return row
    changes = {"cost_position": recorded.position, **_added(row, event)}
    if row.happened_at is None:
        said = {"usage_id": event.usage_id, "node_id": event.node_id, "provider": event.provider, "model": event.model}
        changes |= {**_place(recorded), **said}
    return row.but(**changes)


def _added(row: UsageEntry, event: CostReported) -> dict[str, Any]:
    """Return what is reported in all, after one report more."""
    currency, amount, others = event.currency, event.amount, row.other_costs or {}
    if row.reported_cost is None or row.reported_source != event.source:
        return {
            "reported_cost": amount,
            "reported_currency": currency,
            "reported_source": event.source,
            "other_costs": None,
        }
    if row.reported_currency == currency:
        return {"reported_cost": _EXACT.add(row.reported_cost, amount)}
    total = _EXACT.add(Decimal(others.get(currency, 0)), amount)
    return {"other_costs": {**others, currency: f"{total:f}"}}


def _place(recorded: Recorded) -> dict[str, Any]:
    context, happened_at = recorded.context, recorded.happened_at.astimezone(UTC)
    return {
        "thread_id": recorded.thread_id,
        "agent_id": context.agent_id,
        "user_id": context.user_id,
        "goal_id": context.goal_id,
        "source": context.source,
        "happened_at": happened_at,
        "day": happened_at.date(),
    }
