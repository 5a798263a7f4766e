"""Two sequences of steps side by side: what is the same, what changed, and what is in one alone."""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Literal

from runfold.domain.json_text import canonical
from runfold.domain.values import same
from runfold.history.outline import Step
from runfold.history.views import View

How = Literal["same", "changed", "only_a", "only_b"]

_NAMED_BY = {"message": "role", "revision": "role", "tool_call": "tool", "tool_result": "tool", "approval": "action"}
"""The fact by which two steps of a kind are about the same thing, for kinds of which there are many."""


class Pair(View):
    """A step of each, or of one alone. `differs` names the facts in which they differ, or is `kind` alone."""

    how: How
    a: Step | None
    b: Step | None
    differs: tuple[str, ...] = ()


def differences(a: Step, b: Step) -> tuple[str, ...]:
    """The facts in which two steps differ."""
    if a.kind != b.kind:
        return ("kind",)
    names = dict.fromkeys([*a.facts, *b.facts])
    return tuple(name for name in names if not (name in a.facts and name in b.facts and same(a.facts[name], b.facts[name])))


def shared_beginning(a: Sequence[Step], b: Sequence[Step]) -> int:
    """Return how many steps are the same until the first that is not."""
    for number, (one, other) in enumerate(zip(a, b, strict=False)):
        if differences(one, other):
            return number
    return min(len(a), len(b))


def aligned(a: Sequence[Step], b: Sequence[Step]) -> list[Pair]:
    """Every step of both, in the order of each, the same ones beside each other."""
    start = shared_beginning(a, b)
    end = shared_beginning(a[start:][::-1], b[start:][::-1])
    pairs = [_pair(one, other) for one, other in zip(a[:start], b[:start], strict=True)]
    pairs += _by(_whole, a[start : len(a) - end], b[start : len(b) - end], _of_a_kind)
    tail = zip(a[len(a) - end :], b[len(b) - end :], strict=True)
    return pairs + [_pair(one, other) for one, other in tail]


Between = Callable[[Sequence[Step], Sequence[Step]], list[Pair]]


def _by(key: Callable[[Step], str], a: Sequence[Step], b: Sequence[Step], between: Between) -> list[Pair]:
    """Beside each other what has the same key; `between` pairs the rest."""
    pairs: list[Pair] = []
    for how, a_from, a_to, b_from, b_to in SequenceMatcher(None, list(map(key, a)), list(map(key, b))).get_opcodes():
        of_a, of_b = a[a_from:a_to], b[b_from:b_to]
        pairs += map(_pair, of_a, of_b) if how == "equal" else between(of_a, of_b)
    return pairs


def _of_a_kind(a: Sequence[Step], b: Sequence[Step]) -> list[Pair]:
    return _by(_about, a, b, _as_they_come)


def _as_they_come(a: Sequence[Step], b: Sequence[Step]) -> list[Pair]:
    return [_pair(one, other) for one, other in zip_longest(a, b)]


def _pair(a: Step | None, b: Step | None) -> Pair:
    if a is None or b is None:
        return Pair(how="only_a" if b is None else "only_b", a=a, b=b)
    found = differences(a, b)
    return Pair(how="changed" if found else "same", a=a, b=b, differs=found)


def _whole(step: Step) -> str:
    return step.kind + canonical(step.facts)


def _about(step: Step) -> str:
    return f"{step.kind} {step.facts.get(_NAMED_BY.get(step.kind, ''), '')}"
