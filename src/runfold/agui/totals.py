"""What a run used, in AG-UI's words: one entry for each provider and model, in which what nobody reported is absent."""

from typing import Any

from runfold.domain.usage import Tokens, UsageCorrected, UsageRecorded

_NAMES = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "total_tokens": "totalTokens",
    "reasoning_output_tokens": "reasoningTokens",
    "cache_read_input_tokens": "cachedInputTokens",
    "cache_creation_input_tokens": "cacheWriteInputTokens",
}


MOST = 2**53 - 1
"""The largest count that AG-UI takes, which is that of JavaScript: what was reported beyond it ends no stream."""


class Totals:
    """The usage of a run so far."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str | None, str | None], dict[str, int]] = {}

    def take(self, event: UsageRecorded | UsageCorrected) -> None:
        """Count a model call, or count it otherwise."""
        sums = self._sums.setdefault((event.provider, event.model), {})
        if isinstance(event, UsageRecorded):
            _add(sums, event.tokens, 1)
        else:
            _add(sums, event.corrected, -1)
            _add(sums, event.replacement, 1)

    def take_all(self) -> list[dict[str, Any]] | None:
        """Return what was used since this was last asked: a run that resumes tells of its own calls only."""
        found: list[dict[str, Any]] = []
        for (provider, model), sums in self._sums.items():
            named = {"provider": provider, "model": model}
            entry = {name: value for name, value in named.items() if value is not None}
            found.append({**entry, **{name: min(count, MOST) for name, count in sums.items() if count >= 0}})
        self._sums = {}
        return found or None


def _add(sums: dict[str, int], tokens: Tokens, sign: int) -> None:
    for ours, theirs in _NAMES.items():
        count = getattr(tokens, ours)
        if ours == "output_tokens" and count is not None and tokens.reasoning_beside:
            count += tokens.reasoning_output_tokens or 0  # theirs are part of the output
        if count is not None:
            sums[theirs] = sums.get(theirs, 0) + sign * count
