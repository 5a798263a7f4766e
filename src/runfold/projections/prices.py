"""A price book for costs that nobody reported: tokens at the list prices of their day, in US dollars.

The prices are those that the library genai-prices brings with it, named in PRICE_SOURCE. Nothing is ever fetched, and
prices that an application lets that library fetch for itself are not used: the same usage costs the same whoever folds
it. What is not in the list costs null and never 0; so does a call of which nobody reported the tokens that are paid for.

The list counts what is read from and written to a prompt cache as part of the input. A ledger keeps what the provider
said, and providers differ: to OpenAI both are part of the input, to Anthropic they stand beside it ("total input tokens"
are the sum of all three; Anthropic's and Bedrock's pages on prompt caching). Who does what is read from genai-prices too:
from how it takes usage out of each provider's answers. A total that leaves no room for more than input and output, as
frameworks report it that have added up already, and a part that exceeds its whole, say it better and are believed.

Not told apart, because usage does not tell: caches kept for an hour (priced as the usual five minutes), audio and images
(priced as text), and tiers without a price of their own (priced as the standard one).
"""

from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from runfold.domain.usage import Tokens

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

    Price = Decimal | TieredPrices | None
    """Dollars for a million; None where the list has none of its own."""

PRICE_SOURCE = f"genai-prices {version('genai-prices')}"
CURRENCY = "USD"

_EXACT = Context(prec=80)
"""Sums and products of prices and 64-bit counts are exact, whatever the caller's context is."""


class _Listed(NamedTuple):
    """A model of the list."""

    model: "ModelInfo"
    has_variants: bool
    changes_by_hour: bool
    caches_beside: bool
    """Whether its provider says cached tokens beside the input."""


class _Rates(NamedTuple):
    """A model's prices at a moment."""

    input: "Price"
    output: "Price"
    cache_read: "Price"
    cache_write: "Price"
    reasoning: "Price"
    request: "Price"
    """For a million requests."""


def computed_cost(
    provider: str | None, model: str | None, tokens: Tokens, at: datetime, service_tier: str | None = None
) -> Decimal | None:
    """Dollars for one model call at an aware moment; None where that is not known.

    Without a provider, the model's own name must tell whose it is.
    """
    listed = None if model is None else _listed(provider, model)
    if listed is None or model is None:
        return None
    moment = at.astimezone(UTC)
    rates = _rates(provider, model, service_tier, moment if listed.changes_by_hour else moment.date())
    if rates is None or (rates.input and tokens.input_tokens is None) or (rates.output and tokens.output_tokens is None):
        return None
    return _sum(rates, tokens, _whole_input(tokens, caches_beside=listed.caches_beside))


def _sum(rates: _Rates, tokens: Tokens, whole_input: int) -> Decimal:
    read, write = tokens.cache_read_input_tokens or 0, tokens.cache_creation_input_tokens or 0
    reasoning = tokens.reasoning_output_tokens or 0
    plain_input, plain_output, total = whole_input, tokens.output_tokens or 0, Decimal(0)
    if rates.cache_read is not None:
        plain_input -= read
        total = _plus(total, rates.cache_read, read, whole_input)
    if rates.cache_write is not None:
        plain_input -= write
        total = _plus(total, rates.cache_write, write, whole_input)
    if rates.reasoning is not None:
        plain_output -= reasoning
        total = _plus(total, rates.reasoning, reasoning, whole_input)
    total = _plus(total, rates.input, plain_input, whole_input)
    total = _plus(total, rates.output, plain_output, whole_input)
    return _EXACT.scaleb(_plus(total, rates.request, 1, whole_input), -6)


def _plus(total: Decimal, price: "Price", count: int, whole_input: int) -> Decimal:
    if price is None or not count:
        return total
    if not isinstance(price, Decimal):
        price = next((tier.price for tier in reversed(price.tiers) if whole_input > tier.start), price.base)
    return _EXACT.fma(price, count, total)


def _whole_input(tokens: Tokens, *, caches_beside: bool) -> int:
    """The input tokens, those of caches included."""
    said, output = tokens.input_tokens or 0, tokens.output_tokens or 0
    cached = (tokens.cache_read_input_tokens or 0) + (tokens.cache_creation_input_tokens or 0)
    if cached > said or (caches_beside and tokens.total_tokens != said + output):
        return said + cached
    return said


@lru_cache(maxsize=4096)
def _listed(provider: str | None, model: str) -> _Listed | None:
    try:
        seller, info = _price_list().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    variants = (info.price_variants or []) if any(info is own for own in seller.models) else []
    constraints = [variant.constraint for variant in variants]
    if isinstance(info.prices, list):
        constraints += [price.constraint for price in info.prices]
    by_hour = any(hasattr(constraint, "start_time") for constraint in constraints)
    return _Listed(info, bool(variants), by_hour, _says_caches_beside(seller, model))


def _says_caches_beside(seller: "Provider", model: str) -> bool:
    """Judge by how usage is read from the seller's answers: in Anthropic's form where it has that for a model of Anthropic's."""
    forms = {extractor.api_flavor: extractor for extractor in seller.extractors or ()}
    form = (forms.get("anthropic") if "claude" in model.lower() else None) or next(iter(forms.values()), None)
    return form is not None and any(
        mapping.dest == "input_tokens" and "cache" in str(mapping.path).lower() for mapping in form.mappings
    )


@lru_cache(maxsize=65536)
def _rates(provider: str | None, model: str, service_tier: str | None, when: date) -> _Rates | None:
    """None for a model that is not priced by tokens. `when` is a day, or a moment where prices change within days."""
    listed = _listed(provider, model)
    assert listed is not None, "only what is listed has prices"  # noqa: S101
    moment = when if isinstance(when, datetime) else datetime.combine(when, time(), UTC)
    context = {"service_tier": service_tier} if service_tier and listed.has_variants else None
    if context and service_tier == "batch":
        context["processing"] = "batch"  # to Anthropic a tier, to the list a way of processing
    return _rates_of(listed.model.get_prices(moment, context))


def _rates_of(prices: "ModelPrice") -> _Rates | None:
    if prices.input_mtok is None and prices.output_mtok is None:
        return None
    for_thousand = prices.requests_kcount
    return _Rates(
        prices.input_mtok,
        prices.output_mtok,
        prices.cache_read_mtok,
        prices.cache_write_mtok,
        prices.output_reasoning_mtok,
        for_thousand * 1000 if isinstance(for_thousand, Decimal) else None,
    )


@lru_cache(maxsize=1)
def _price_list() -> "DataSnapshot":
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    brought_along = datetime.min.replace(tzinfo=UTC)  # else it asks the clock, which a fold never does
    return DataSnapshot(providers=providers, from_auto_update=False, timestamp=brought_along)
