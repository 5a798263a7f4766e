"""Tokens of a rollout: what each `token_count` event adds to the one before.

The event comes again without a new model call (as rate limits change, or a session is resumed), with the same total: then
nothing was used. Cached tokens are part of the input and reasoning is part of the output, as OpenAI counts.
"""

import json
from typing import Any

from runfold.importers.turns.turn import Used
from runfold.importers.turns.values import Fault, count, mapping

_NAMES = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "cache_read_input_tokens",
    "cache_write_input_tokens": "cache_creation_input_tokens",
    "reasoning_output_tokens": "reasoning_output_tokens",
}
_COUNTED = (*_NAMES, "total_tokens")


class Meter:
    """The token counts of one file, in order."""

    def __init__(self) -> None:
        self.total: dict[str, Any] | None = None

    def used(self, event: dict[str, Any], provider: str | None, model: str | None, fault: Fault) -> Used | None:
        """What was used since the event before; None where nothing was."""
        info = mapping(event.get("info"))
        total, last = info.get("total_token_usage"), info.get("last_token_usage")
        before, self.total = self.total, total if isinstance(total, dict) else self.total
        if isinstance(total, dict) and total == before:
            return None
        if not isinstance(last, dict):
            last = _difference(total, before) if isinstance(total, dict) else None
        if last is None:
            return None
        tokens = {ours: count(last.get(theirs), f"last_token_usage.{theirs}", fault) for theirs, ours in _NAMES.items()}
        if not any(tokens.values()):
            return None  # how full the context is, and no call of a model
        return Used(provider, model, _fitting(tokens, last, fault), {"last_token_usage": last, "total_token_usage": total})


def mark(used: Used) -> str:
    """What tells one count apart from another: its own words, the total among them."""
    return json.dumps(used.raw, sort_keys=True, default=str)


def _difference(total: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any] | None:
    """The rise of a total, where an event has nothing else."""
    found: dict[str, Any] = {}
    for name in _COUNTED:
        now, then = total.get(name), (before or {}).get(name, 0)
        if isinstance(now, int) and isinstance(then, int):
            if now < then:
                return None
            found[name] = now - then
    return found or None


def _fitting(tokens: dict[str, int | None], last: dict[str, Any], fault: Fault) -> dict[str, int | None]:
    """The counts with their total, without what exceeds what it is a part of."""
    output, reasoning = tokens["output_tokens"], tokens["reasoning_output_tokens"]
    if output is not None and reasoning is not None and reasoning > output:
        fault(f"last_token_usage.reasoning_output_tokens: {reasoning} exceed the {output} that they are part of; left out")
        tokens = {**tokens, "reasoning_output_tokens": None}
    total = count(last.get("total_tokens"), "last_token_usage.total_tokens", fault)
    fits = total is not None and total >= (tokens["input_tokens"] or 0) + (output or reasoning or 0)
    return {**tokens, "total_tokens": total if fits else None}
