"""Two runs, two heads or two moments side by side, from the first divergence on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from runfold.domain.values import whole_number
from runfold.errors import RunNotFound, UsageError
from runfold.history.alignment import Pair
from runfold.history.outline import Step
from runfold.history.views import RunView
from runfold.pages.asking import Past, past
from runfold.pages.drawing import draw
from runfold.pages.replay.cutting import Cutter, plain
from runfold.pages.replay.word_diff import Piece, sides, word_diff
from runfold.pages.screen import Screen
from runfold.pages.typed import as_number
from runfold.queries.runs.difference import RunDiff, Side
from runfold.queries.threads.run_states import RunState
from runfold.terminal.text import counted

MOST_PAIRS = 200
"""How many steps of both are drawn at once, those that are folded not counted."""
_FOLDED_FROM = 3
"""So many equal steps on end are folded."""
_NOT_SHOWN = {
    "message": ("role",),
    "revision": ("role",),
    "tool_call": ("tool",),
    "tool_result": ("tool",),
    "ending": ("status",),
}
"""What the line above a step says already."""


class Place(NamedTuple):
    """One side of a comparison, as its address names it, and found."""

    text: str
    run: RunView
    version: int | None
    """Of the run, where a moment is named."""
    position: int


class Fact(NamedTuple):
    """What a step says under a name, in pieces that are in both or in it alone."""

    name: str
    pieces: Sequence[Piece]
    total: int
    is_cut: bool
    is_other: bool
    """Whether it is wholly another text than on the other side."""


class Told(NamedTuple):
    """A step on one side."""

    step: Step
    title: str
    facts: Sequence[Fact]


class Line(NamedTuple):
    """Two steps beside each other; or, folded, how many are the same."""

    number: int
    how: str
    a: Told | None
    b: Told | None
    folded: int = 0


@dataclass
class Comparison:
    """All that the screen shows."""

    a: Place
    b: Place | None
    others: Sequence[RunState]
    """Runs of the same thread to compare with."""
    diff: RunDiff | None
    totals: Sequence[tuple[str, Any, Any]]
    lines: Sequence[Line]
    first: int
    count: int
    """How many lines there are in all."""
    said: dict[str, str]

    def go(self, **changed: Any) -> str:
        """Return the address of the same screen with other parameters; None takes one away."""
        found = {name: value for name, value in {**self.said, **changed}.items() if value is not None}
        return f"?{urlencode(found)}"

    @property
    def last_number(self) -> int:
        """The number of the last line that is shown."""
        return self.first + len(self.lines) - 1


async def _page(request: Request) -> Response:
    asked = await past(request)
    said = request.query_params
    if not said.get("a"):
        return await draw(request, "diff_choice.html", comparison=None)
    found = await asked.ask(lambda: _found(asked, said.get("a", ""), said.get("b", ""), said.get("first"), said.get("open")))
    return await draw(request, "diff.html" if found.diff else "diff_choice.html", comparison=found, few=MOST_PAIRS)


def _found(asked: Past, a: str, b: str, first: str | None, opened: str | None) -> Comparison:
    one, other = _place(asked, a), _place(asked, b) if b else None
    said = {name: value for name, value in asked.request.query_params.items() if value}
    reading = asked.ledger.at(asked.position)
    if other is None:
        states = [state for state in reading.run_states(one.run.thread_id) if state.run_id != one.run.id]
        return Comparison(one, None, states[-MOST_PAIRS:], None, (), (), 1, 0, said)
    found = reading.diff(one.run.id, other.run.id, version_a=one.version, version_b=other.version)
    start = max(whole_number(first or "") or 1, 1)
    lines = list(_lines(found.pairs, {number for text in (opened or "").split(",") if (number := whole_number(text))}))
    shown = lines[start - 1 : start - 1 + MOST_PAIRS]
    cutter = Cutter(text for line in shown for step in (line.a, line.b) if step for text in map(plain, step.facts.values()))
    drawn = [_drawn(line, cutter) for line in shown]
    return Comparison(one, other, (), found, list(_totals(found)), drawn, start, len(lines), said)


def _place(asked: Past, text: str) -> Place:
    """A side as `RUN`, `THREAD/HEAD`, and either of them `@POSITION`. Raises RunNotFound, ThreadNotFound, UsageError."""
    text = text.strip()
    before, at, after = text.rpartition("@")  # the last one: an id may have an @ in it, too
    moment = whole_number(as_number(after)) if at else None
    name = text if moment is None else before.rstrip()
    if moment is not None and moment > asked.head.position:
        raise UsageError(f"position {moment} is not in the ledger, which holds 1 to {asked.head.position}")
    reading = asked.ledger.at(asked.position if moment is None else min(moment, asked.position))
    thread, slash, head = name.partition("/")
    run_id = name
    if slash:
        heads = {each.name: each.run_id for each in reading.heads(thread)}
        if head not in heads:
            raise UsageError(f"thread {thread} has no head {head[:60]!r}; it has {', '.join(heads) or 'none'}")
        run_id = heads[head]
    if not run_id:
        raise RunNotFound(run_id)
    run = reading.run(run_id)
    return Place(text, run, None if moment is None else run.version, reading.up_to)


class _Row(NamedTuple):
    number: int
    how: str
    a: Step | None
    b: Step | None
    folded: int = 0


def _lines(pairs: Sequence[Pair], opened: set[int]) -> Iterator[_Row]:
    """The pairs in order, of equal ones on end only how many they are, unless their beginning is among those to open."""
    number = 0
    while number < len(pairs):
        same = number
        while same < len(pairs) and pairs[same].how == "same":
            same += 1
        if same - number >= _FOLDED_FROM and number + 1 not in opened:
            yield _Row(number + 1, "same", None, None, same - number)
            number = same
            continue
        for pair in pairs[number : max(same, number + 1)]:
            number += 1
            yield _Row(number, pair.how, pair.a, pair.b)


def _drawn(row: _Row, cutter: Cutter) -> Line:
    if row.folded:
        return Line(row.number, row.how, None, None, row.folded)
    a, b = row.a, row.b
    is_same_kind = a is not None and b is not None and a.kind == b.kind
    facts_a, facts_b = (step.facts if step else {} for step in (a, b))
    told: list[list[Fact]] = [[], []]
    for name in dict.fromkeys([*facts_a, *facts_b]):
        texts = [plain(facts[name]) if name in facts else "" for facts in (facts_a, facts_b)]
        cuts = [cutter.cut(text) for text in texts]
        both = is_same_kind and all(texts)
        found = word_diff(cuts[0].text, cuts[1].text) if both else []
        is_other = not any(piece.how == "same" for piece in found)
        for side, step in enumerate((a, b)):
            if step is None or not texts[side] or name in _NOT_SHOWN.get(step.kind, ()):
                continue
            pieces = [Piece("same", cuts[side].text)] if is_other else sides(found)[side]
            told[side].append(Fact(name, pieces, cuts[side].total, cuts[side].is_cut, is_same_kind and is_other))
    sides_of = [Told(step, _title(step), told[side]) if step else None for side, step in enumerate((a, b))]
    return Line(row.number, row.how, sides_of[0], sides_of[1])


def _title(step: Step) -> str:
    about = next((str(step.facts[name]) for name in _NOT_SHOWN.get(step.kind, ()) if name in step.facts), "")
    return f"{step.kind.replace('_', ' ')} {about}".strip()


def _totals(found: RunDiff) -> Iterator[tuple[str, Any, Any]]:
    """What both come to after the part in common, in lines of two values."""

    def each(name: str, value: Any) -> tuple[str, Any, Any]:
        return name, value(found.a), value(found.b)

    yield each("status", lambda side: f"{side.status}{f' ({side.stop_reason})' if side.stop_reason else ''}")
    yield each("steps", lambda side: sum(side.after.steps.values()))
    yield each("of them", _steps_by_kind)
    yield each("model calls", lambda side: side.after.usage.calls)
    yield each("input tokens", lambda side: side.after.usage.input_tokens)
    yield each("output tokens", lambda side: side.after.usage.output_tokens)
    yield each("cost", lambda side: {name: cost.total for name, cost in side.after.usage.costs.items()} or None)
    yield each("time", lambda side: side.after.elapsed_ns)


def _steps_by_kind(side: Side) -> str:
    return ", ".join(counted(number, kind.replace("_", " ")) for kind, number in sorted(side.after.steps.items()))


SCREENS = (Screen("pages.diff", "/ui/diff", _page),)
