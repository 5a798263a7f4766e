"""The spans of a sample, and the run that each belongs to.

The sample is one run. An agent that another agent started, by handing over or as a tool, is a run that is spawned by it, and
so is a scorer that asks a model. Older logs have no spans, and hold a tool's events in the tool's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

from runfold.importers.acts.fields import Fields

MAIN = ""
_NESTING = ("tool", "subtask")
_STARTING = frozenset({"agent", "tool", "handoff"})
"""What a span is in that is an agent which another one started."""


@dataclass
class Span:
    """A span."""

    id: str
    parent: str | None
    type: str | None
    name: str


@dataclass
class Spans:
    """All spans of a sample, by their ids."""

    by_id: dict[str, Span] = field(default_factory=dict)
    _asking: set[str] = field(default_factory=set)
    """Scorers that ask a model."""
    _run_of: dict[str, str] = field(default_factory=dict)
    _is_inside: dict[str, bool] = field(default_factory=dict)
    """Whether one around it is of those in which agents are started."""

    @classmethod
    def of(cls, events: list[Fields], steps: "list[Span]") -> "Spans":
        """The spans that a sample's events begin, and the steps of older logs."""
        spans = cls({step.id: step for step in steps})
        for event in events:
            if event.raw("event") == "span_begin" and (begun := event.word("id")) is not None:
                parent, name = event.word("parent_id"), event.word("name") or event.word("type") or begun
                spans.by_id.setdefault(begun, Span(begun, parent, event.word("type"), name))
        passed = set[str]()
        for event in events:
            if event.raw("event") == "model":
                for span in takewhile(lambda span: span.id not in passed, spans.above(event.word("span_id"))):
                    passed.add(span.id)
                    if span.type == "scorer":
                        spans._asking.add(span.id)
        return spans

    def above(self, id: str | None) -> Iterator[Span]:
        """A span and those around it, the nearest first."""
        seen, at = set[str](), id
        while at is not None and at in self.by_id and at not in seen:
            seen.add(at)
            yield self.by_id[at]
            at = self.by_id[at].parent

    def run_of(self, id: str | None) -> str:
        """The span whose run a span is in; `MAIN` for the sample's own."""
        if id is None:
            return MAIN
        passed, found = [id], self._run_of.get(id, MAIN)
        for span in self.above(id) if id not in self._run_of else ():
            passed.append(span.id)
            known = span.id if self._is_run(span) else self._run_of.get(span.id)
            if known is not None:
                found = known
                break
        self._run_of |= dict.fromkeys(passed, found)
        return found

    def _is_run(self, span: Span) -> bool:
        if span.type == "scorer":
            return span.id in self._asking
        return span.type == "agent" and self._is_in_one(span)

    def _is_in_one(self, span: Span) -> bool:
        """Whether one around a span, which is not itself, is of those in which agents are started."""
        if span.id in self._circles:
            return self._circles[span.id] > (span.type in _STARTING)
        passed, at = list[str](), span
        while (found := self._is_inside.get(at.id)) is None:
            passed.append(at.id)
            around = self.by_id.get(at.parent or "")
            if around is None or around.type in _STARTING or around.id in self._circles:
                found = around is not None and (around.type in _STARTING or self._circles[around.id] > 0)
                break
            at = around
        self._is_inside |= dict.fromkeys(passed, found)
        return found

    @cached_property
    def _circles(self) -> dict[str, int]:
        """Return, for each span that is around itself, how many of its circle are of those in which agents are started."""
        found: dict[str, int] = {}
        looked_at = set[str]()
        for each in self.by_id:
            passed, at = dict[str, int](), each
            while at in self.by_id and at not in looked_at:
                looked_at.add(at)
                passed[at] = len(passed)
                at = self.by_id[at].parent or ""
            if at in passed:
                circle = list(passed)[passed[at] :]
                found |= dict.fromkeys(circle, sum(self.by_id[one].type in _STARTING for one in circle))
        return found


def in_steps(events: list[Fields]) -> tuple[list[Fields], list[Span]]:
    """Events that say in which step they are, and the steps: older logs tell it by where steps begin and end."""
    found: list[Fields] = []
    steps: list[Span] = []
    around: list[Span] = []
    for event in events:
        if event.raw("event") == "step" and event.raw("action") == "begin":
            name, kind = str(event.raw("name") or "step"), event.raw("type")
            steps.append(
                Span(
                    f"{name} {event.raw('timestamp')} {len(steps)}",
                    around[-1].id if around else None,
                    kind if isinstance(kind, str) else None,
                    name,
                )
            )
            around.append(steps[-1])
        elif event.raw("event") == "step" and around:
            around.pop()
        elif around and event.raw("span_id") is None:
            event = Fields({**event.value, "span_id": around[-1].id}, event.place, event.report)  # noqa: PLW2901
        found.append(event)
    return found, steps


def flattened(events: Iterator[Fields]) -> Iterator[Fields]:
    """Events with those that older logs hold inside of others, each after the one that holds it."""
    for event in events:
        yield event
        if event.raw("event") in _NESTING and event.raw("events"):
            yield from flattened(event.objects("events"))
