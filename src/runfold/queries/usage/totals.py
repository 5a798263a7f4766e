"""What model calls used and cost, added up exactly, by the same rules wherever the rows of `usage` come from.

Null is a count that nobody reported, and never zero. Cost is told by currency and by source: as reported, by the provider's
bill, by the application, or `unstated`; and computed from the price book, under its name and version, for the calls of which
nobody reported one. `cost` with `currency` is the sum where there is one currency, and null where there are several or none:
currencies are never added up. A call whose cost nobody knows is in `calls_without_cost`, so while that is not 0, a cost is the
least that it can be.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Context, Decimal
from typing import Annotated, Any

from pydantic import PlainSerializer

from runfold.history.views import View
from runfold.projections.prices.book import CURRENCY
from runfold.projections.usage import UsageEntry
from runfold.projections.usage_totals import TOKENS, UNSTATED

Money = Annotated[Decimal, PlainSerializer(lambda amount: f"{amount:f}", when_used="json")]

DIMENSIONS = {
    "day": "day",
    "thread": "thread_id",
    "run": "run_id",
    "agent": "agent_id",
    "user": "user_id",
    "provider": "provider",
    "model": "model",
    "goal": "goal_id",
    "node": "node_id",
    "source": "source",
    "call": "usage_id",
}
"""What usage can be grouped by, each with its column."""
_EXACT = Context(prec=200)


class Cost(View):
    """What something cost in one currency: in all, as reported by each source, and as computed from each price list."""

    total: Money
    reported: dict[str, Money]
    computed: dict[str, Money]


class UsageTotals(View):
    """One line of a report. Of the dimensions those are set that it is grouped by; null is what nobody said.

    `source` is the import that brought a run, and null where none did; `call` is the id of a recorded usage.
    """

    day: date | None = None
    thread: str | None = None
    run: str | None = None
    agent: str | None = None
    user: str | None = None
    provider: str | None = None
    model: str | None = None
    goal: str | None = None
    node: str | None = None
    source: str | None = None
    call: str | None = None
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cache_read_input_tokens: int | None
    cache_creation_input_tokens: int | None
    reasoning_output_tokens: int | None
    cache_creation_1h_input_tokens: int | None
    web_search_requests: int | None
    cost: Money | None
    currency: str | None
    costs: dict[str, Cost]
    calls_without_cost: int


Ungrouped = Annotated[
    UsageTotals, PlainSerializer(lambda totals: totals.model_dump(mode="json", exclude=set(DIMENSIONS)), when_used="json")
]
"""One line that is grouped by nothing: to machines, without the dimensions."""


def usage_total(entries: Iterable[UsageEntry]) -> UsageTotals:
    """What rows of the read model add up to, by the same rules, wherever they were folded."""
    total = UsageSum()
    for entry in entries:
        reported, is_call = entry.reported_cost is not None, entry.kind == "call"
        amount = entry.reported_cost if reported else entry.computed_cost
        currency = entry.reported_currency if reported else None if amount is None else CURRENCY
        price_list, source = (None, entry.reported_source or UNSTATED) if reported else (entry.price_source, None)
        counts = [getattr(entry, name) for name in TOKENS]
        total.add([currency, source, price_list, amount, 0, int(is_call), int(is_call and amount is None), *counts])
        for other, more in (entry.other_costs or {}).items():
            total.add_cost(other, entry.reported_source or UNSTATED, None, Decimal(more))
    return total.totals({})


class UsageSum:
    """What the groups that one line is made of add up to."""

    def __init__(self) -> None:
        self.calls = self.without_cost = 0
        self.tokens: dict[str, int | None] = dict.fromkeys(TOKENS)
        self.costs: dict[str, tuple[dict[str, Decimal], dict[str, Decimal]]] = {}

    def add(self, values: Sequence[Any]) -> None:
        """A group, as the query `sums` of report.sql gives it."""
        self.add_cost(*values[:4])
        self.calls += values[5]
        self.without_cost += values[6]
        for name, count in zip(TOKENS, values[7:], strict=True):
            if count is not None:
                self.tokens[name] = (self.tokens[name] or 0) + int(count)

    def add_cost(self, currency: str | None, source: str | None, price_list: str | None, amount: Decimal | None) -> None:
        """Its cost, reported by a source or computed from a price list; None where nobody knows it."""
        if currency is None or amount is None:
            return
        reported, computed = self.costs.setdefault(currency, ({}, {}))
        known, name = (reported, source) if source is not None else (computed, price_list)
        known[name or ""] = _EXACT.add(known.get(name or "", Decimal(0)), amount)

    def totals(self, group: dict[str, Any]) -> UsageTotals:
        """Return the line with its totals."""
        costs = {currency: _cost(*self.costs[currency]) for currency in sorted(self.costs)}
        only = next(iter(costs)) if len(costs) == 1 else None
        return UsageTotals.model_validate(
            {
                **group,
                **self.tokens,
                "calls": self.calls,
                "costs": costs,
                "currency": only,
                "cost": costs[only].total if only else None,
                "calls_without_cost": self.without_cost,
            }
        )


def _cost(reported: dict[str, Decimal], computed: dict[str, Decimal]) -> Cost:
    total = Decimal(0)
    for amount in (*reported.values(), *computed.values()):
        total = _EXACT.add(total, amount)
    return Cost(total=shortened(total), reported=_all_shortened(reported), computed=_all_shortened(computed))


def _all_shortened(amounts: dict[str, Decimal]) -> dict[str, Decimal]:
    return {source: shortened(amounts[source]) for source in sorted(amounts)}


def shortened(amount: Decimal) -> Decimal:
    """The same amount without noughts at its end, but with two decimals at least."""
    short = amount.normalize(_EXACT)
    _, __, exponent = short.as_tuple()
    return short if isinstance(exponent, int) and exponent <= -2 else short.quantize(Decimal("0.01"), context=_EXACT)
