"""A price book for costs that nobody reported: tokens at the list prices of their day, in US dollars, part by part.

What is not in the list costs null and never 0; so does a call of which nobody reported the tokens that are paid for, and one
with something that is charged for and has no listed price: searches of the web, or writes to a cache that is kept an hour.
`price_list` says whose prices hold. The parts add up to the cost exactly: it is their sum.

A total that leaves no room for more than input and output, as frameworks report it that have added up already, one that is
the sum of input, caches and output, and a part that exceeds its whole, say better than the provider's habit whether caches are
part of the input, and are believed.

Writes to a cache of which nobody said how long it is kept are priced as the usual five minutes, and called `cache_write` where
those that were said to be kept so are called `cache_write_5m`. Not told apart, because usage does not tell: audio and images
(priced as text), where it ran (some charge more for one region), and tiers without a price of their own (as the standard one).
"""

from datetime import date, datetime
from decimal import Context, Decimal
from functools import reduce
from typing import TYPE_CHECKING, Literal, NamedTuple

from runfold.domain.usage import Tokens
from runfold.projections.prices.price_list import INSTALLED, LIBRARY, Listed, PriceList, Rates, installed

if TYPE_CHECKING:
    from runfold.projections.prices.price_list import Price

PRICE_SOURCE = f"{LIBRARY} {INSTALLED}"
CURRENCY = "USD"

PriceKind = Literal[
    "input",
    "output",
    "reasoning",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "web_search",
    "request",
]

_EXACT = Context(prec=80)
"""Sums and products of prices and 64-bit counts are exact, whatever the caller's context is."""
_NOTHING = Decimal(0)
_MILLION, _THOUSAND = 6, 3


class PricePart(NamedTuple):
    """Units of one kind at their price."""

    kind: PriceKind
    quantity: int
    unit_price: Decimal
    """Dollars for `per` units."""
    per: int
    amount: Decimal
    """quantity times unit_price by per, exactly."""


class Priced(NamedTuple):
    """What a model call costs by a list, and why."""

    source: str
    """The price list, with its version."""
    listed_as: str
    """Who sells the model by that list, and its name there."""
    valid_from: date | None
    """Since which day the list has these prices; None where it tells of no other before."""
    parts: tuple[PricePart, ...]

    @property
    def cost(self) -> Decimal:
        """The sum of its parts."""
        return reduce(_EXACT.add, [part.amount for part in self.parts], _NOTHING)


class Unpriced(NamedTuple):
    """Why nobody knows what a model call costs."""

    reason: str


def computed_cost(
    provider: str | None, model: str | None, tokens: Tokens, at: datetime, service_tier: str | None = None
) -> Decimal | None:
    """Dollars for one model call at an aware moment; None where that is not known."""
    found = priced(provider, model, tokens, at, service_tier)
    return found.cost if isinstance(found, Priced) else None


def priced(
    provider: str | None,
    model: str | None,
    tokens: Tokens,
    at: datetime,
    service_tier: str | None = None,
    prices: PriceList | None = None,
) -> Priced | Unpriced:
    """What one model call costs at an aware moment by a list, the installed one if none is given; or why that is not known."""
    prices = prices or installed()
    if model is None:
        return Unpriced("the model is not known")
    listed = prices.find(provider, model)
    if listed is None:
        sold = f"{model} of {provider}" if provider else model
        return Unpriced(f"{sold} is not in {prices.source}")
    rates = prices.rates(provider, model, at, service_tier)
    if rates is None:
        return Unpriced(f"{listed.name} is not priced by tokens in {prices.source}")
    missing = _missing(rates, tokens)
    if missing is not None:
        return Unpriced(f"{missing} in {prices.source}" if missing.startswith("no price") else missing)
    return Priced(prices.source, listed.name, rates.valid_from, _parts(rates, tokens, listed))


def _missing(rates: Rates, tokens: Tokens) -> str | None:
    if rates.input and tokens.input_tokens is None:
        return "input tokens were not reported"
    if rates.output and tokens.output_tokens is None:
        return "output tokens were not reported"
    if tokens.web_search_requests and rates.web_search is None:
        return "no price for searches of the web"
    if tokens.cache_creation_1h_input_tokens and rates.cache_write is not None and rates.cache_write_1h is None:
        return "no price for writes to a cache that is kept an hour"
    return None


def _parts(rates: Rates, tokens: Tokens, listed: Listed) -> tuple[PricePart, ...]:
    whole = _whole_input(tokens, caches_beside=listed.caches_beside)
    read, hour = tokens.cache_read_input_tokens or 0, tokens.cache_creation_1h_input_tokens or 0
    short = max((tokens.cache_creation_input_tokens or 0) - hour, 0)
    reasoning, output, plain = tokens.reasoning_output_tokens or 0, tokens.output_tokens or 0, whole
    found: list[PricePart | None] = []
    if rates.cache_read is not None:
        plain -= read
        found.append(_part("cache_read", read, rates.cache_read, whole))
    if rates.cache_write is not None:
        plain -= short
        kind: PriceKind = "cache_write" if tokens.cache_creation_1h_input_tokens is None else "cache_write_5m"
        found.append(_part(kind, short, rates.cache_write, whole))
    if rates.cache_write_1h is not None:
        plain -= hour
        found.append(_part("cache_write_1h", hour, rates.cache_write_1h, whole))
    if tokens.reasoning_beside:
        found.append(_part("reasoning", reasoning, rates.output if rates.reasoning is None else rates.reasoning, whole))
    elif rates.reasoning is not None:
        output -= reasoning
        found.append(_part("reasoning", reasoning, rates.reasoning, whole))
    first = (_part("input", plain, rates.input, whole), _part("output", output, rates.output, whole))
    last = (
        _part("web_search", tokens.web_search_requests or 0, rates.web_search, whole, _THOUSAND),
        _part("request", 1, rates.request, whole, _THOUSAND),
    )
    return tuple(part for part in (*first, *found, *last) if part is not None)


def _part(kind: PriceKind, count: int, price: "Price", whole_input: int, digits: int = _MILLION) -> PricePart | None:
    """Units at their price; None where there are none, or they cost nothing of their own."""
    if price is None or not count:
        return None
    if not isinstance(price, Decimal):
        price = next((tier.price for tier in reversed(price.tiers) if whole_input > tier.start), price.base)
    return PricePart(kind, count, price, 10**digits, _EXACT.scaleb(_EXACT.multiply(price, count), -digits))


def _whole_input(tokens: Tokens, *, caches_beside: bool) -> int:
    """The input tokens, those of caches included."""
    said, output = tokens.input_tokens or 0, tokens.output_tokens or 0
    written = max(tokens.cache_creation_input_tokens or 0, tokens.cache_creation_1h_input_tokens or 0)
    cached = (tokens.cache_read_input_tokens or 0) + written
    if tokens.reasoning_beside and tokens.total_tokens is not None and tokens.total_tokens > said + output:
        output += tokens.reasoning_output_tokens or 0
    adds_up_beside = cached > 0 and tokens.total_tokens == said + cached + output
    if cached > said or adds_up_beside or (caches_beside and tokens.total_tokens != said + output):
        return said + cached
    return said
