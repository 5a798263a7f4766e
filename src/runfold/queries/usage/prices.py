"""What the computed part of a cost is made of, by model: quantities by kind, each at its unit price, and since when that holds.

The calls are priced when the question is asked, by the list that it names or else the installed one, one by one: their parts
add up to the computed cost of the report exactly. Calls of which nobody knows the cost are told with the reason.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Context, Decimal
from typing import Any

from runfold.domain.usage import Tokens
from runfold.history.views import View
from runfold.projections.prices.book import CURRENCY, Priced, PriceKind, PricePart, priced
from runfold.projections.prices.price_list import PriceList
from runfold.projections.usage_totals import TOKENS, UNSTATED
from runfold.queries.usage.totals import Money, UsageSum, shortened

CALL_COLUMNS = (
    "reported_currency",
    "reported_source",
    "reported_cost",
    "other_costs",
    "kind",
    "provider",
    "model",
    "service_tier",
    "happened_at",
    "reasoning_beside",
    *TOKENS,
)
"""What `Pricing.add` takes of a row of the read model, in this order."""

_EXACT = Context(prec=200)


class UnitPrice(View):
    """So many of one kind, at the price of `per` of them."""

    kind: PriceKind
    quantity: int
    unit_price: Money
    per: int
    amount: Money


class ModelPrice(View):
    """What calls of one model cost by the list, while one price held."""

    provider: str | None
    model: str
    service_tier: str | None
    listed_as: str
    """Who sells it by the list, and its name there."""
    valid_from: date | None
    """Since which day the list has this price; null where it tells of no other before."""
    calls: int
    cost: Money
    parts: tuple[UnitPrice, ...]


class NotPriced(View):
    """Calls whose cost nobody knows, and why."""

    provider: str | None
    model: str | None
    calls: int
    reason: str


class Explanation(View):
    """The prices of all calls whose cost nobody reported."""

    source: str
    """The price list, with its version."""
    currency: str
    prices: tuple[ModelPrice, ...]
    not_priced: tuple[NotPriced, ...]


class Pricing:
    """Calls on their way into lines, a total and an explanation."""

    def __init__(self, prices: PriceList, *, without_cost: bool | None = None) -> None:
        """`without_cost` leaves out the calls whose cost is known by this list, or those whose cost is not."""
        self._list, self._without_cost = prices, without_cost
        self._parts: dict[tuple[Any, ...], dict[tuple[PriceKind, Decimal, int], list[Any]]] = {}
        self._calls: dict[tuple[Any, ...], int] = {}
        self._unknown: dict[tuple[str | None, str | None, str], int] = {}

    def add(self, row: Sequence[Any], sums: Callable[[], Iterable[UsageSum]]) -> None:
        """Take in a row of the read model, as CALL_COLUMNS, and add it to some sums, which are made where it counts."""
        currency, source, cost, others, kind, provider, model, tier, at, beside, *counts = row
        is_call, listed, known = kind == "call", None, cost is not None
        if known and source is None:
            source = UNSTATED
        if is_call and not known:
            tokens = Tokens.model_construct(**dict(zip(TOKENS, counts, strict=True)), reasoning_beside=beside)
            found = priced(provider, model, tokens, at, tier, self._list)
            if self._without_cost is (isinstance(found, Priced)):
                return
            if isinstance(found, Priced):
                currency, source, cost, listed = CURRENCY, None, found.cost, found.source
                self._take((provider, model, tier, found.listed_as, found.valid_from), found.parts)
            else:
                why = (provider, model, found.reason)
                self._unknown[why] = self._unknown.get(why, 0) + 1
        elif self._without_cost:
            return
        for each in sums():
            each.add([currency, source, listed, cost, 0, int(is_call), int(is_call and cost is None), *counts])
            for other, amount in (others or {}).items():
                each.add_cost(other, source, None, Decimal(amount))

    def _take(self, of: tuple[Any, ...], parts: Iterable[PricePart]) -> None:
        self._calls[of] = self._calls.get(of, 0) + 1
        known = self._parts.setdefault(of, {})
        for part in parts:
            sum_ = known.setdefault((part.kind, part.unit_price, part.per), [0, Decimal(0)])
            sum_[0] += part.quantity
            sum_[1] = _EXACT.add(sum_[1], part.amount)

    def explanation(self) -> Explanation:
        """Return the prices of all that was added."""
        return Explanation(
            source=self._list.source,
            currency=CURRENCY,
            prices=tuple(self._price(of) for of in sorted(self._parts, key=_nulls_last)),
            not_priced=tuple(
                NotPriced(provider=provider, model=model, calls=self._unknown[provider, model, reason], reason=reason)
                for provider, model, reason in sorted(self._unknown, key=_nulls_last)
            ),
        )

    def _price(self, of: tuple[Any, ...]) -> ModelPrice:
        provider, model, tier, listed_as, valid_from = of
        total, parts = Decimal(0), []
        for (kind, unit_price, per), (quantity, amount) in self._parts[of].items():
            total = _EXACT.add(total, amount)
            parts.append(UnitPrice(kind=kind, quantity=quantity, unit_price=unit_price, per=per, amount=shortened(amount)))
        return ModelPrice(
            provider=provider,
            model=model,
            service_tier=tier,
            listed_as=listed_as,
            valid_from=valid_from,
            calls=self._calls[of],
            cost=shortened(total),
            parts=tuple(parts),
        )


def _nulls_last(key: tuple[Any, ...]) -> list[tuple[bool, str]]:
    return [(value is None, str(value)) for value in key]
