"""The spans of a sample, and the run that each belongs to.

The sample is one run. An agent that another agent started, by handing over or as a tool, is a run that is spawned by it, and
so is a scorer that asks a model. Older logs have no spans, and hold a tool's events in the tool's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from runfold.importers.acts.fields import Fields

MAIN = ""
_NESTING = ("tool", "subtask")


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

    @classmethod
    def of(cls, events: list[Fields], steps: "list[Span]") -> "Spans":
        """The spans that a sample's events begin, and the steps of older logs."""
        spans = cls({step.id: step for step in steps})
        for event in events:
            if event.raw("event") == "span_begin" and (begun := event.word("id")) is not None:
                parent, name = event.word("parent_id"), event.word("name") or event.word("type") or begun
                spans.by_id.setdefault(begun, Span(begun, parent, event.word("type"), name))
        for event in events:
            if event.raw("event") == "model":
                spans._asking |= {span.id for span in spans.above(event.word("span_id")) if span.type == "scorer"}
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
        if id not in self._run_of:
            self._run_of[id] = next((span.id for span in self.above(id) if self._is_run(span)), MAIN)
        return self._run_of[id]

    def _is_run(self, span: Span) -> bool:
        if span.type == "scorer":
            return span.id in self._asking
        if span.type != "agent":
            return False
        return any(around.type in {"agent", "tool", "handoff"} for around in list(self.above(span.id))[1:])


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
