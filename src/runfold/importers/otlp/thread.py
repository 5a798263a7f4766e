"""The spans of one conversation as a tree of runs: which run each span is in, whatever else is missing.

A run is an agent's span. What no agent's span is around belongs to the run of the topmost span there is; where that one's
own parent is in no file, the run has the parent's id, so that the parent is found in it when it comes.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from runfold.importers.otlp.meaning import Kind, conversation_of, kind_of, tokens_of, word
from runfold.importers.otlp.names import CALL_IDS, TOOLS
from runfold.importers.otlp.spans import LogRecord, Span, SpanEvent
from runfold.importers.otlp.tool_spans import call_id_of

V = TypeVar("V")
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

    @cached_property
    def first_of_call(self) -> dict[tuple[str, str], int]:
        """When the first tool ran that a call was for, by its trace and the provider's id."""
        found: dict[tuple[str, str], int] = {}
        for span in self.spans:
            if kind_of(span) == "tool" and (call_id := call_id_of(span)) is not None:
                found[span.trace, call_id] = min(began_at(span), found.get((span.trace, call_id), began_at(span)))
        return found

    @cached_property
    def _tools_began(self) -> list[int]:
        return sorted(self.first_of_call.values())

    def had_tool_began(self, first: int, last: int) -> bool:
        """Return whether a tool ran from one moment to another, both counted in."""
        place = bisect_left(self._tools_began, first)
        return place < len(self._tools_began) and self._tools_began[place] <= last


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


def _key_above(span: Span) -> Key:
    return span.trace, span.parent or ""


def _ends(keys: Iterable[Key], step: Callable[[Key], tuple[Key | None, V]]) -> dict[Key, V]:
    """Return what each key comes to. A step says which key is next, or None, and what it comes to where it goes no further.

    Each key is looked at once, however long the ways are.
    """
    found: dict[Key, V] = {}
    for key in keys:
        at: Key | None = key
        passed: dict[Key, None] = {}
        while at is not None and at not in found and at not in passed:
            passed[at] = None
            at, value = step(at)
        if passed:
            found |= dict.fromkeys(passed, value if at is None or at in passed else found[at])
    return found


def conversations(spans: Mapping[Key, Span]) -> dict[Key, str | None]:
    """Return the conversation of each span: what it names, or else the nearest around it, or the first span of its trace."""
    first: dict[str, tuple[int, str]] = {}
    for span in spans.values():
        if (name := conversation_of(span)) is not None:
            told = (began_at(span), name)
            first[span.trace] = min(first.get(span.trace, told), told)

    def step(key: Key) -> tuple[Key | None, str | None]:
        name, above = conversation_of(spans[key]), _key_above(spans[key])
        return above if name is None and above in spans else None, name or first.get(key[0], (0, None))[1]

    return _ends(spans, step)


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
        self._nearest_of: dict[Kind, dict[Key, Span | None]] = {}
        self.runs = self._runs()

    def run_of(self, span: Span) -> Key:
        """The run that a span is in; an agent's span is in its own."""
        return self._run_of[span.trace, span.id]

    def inner(self, span: Span) -> bool:
        """Whether a span says again what one around it says: a call as the library below saw it."""
        kind = kind_of(span)
        around = self._nearest(kind)[span.trace, span.id] if kind in {"model", "tool"} else None
        if around is None or kind_of(around) == "agent":
            return False
        return bool(tokens_of(around)[0]) if kind == "model" else _same_call(span, around)

    def call_around(self, span: Span) -> Span | None:
        """The model call that a model call is within, as where each of two libraries tells of it."""
        around = self._nearest("model")[span.trace, span.id]
        return around if around is not None and kind_of(around) == "model" else None

    @cached_property
    def _run_of(self) -> dict[Key, Key]:
        def step(key: Key) -> tuple[Key | None, Key]:
            span, above = self.by_key[key], _key_above(self.by_key[key])
            if kind_of(span) == "agent":
                return None, key
            return above if above in self.by_key else None, above if span.parent else key

        return _ends(self.by_key, step)

    def _nearest(self, kind: Kind) -> dict[Key, Span | None]:
        """Return, of each span, the nearest around it that is an agent's or of a kind."""
        if kind not in self._nearest_of:

            def step(key: Key) -> tuple[Key | None, Span | None]:
                around = self.by_key.get(above := _key_above(self.by_key[key]))
                is_it = around is None or kind_of(around) in {"agent", kind}
                return None if is_it else above, around if is_it else None

            self._nearest_of[kind] = _ends(self.by_key, step)
        return self._nearest_of[kind]

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
                around = self.by_key.get(_key_above(run.span))
                above = None if around is None else self.run_of(around)
                run.parent = above if above in runs and above != run.key else None
        return runs

    def depth(self, run: SourceRun) -> int:
        """How many runs are around one."""
        return self._depths[run.key]

    @cached_property
    def _depths(self) -> dict[Key, int]:
        found: dict[Key, int] = {}
        for run in self.runs.values():
            at: Key | None = run.key
            passed: dict[Key, None] = {}
            while at is not None and at not in found and at not in passed:
                passed[at] = None
                at = self.runs[at].parent
            outermost = 0 if at is None or at in passed else found[at] + 1
            found |= {key: depth for depth, key in enumerate(reversed(passed), outermost)}
        return found


class Followed:
    """The runs that were over when another one began: which of them it goes on from. They are asked for in the order of time."""

    def __init__(self) -> None:
        self._open: list[tuple[int, int, Key]] = []
        self._last: tuple[int, Key] | None = None
        self._count = count()

    def last_over(self, at: int) -> Key | None:
        """Return the one that began last, of those that were over by then."""
        while self._open and self._open[0][0] <= at:
            _, number, key = heappop(self._open)
            self._last = max(self._last or (number, key), (number, key))
        return None if self._last is None else self._last[1]

    def add(self, run: SourceRun) -> None:
        """Add the next one."""
        heappush(self._open, (run.over, next(self._count), run.key))


def _as_text(event: SpanEvent) -> str:
    """All that an event says: the same for the same."""
    return json.dumps(vars(event), sort_keys=True, default=str)


def _same_call(inner: Span, outer: Span) -> bool:
    for names in (CALL_IDS, TOOLS):
        if (named := word(inner.attributes, *names)) is not None:
            return named == word(outer.attributes, *names)
    return False
