"""What one answer of Anthropic's Messages API used: one usage for each time that a model was run for it.

An answer is usually one run of one model, and `usage` tells of that. With tools on the provider's side there may be several,
told in `usage.iterations`: further runs of the same model, a compaction, or an advisor, which is another model and is not in
the sum. What the sum holds already is never counted beside it, and what it leaves out is never lost:

- The iterations that are messages, or else all of them, account for the sum: each is a usage of its own, instead of the sum.
- They do not: the sum stands, and beside it only the iterations of other kinds, which it leaves out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from runfold.importers.fitting import Count, fitted
from runfold.importers.sources import Shape
from runfold.importers.turns.values import Fault

_MESSAGE = "message"
_OF_THE_MODEL = frozenset({_MESSAGE, "compaction"})
"""Kinds of iterations that the answer's own model ran, where none is named."""

_SOLD_BY = {"msg_bdrk_": "aws.bedrock", "msg_vrtx_": "gcp.vertex_ai", "gen-": "openrouter"}
"""How the ids of answers begin that came by another way than Anthropic's own API."""


def provider_of(message_id: str | None) -> str:
    """Return whose API gave an answer, as its id tells; Anthropic's, which the client speaks, where it tells of no other."""
    return next((provider for prefix, provider in _SOLD_BY.items() if (message_id or "").startswith(prefix)), "anthropic")


class CacheCreation(Shape):
    """For how long what was written to the cache is kept."""

    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class ServerToolUse(Shape):
    """Calls of tools that the provider ran, and charges for."""

    web_search_requests: Count | None = None


class Counts(Shape):
    """The tokens of one run of a model. Those of caches stand beside the input."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None

    @property
    def whole_input(self) -> int:
        """All input tokens, those of caches included."""
        return (self.input_tokens or 0) + (self.cache_read_input_tokens or 0) + (self.cache_creation_input_tokens or 0)

    @property
    def kept_an_hour(self) -> int | None:
        """Tokens written to a cache that is kept for an hour; None where the source does not tell."""
        return None if self.cache_creation is None else self.cache_creation.ephemeral_1h_input_tokens


C = TypeVar("C", bound=Counts)


class Iteration(Counts):
    """One run of a model for an answer."""

    type: str = ""
    model: str | None = None


class Sum(Counts):
    """The usage that stands over an answer."""

    service_tier: str | None = None
    speed: str | None = None
    server_tool_use: ServerToolUse | None = None
    iterations: list[Any] | None = None


@dataclass(frozen=True)
class Used:
    """One usage to record."""

    iteration: int | None
    """Its place among the iterations, from 0; None for the answer's own usage, which is also the first iteration's."""
    model: str | None
    counts: Counts
    raw: dict[str, Any]
    """The provider's own words."""
    service_tier: str | None = None
    web_search_requests: int | None = None

    def fields(self) -> dict[str, Any]:
        """What a usage says, by the names that it has in the ledger."""
        return {
            "model": self.model,
            "input_tokens": self.counts.input_tokens,
            "output_tokens": self.counts.output_tokens,
            "cache_read_input_tokens": self.counts.cache_read_input_tokens,
            "cache_creation_input_tokens": self.counts.cache_creation_input_tokens,
            "cache_creation_1h_input_tokens": self.counts.kept_an_hour,
            "web_search_requests": self.web_search_requests,
            "service_tier": self.service_tier,
            "raw": self.raw,
        }


def usages_of(reported: Mapping[str, Any], model: str | None, fault: Fault) -> tuple[Used, ...]:
    """Return what an answer of this model used, in the order of its iterations. What is odd is a fault, and left out."""
    whole = _fitting(Sum, dict(reported), "message.usage", fault)
    listed = [item for item in whole.iterations or () if isinstance(item, dict)]
    iterations = [_fitting(Iteration, item, f"message.usage.iterations[{place}]", fault) for place, item in enumerate(listed)]
    tier = "fast" if whole.speed == "fast" else whole.service_tier
    searches = whole.server_tool_use.web_search_requests if whole.server_tool_use is not None else None

    def beside(place: int) -> Used:
        iteration = iterations[place]
        ran = iteration.model or (model if iteration.type in _OF_THE_MODEL else None)
        return Used(place, ran, iteration, listed[place], tier)

    in_sum = _in_sum(whole, iterations)
    if not in_sum:
        left_out = [place for place, one in enumerate(iterations) if one.type != _MESSAGE]
        return (Used(None, model, whole, dict(reported), tier, searches), *map(beside, left_out))
    head = next((place for place in in_sum if iterations[place].type == _MESSAGE), in_sum[0])
    counts: Counts = iterations[head]
    if len(in_sum) == 1 and _amounts([counts]) == _amounts([whole]):
        counts = whole  # the same, and it may tell more
    own = Used(None, iterations[head].model or model, counts, dict(reported), tier, searches)
    return (own, *(beside(place) for place in range(len(iterations)) if place != head))


def _fitting(shape: type[C], value: dict[str, Any], path: str, fault: Fault) -> C:
    """What fits of counts, without a part that exceeds its whole."""
    found = fitted(shape, value, fault, path)
    written, kept = found.cache_creation_input_tokens, found.kept_an_hour
    if written is None or kept is None or kept <= written:
        return found
    fault(f"{path}.cache_creation: {kept} tokens kept for an hour exceed the {written} that they are part of; left out")
    return found.model_copy(update={"cache_creation": None})


def _in_sum(whole: Counts, iterations: list[Iteration]) -> list[int]:
    """Return which iterations account for the sum, by their places; none where no choice of them does."""
    messages = [place for place, one in enumerate(iterations) if one.type == _MESSAGE]
    said, found = _amounts([whole]), _amounts(iterations[place] for place in messages)
    if messages and all(amount >= least for amount, least in zip(found, said, strict=True)):
        return messages
    return [*range(len(iterations))] if iterations and _amounts(iterations) == said else []


def _amounts(counts: Iterable[Counts]) -> tuple[int, ...]:
    each = [(one.whole_input, one.output_tokens or 0, one.kept_an_hour or 0) for one in counts]
    return tuple(map(sum, zip(*each, strict=True))) or (0, 0, 0)
