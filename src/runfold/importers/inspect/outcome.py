"""How a sample ended, and how it was scored."""

import math
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from runfold.importers.acts.fields import Fields
from runfold.importers.acts.keeping import kept, kept_text

ATTEMPT = (("attempt", "work on the task, with the tools there are"),)
_EXCEPTION = re.compile(r"([A-Za-z_][\w.]*)\(")
_CANCELLED = ("CancelledError(", "Cancelled(")
_STEPS, _TOKENS = frozenset({"message", "turn"}), frozenset({"token", "context"})
_YES, _NO = frozenset({"c", "yes", "true"}), frozenset({"i", "p", "n", "no", "false"})


class Ending(NamedTuple):
    """How a run ended."""

    how: Literal["completed", "failed", "cancelled"]
    stop_reason: str
    reason: str = ""
    code: str = "error"
    error_type: str | None = None


def ending_of(sample: Fields, status: str) -> Ending | None:
    """How the log says that a sample ended; None where it says of no end."""
    if error := sample.object("error"):
        return failure(error.text("message") or "")
    limit = sample.object("limit")
    if limit or isinstance(sample.raw("limit"), str):
        return _limited(limit.text("type") or "custom", limit)
    if sample.raw("completed_at"):
        return Ending("completed", "end_turn")
    if status == "success" or (sample.raw("scores") and not sample.raw("started_at")):
        return Ending("completed", "end_turn")  # logs of before samples said when they ended
    if status == "cancelled":
        return Ending("cancelled", "cancelled", "the evaluation was cancelled")
    return None


def failure(message: str) -> Ending:
    """What an error's message says."""
    message = kept_text(message)
    if message.startswith(_CANCELLED):
        return Ending("cancelled", "cancelled", message)
    match = _EXCEPTION.match(message)
    return Ending("failed", "error", message or "the sample failed", "sample_error", match[1][:500] if match else None)


def _limited(kind: str, limit: Fields) -> Ending:
    kind = kept_text(kind, 400)
    number = limit.number("limit")
    reason = limit.text("reason") or f"the {kind} limit{'' if number is None else f' of {number:g}'} was reached"
    reason, code = kept_text(reason), f"{kind}_limit"
    if kind in _STEPS:
        return Ending("completed", "max_steps", reason)
    if kind in _TOKENS:
        return Ending("failed", "max_tokens_exceeded", reason, code)
    if kind == "cost":
        return Ending("failed", "budget_exceeded", reason, code)
    return Ending("cancelled", "cancelled", reason)


class Score(NamedTuple):
    """A score by its name. `success` is None where the value says neither."""

    name: str
    success: bool | None
    result: Any
    summary: str


def scores_of(sample: Fields) -> Iterator[Score]:
    """The scores of a sample; one of several values is one for each."""
    named = sample.object("scores")
    if not named and sample.raw("score") is not None:  # the first form of these logs
        yield from _scores("score", sample.object("score"))
    for name in named.value:
        yield from _scores(name, named.object(name))


def score_of(name: str, score: Fields) -> list[Score]:
    """The scores of one scorer."""
    return list(_scores(name, score))


def _scores(name: str, score: Fields) -> Iterator[Score]:
    if not score:
        return
    value = score.raw("value")
    whole = {key: kept(score.raw(key)) for key in ("answer", "explanation", "metadata", "reason") if score.raw(key) is not None}
    parts = {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
    for called, part in parts.items():
        reason = score.raw("reason")
        said = f", {reason}" if isinstance(reason, str) else ""
        shown = kept_text(str(part), 1000)
        yield Score(kept_text(called, 400), judged(part), {"value": kept(part), **whole}, kept_text(f"{called}: {shown}{said}"))


def judged(value: Any) -> bool | None:
    """Whether a score's value means that the task was solved, as Inspect's own metrics read it; None where it does not say."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _YES or word in _NO:
            return word in _YES
        try:
            value = float(word)
        except ValueError:
            return None
    if isinstance(value, int | float):
        return None if math.isnan(value) else value >= 1
    return None
