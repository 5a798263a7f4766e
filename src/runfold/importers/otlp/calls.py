"""The tool calls of a conversation's spans: found by their providers' ids, or by their tool where a span names none."""

import heapq
from collections import defaultdict
from dataclasses import dataclass

from runfold.importers.acts.kinds import Name
from runfold.importers.otlp.thread import Key


@dataclass
class Call:
    """A tool call on its way through the spans."""

    name: Name
    run: Key
    tool: str
    ended: bool = False
    has_span: bool = False


class Calls:
    """All calls of a conversation."""

    def __init__(self) -> None:
        self._by_id: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
        """By trace and the provider's id."""
        self._places: dict[tuple[str, str], int] = {}
        """As which each of these came up."""
        self._by_tool: defaultdict[tuple[str, Key, str], list[tuple[int, int, Call]]] = defaultdict(list)
        """By trace, run and tool, those that a span may be of: a heap in the order of ids, and then of calls."""

    def name(self, trace: str, provider_id: str) -> Name:
        """What names the next call of an id: the id in its trace, and which of those that have it."""
        return (trace, "call", provider_id, str(len(self._by_id[trace, provider_id]) + 1))

    def add(self, trace: str, provider_id: str, call: Call) -> Call:
        """Take in a call. One without an id is empty there."""
        calls = self._by_id[trace, provider_id]
        calls.append(call)
        place = self._places.setdefault((trace, provider_id), len(self._places))
        heapq.heappush(self._by_tool[trace, call.run, call.tool], (place, len(calls), call))
        return call

    def of_span(self, trace: str, provider_id: str, tool: str, run: Key) -> Call | None:
        """The call that a tool's span is of: one of its id that has no span yet, or else the first open one of its tool."""
        if provider_id:
            return next((call for call in self._by_id[trace, provider_id] if not call.has_span), None)
        waiting = self._by_tool[trace, run, tool]
        while waiting and (waiting[0][2].has_span or waiting[0][2].ended):
            heapq.heappop(waiting)
        return waiting[0][2] if waiting else None

    def last(self, trace: str, provider_id: str | None) -> Call | None:
        """The last call of an id, which a message is about."""
        calls = self._by_id.get((trace, provider_id or ""), []) if provider_id else []
        return calls[-1] if calls else None

    def unanswered(self, trace: str, provider_id: str | None) -> Call | None:
        """The first call of an id that has not ended, and that no span tells of."""
        calls = self._by_id.get((trace, provider_id or ""), []) if provider_id else []
        return next((call for call in calls if not call.ended and not call.has_span), None)
