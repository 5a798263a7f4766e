"""Whose price holds for a model call: who sells the model, what it costs at that moment, and how its input is counted.

The prices are those that the library genai-prices brings with it. Nothing is ever fetched, and prices that an application
lets that library fetch for itself are not used: the same usage costs the same whoever folds it.

- Who sells it is told by the provider that was recorded. An identifier that only one cloud writes (Bedrock's, Vertex AI's) is
  that cloud's. Where Anthropic or OpenAI do not sell the model, their API was spoken with a gateway: the price is that of who
  makes it, as a prefix says (`deepseek/deepseek-chat`) or the model's own name; so it is with OpenRouter and LiteLLM. Other
  providers set their own prices, and weights that anybody may run (`deepseek-r1:7b`) are nobody's by their name alone.
- Whether tokens of caches are part of the input depends on whose API was spoken, not on the model: with Anthropic's and
  Bedrock's they stand beside it; with OpenAI's, OpenRouter's and LiteLLM's they are part of it. It is read from how genai-prices
  takes usage out of each provider's answers.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

    Price = Decimal | TieredPrices | None
    """For the number of units that it is listed for; None where the list has none of its own."""

LIBRARY = "genai-prices"
INSTALLED = version(LIBRARY)
"""The version that is installed, looked up here: a fold opens no file."""

_BEDROCK = re.compile(r"(?:[a-z-]+\.)?(?:anthropic|amazon|meta|deepseek|mistral|cohere|ai21|openai|qwen)\.[a-z0-9]")
_OPEN_WEIGHTS = re.compile(r"[:-]\d+(?:\.\d+)?b\b|distill")
"""Names of weights with their size, which anybody may run."""
_GATEWAYS = frozenset({"litellm"})
"""Providers that sell nothing themselves and count as OpenAI does, caches as part of the input."""
_SPOKEN_WITH_OTHERS = frozenset({None, "anthropic", "openai", "openrouter", *_GATEWAYS})
"""Where a model that the provider does not sell is priced as its maker's."""
_MAKERS = {"z-ai": "zai", "mistralai": "mistral"}
"""What gateways write before a slash and the list knows by another name."""
_CLOUDS = frozenset({"google", "azure"})
"""Who answers in Anthropic's form for Anthropic's models, and in another for the others."""


class Rates(NamedTuple):
    """A model's prices at a moment."""

    input: "Price"
    output: "Price"
    cache_read: "Price"
    cache_write: "Price"
    cache_write_1h: "Price"
    reasoning: "Price"
    request: "Price"
    """For a thousand, as those of searches; the others are for a million."""
    web_search: "Price"
    valid_from: date | None
    """Since which day the list has them; None where it tells of no other before."""


class Listed(NamedTuple):
    """A model of the list."""

    seller: str
    model: "ModelInfo"
    has_variants: bool
    changes_by_hour: bool
    caches_beside: bool
    """Whether cached tokens stand beside the input, as the API counts that was spoken."""

    @property
    def name(self) -> str:
        """Who sells it, and its name there."""
        return f"{self.seller} {self.model.id}"


