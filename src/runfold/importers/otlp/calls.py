"""The tool calls of a conversation's spans: found by their providers' ids, or by their tool where a span names none."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

from runfold.importers.acts.kinds import Name
from runfold.importers.otlp.messages import alike
from runfold.importers.otlp.thread import Key


@dataclass
class Call:
    """A tool call on its way through the spans."""

    name: Name
    run: Key
    tool: str
    arguments: Any
    ended: bool = False
    has_span: bool = False


class Calls:
    """All calls of a conversation."""

    def __init__(self) -> None:
        self._by_id: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
        """By trace and the provider's id."""
        self._without_span: Counter[tuple[str, str]] = Counter()
        self._unanswered: Counter[tuple[str, str]] = Counter()
        """By the same: before which of its calls none is left that a span may be of, and none that a message may answer."""
        self._places: dict[tuple[str, str], int] = {}
        """As which each of these came up."""
        self._waiting: defaultdict[tuple[str, Key | None, str, str | None], list[tuple[int, int, Call]]] = defaultdict(list)
        """By trace, run or none, tool, and arguments or none, those that a span may be of: a heap in the order of ids, and then
        of calls."""
        self._ids: set[str] = set()

    def name(self, trace: str, provider_id: str) -> Name:
        """What names the next call of an id: the id in its trace, and which of those that have it."""
        return (trace, "call", provider_id, str(len(self._by_id[trace, provider_id]) + 1))

    def add(self, trace: str, provider_id: str, call: Call) -> Call:
        """Take in a call. One without an id is empty there."""
        calls = self._by_id[trace, provider_id]
        calls.append(call)
        place = self._places.setdefault((trace, provider_id), len(self._places))
        self._ids.add(provider_id)
        for run, arguments in product((call.run, None), (alike(call.arguments), None)):
            heapq.heappush(self._waiting[trace, run, call.tool, arguments], (place, len(calls), call))
        return call

    def knows(self, provider_id: str) -> bool:
        """Whether a call of an id is told."""
        return provider_id != "" and provider_id in self._ids

    def of_span(self, trace: str, provider_id: str, tool: str, run: Key | None, arguments: Any) -> Call | None:
        """The call that a tool's span is of: one of its id that has no span yet.

        Where it names none, the first open one of its tool with its arguments, or else of its tool: in a run, or in any.
        """
        if provider_id:
            return self._first((trace, provider_id), self._without_span, lambda call: call.has_span)
        alike_first = (self._first_open((trace, run, tool, said)) for said in (alike(arguments), None))
        return next((call for call in alike_first if call is not None), None)

    def _first_open(self, of: tuple[str, Key | None, str, str | None]) -> Call | None:
        waiting = self._waiting.get(of, [])
        while waiting and (waiting[0][2].has_span or waiting[0][2].ended):
            heapq.heappop(waiting)
        return waiting[0][2] if waiting else None

    def last(self, trace: str, provider_id: str | None) -> Call | None:
        """The last call of an id, which a message is about."""
        calls = self._by_id.get((trace, provider_id or ""), []) if provider_id else []
        return calls[-1] if calls else None

    def unanswered(self, trace: str, provider_id: str | None) -> Call | None:
        """The first call of an id that has not ended, and that no span tells of."""
        if not provider_id:
            return None
        return self._first((trace, provider_id), self._unanswered, lambda call: call.ended or call.has_span)

    def _first(self, of: tuple[str, str], passed: Counter[tuple[str, str]], is_done: Callable[[Call], bool]) -> Call | None:
        """The first call of an id that is not done. What is done stays so, and is looked at once."""
        calls = self._by_id.get(of, [])
        while passed[of] < len(calls) and is_done(calls[passed[of]]):
            passed[of] += 1
        return calls[passed[of]] if passed[of] < len(calls) else None
