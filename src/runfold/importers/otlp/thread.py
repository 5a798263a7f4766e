"""The spans of one conversation as a tree of runs: which run each span is in, whatever else is missing.

A run is an agent's span. What no agent's span is around belongs to the run of the topmost span there is; where that one's
own parent is in no file, the run has the parent's id, so that the parent is found in it when it comes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from runfold.importers.otlp.meaning import conversation_of, kind_of, tokens_of
from runfold.importers.otlp.spans import LogRecord, Span, SpanEvent

Key = tuple[str, str]
"""Trace and span."""


@dataclass
class SourceRun:
    """A run with the spans that are directly in it. What is asked of all of them is asked once all are in."""

    key: Key
    span: Span | None
    spans: list[Span] = field(default_factory=list)
    parent: Key | None = None

    @cached_property
    def first(self) -> Span:
        """A span of it: its own, or the first there is."""
        return self.span or min(self.spans, key=began_at)

    @cached_property
    def began(self) -> int:
        """When it began, in nanoseconds."""
        return min(began_at(span) for span in [*self.spans, *([self.span] if self.span else [])])

    @cached_property
    def over(self) -> int:
        """When the last of it was over."""
        return max(max(span.end, span.start) for span in [*self.spans, *([self.span] if self.span else [])])


def began_at(span: Span) -> int:
    """When a span began, or else ended."""
    return span.start or span.end


def by_key(spans: Iterable[Span], others: list[Span] | None = None) -> dict[Key, Span]:
    """Return each span once: as the first tells it, or the first that says when it ended.

    `others` are given those that had ended, too, and are told otherwise.
    """
    found: dict[Key, Span] = {}
    for span in spans:
        key = (span.trace, span.id)
        if key not in found or (span.end and not found[key].end):
            found[key] = span
        elif others is not None and span.end and replace(span, place=found[key].place) != found[key]:
            others.append(span)
    return found


def conversations(spans: Mapping[Key, Span]) -> dict[Key, str | None]:
    """Return the conversation of each span: what it names, or else the nearest around it, or the first span of its trace."""
    first: dict[str, tuple[int, str]] = {}
    for span in spans.values():
        if (name := conversation_of(span)) is not None:
            told = (began_at(span), name)
            first[span.trace] = min(first.get(span.trace, told), told)
    found: dict[Key, str | None] = {}
    for key, span in spans.items():
        at, passed = key, dict[Key, None]()
        while at in spans and at not in found and at not in passed and conversation_of(spans[at]) is None:
            passed[at] = None
            at = (at[0], spans[at].parent or "")
        named = found.get(at) or (conversation_of(spans[at]) if at in spans else None)
        passed[key] = None
        found |= dict.fromkeys(passed, named or first.get(span.trace, (0, None))[1])
    return found


class Tree:
    """The spans of a conversation, or of a trace that names none."""

    def __init__(self, spans: Iterable[Span], records: Iterable[LogRecord], conversation: str | None) -> None:
        self.told_otherwise: list[Span] = []
        """Spans whose ids are also those of another one, which is taken."""
        self.by_key = by_key(spans, self.told_otherwise)
        told: dict[Key, set[str]] = {}
        for record in records:
            key = (record.trace, record.span)
            if (span_of := self.by_key.get(key)) is None:
                continue
            if key not in told:
                told[key] = {_as_text(event) for event in span_of.events}
            if (said := _as_text(record.event)) not in told[key]:
                told[key].add(said)
                span_of.events.append(record.event)
        if conversation is not None:
            named = conversations(self.by_key)
            self.by_key = {key: span for key, span in self.by_key.items() if named[key] == conversation}
        self.others: list[Span] = []
        """Spans that are no run, model call or tool call."""
        self.runs = self._runs()

    def above(self, span: Span) -> Iterator[Span]:
        """The spans around one, the nearest first."""
        seen, at = {span.id}, span.parent
        while at is not None and at not in seen and (found := self.by_key.get((span.trace, at))) is not None:
            seen.add(at)
            yield found
            at = found.parent

    def run_of(self, span: Span) -> Key:
        """The run that a span is in; an agent's span is in its own."""
        top = span
        for around in [span, *self.above(span)]:
            if kind_of(around) == "agent":
                return around.trace, around.id
            top = around
        return top.trace, top.parent or top.id

    def inner(self, span: Span) -> bool:
        """Whether a span says again what one around it says: a call as the library below saw it."""
        kind = kind_of(span)
        for around in self.above(span):
            theirs = kind_of(around)
            if theirs == "agent":
                return False
            if theirs == kind == "model":
                return bool(tokens_of(around)[0])
            if theirs == kind == "tool":
                return _same_call(span, around)
        return False

    def _runs(self) -> dict[Key, SourceRun]:
        runs: dict[Key, SourceRun] = {}
        for span in self.by_key.values():
            kind = kind_of(span)
            key = self.run_of(span)
            if kind == "agent":
                runs.setdefault(key, SourceRun(key, span)).span = span
            elif kind == "other":
                self.others.append(span)
            else:
                run = runs.setdefault(key, SourceRun(key, self.by_key.get(key)))
                run.spans.append(span)
        self.others = [span for span in self.others if (span.trace, span.id) not in runs]
        for run in runs.values():
            if run.span is not None:
                around = next(iter(self.above(run.span)), None)
                above = None if around is None else self.run_of(around)
                run.parent = above if above in runs and above != run.key else None
        return runs

    def depth(self, run: SourceRun) -> int:
        """How many runs are around one."""
        count, at, seen = 0, run, {run.key}
        while at.parent is not None and at.parent not in seen:
            seen.add(at.parent)
            at, count = self.runs[at.parent], count + 1
        return count


def _as_text(event: SpanEvent) -> str:
    """All that an event says: the same for the same."""
    return json.dumps(vars(event), sort_keys=True, default=str)


def _same_call(inner: Span, outer: Span) -> bool:
    for name in ("gen_ai.tool.call.id", "gen_ai.tool.name"):
        if name in inner.attributes:
            return bool(inner.attributes[name] == outer.attributes.get(name))
    return False