class PriceList:
    """One version of the list."""

    def __init__(self, snapshot: "DataSnapshot", version_: str) -> None:
        self.version = version_
        self.source = f"{LIBRARY} {version_}"
        self._snapshot = snapshot
        self.find = lru_cache(maxsize=4096)(self._find)
        self._rates_at = lru_cache(maxsize=65536)(self._look_up)

    def rates(self, provider: str | None, model: str, at: datetime, service_tier: str | None) -> Rates | None:
        """The prices at an aware moment of a model that is listed. None for one that is not priced by tokens."""
        listed = self.find(provider, model)
        moment = at.astimezone(UTC)
        by_hour = listed is not None and listed.changes_by_hour
        return self._rates_at(provider, model, service_tier, moment if by_hour else moment.date())

    def _find(self, provider: str | None, model: str) -> Listed | None:
        """Return the model as it is sold; None where that is not known."""
        for seller_name, name in self._places(provider, model):
            try:
                seller, info = self._snapshot.find_provider_model(name, None, seller_name, None)
            except LookupError:
                continue
            variants = (info.price_variants or []) if any(info is own for own in seller.models) else []
            constraints = [variant.constraint for variant in variants]
            if isinstance(info.prices, list):
                constraints += [price.constraint for price in info.prices]
            by_hour = any(hasattr(constraint, "start_time") for constraint in constraints)
            beside = self._counts_caches_beside(provider, model, seller)
            return Listed(seller.id, info, bool(variants), by_hour, beside)
        return None

    def _places(self, provider: str | None, model: str) -> Iterator[tuple[str | None, str]]:
        """Where to look for a model: sellers, each with its name there. Without a seller, the name tells whose it is."""
        named = model.lower()
        last = named.rpartition("/")[2]
        if named.startswith("arn:aws:bedrock") or _BEDROCK.match(last):
            yield "aws", last
        elif "@" in last:
            yield "google", last
        is_anybodys = _OPEN_WEIGHTS.search(last) is not None
        if provider is not None or not is_anybodys:
            yield provider, named
        if (provider.lower() if provider else None) not in _SPOKEN_WITH_OTHERS:
            return
        prefix, slash, rest = named.partition("/")
        while slash:
            yield _MAKERS.get(prefix, prefix), rest
            prefix, slash, rest = rest.partition("/")
        if not is_anybodys:
            yield None, last

    def _provider(self, name: str) -> "Provider | None":
        try:
            return self._snapshot.find_provider(None, name, None)
        except LookupError:
            return None

    def _counts_caches_beside(self, provider: str | None, model: str, seller: "Provider") -> bool:
        """Judge by how usage is read from the answers of whose API was spoken."""
        if provider is not None:
            if provider.lower() in _GATEWAYS:
                return False
            spoken = self._provider(provider) or seller
        elif "/" in model and not model.startswith("arn:"):
            return False  # a gateway's name for it
        else:
            spoken = seller
        forms = {extractor.api_flavor: extractor for extractor in spoken.extractors or ()}
        form = forms.get("anthropic") if spoken.id in _CLOUDS and "claude" in model.lower() else None
        form = form or next(iter(forms.values()), None)
        return form is not None and any(
            mapping.dest == "input_tokens" and "cache" in str(mapping.path).lower() for mapping in form.mappings
        )

    def _look_up(self, provider: str | None, model: str, service_tier: str | None, when: date) -> Rates | None:
        """`when` is a day, or a moment where prices change within days."""
        listed = self.find(provider, model)
        assert listed is not None, "only what is listed has prices"  # noqa: S101
        moment = when if isinstance(when, datetime) else datetime.combine(when, time(), UTC)
        context = {"service_tier": service_tier} if service_tier and listed.has_variants else None
        if context and service_tier == "batch":
            context["processing"] = "batch"  # to Anthropic a tier, to the list a way of processing
        if context and service_tier == "fast":
            context["speed"] = "fast"
        return _rates_of(listed.model.get_prices(moment, context), _valid_from(listed.model, moment))


def _rates_of(prices: "ModelPrice", valid_from: date | None) -> Rates | None:
    if prices.input_mtok is None and prices.output_mtok is None:
        return None
    return Rates(
        prices.input_mtok,
        prices.output_mtok,
        prices.cache_read_mtok,
        prices.cache_write_mtok if prices.cache_write_5m_mtok is None else prices.cache_write_5m_mtok,
        prices.cache_write_1h_mtok,
        prices.output_reasoning_mtok,
        prices.requests_kcount,
        prices.web_searches_kcount,
        valid_from,
    )


def _valid_from(model: "ModelInfo", moment: datetime) -> date | None:
    if not isinstance(model.prices, list):
        return None
    constraints = (price.constraint for price in reversed(model.prices))
    active = next((one for one in constraints if one is None or one.active(moment)), None)
    return getattr(active, "start_date", None)


@lru_cache(maxsize=1)
def installed() -> PriceList:
    """The list that is installed."""
    from genai_prices.data import providers

    return price_list(providers, INSTALLED)


def price_list(providers: "list[Provider]", version_: str) -> PriceList:
    """A list of prices, whatever its providers came from."""
    from genai_prices.data_snapshot import DataSnapshot

    brought_along = datetime.min.replace(tzinfo=UTC)  # else it asks the clock, which a fold never does
    return PriceList(DataSnapshot(providers=providers, from_auto_update=False, timestamp=brought_along), version_)
