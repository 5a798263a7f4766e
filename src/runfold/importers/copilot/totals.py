"""The tokens that `session.shutdown` tells: of a session since it was begun or resumed, for each model; not of each call.

`inputTokens` holds what was read from and written to the cache, for every model. Costs that stand there are premium requests and
AI units, and no money.
"""

from collections.abc import Iterator
from typing import Any

from runfold.importers.turns.turn import Used
from runfold.importers.turns.values import Fault, count, mapping

_NAMES = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadTokens": "cache_read_input_tokens",
    "cacheWriteTokens": "cache_creation_input_tokens",
    "reasoningTokens": "reasoning_output_tokens",
}


def used_by_models(shutdown: dict[str, Any], fault: Fault) -> Iterator[Used]:
    """What each model used."""
    for model, metric in mapping(shutdown.get("modelMetrics")).items():
        told = mapping(mapping(metric).get("usage"))
        place = f"modelMetrics.{model}.usage"
        tokens = {ours: count(told.get(theirs), f"{place}.{theirs}", fault) for theirs, ours in _NAMES.items()}
        if not any(tokens.values()):
            continue
        output, reasoning = tokens["output_tokens"], tokens["reasoning_output_tokens"]
        if reasoning is not None and output is not None and reasoning > output:
            fault(f"{place}.reasoningTokens: {reasoning} exceed the {output} that they are part of; left out")
            tokens["reasoning_output_tokens"] = None
        raw = {"of": "the session since it was begun or resumed", **mapping(metric)}
        yield Used(None, model, {**tokens, "total_tokens": _total(tokens)}, raw)


def _total(tokens: dict[str, int | None]) -> int | None:
    """Input and output together: it says that the cache is part of the input, where the figures allow that."""
    put, out = tokens["input_tokens"], tokens["output_tokens"]
    cached = (tokens["cache_read_input_tokens"] or 0) + (tokens["cache_creation_input_tokens"] or 0)
    return put + out if put is not None and out is not None and cached <= put else None
