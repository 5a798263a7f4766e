"""The path root → run, folded straight from the log: the conversation and the shared state as of a run, a position or a time."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runfold.domain.message import REDACTIONS, MessageState
from runfold.domain.parts import TextPart
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunFailed
from runfold.domain.step import SharedState, StatePatched, StateSnapshotTaken
from runfold.domain.tool_call import (
    CallStatus,
    ToolCalled,
    ToolCallState,
    ToolCancelled,
    ToolFailed,
    ToolStarted,
    ToolSucceeded,
)
from runfold.errors import RunNotFound
from runfold.history.approvals import as_allowed, waited_for
from runfold.history.said import Said, redactions
from runfold.history.tree import Tree
from runfold.history.views import Message, ToolCallView
from runfold.store.reading.reader import LATEST
from runfold.store.reading.stream_parts import StreamPart
from runfold.store.reading.tenant_reader import TenantReader

_ENDED_AS: dict[type, CallStatus] = {
    ToolSucceeded: "succeeded",
    ToolFailed: "failed",
    ToolCancelled: "cancelled",
    RunFailed: "failed",
    RunCancelled: "cancelled",
}

TOOL_CALL_EVENTS = ("tool.*", "run.failed", "run.cancelled")
"""The types that `fold_tool_calls` looks at: the end of a run closes the calls that are open."""


COMPACTION_EVENTS = ("context.compacted",)
"""The types that tell where the model's memory was cut."""


@dataclass(frozen=True)
class Segment:
    """One run's share of a path: its events up to the version at which its child left it."""

    run_id: str
    up_to_version: int


def thread_tree(reader: TenantReader, thread_id: str, up_to: int = LATEST) -> Tree:
    """The tree of a thread as it stood at a position."""
    tree = Tree(thread_id)
    for recorded in reader.tree(thread_id, up_to=up_to):
        tree.evolve(recorded)
    return tree


def path(tree: Tree, run_id: str, at_version: int = LATEST) -> list[Segment]:
    """Root first. continues, branches and resumes inherit the whole path; retries what the retried run inherited;
    spawned_by nothing. Raises RunNotFound."""
    segments = [Segment(run_id, at_version)]
    parent = tree.node(run_id).parent
    while parent is not None and parent.kind != "spawned_by":
        if parent.kind != "retries":
            segments.append(Segment(parent.run_id, parent.at_version))
        parent = tree.node(parent.run_id).parent
    return segments[::-1]


class History:
    """One run's past, as of a position."""

    def __init__(
        self, reader: TenantReader, thread_id: str, run_id: str, *, at_version: int = LATEST, up_to: int = LATEST
    ) -> None:
        self._reader = reader
        self._up_to = up_to
        self.tree = thread_tree(reader, thread_id, up_to)
        if run_id not in self.tree.nodes:
            raise RunNotFound(run_id)
        self.path = path(self.tree, run_id, at_version)

    def events(self, types: tuple[str, ...] = ()) -> Iterator[Recorded]:
        """The events along the path, root first; siblings never appear."""
        return self._of(self.path, types)

    def past_events(self, types: tuple[str, ...] = ()) -> Iterator[Recorded]:
        """The events along the path before the run itself began, root first."""
        return self._of(self.path[:-1], types)

    def _of(self, segments: Iterable[Segment], types: tuple[str, ...]) -> Iterator[Recorded]:
        parts = [StreamPart(segment.run_id, 0, segment.up_to_version, self._up_to) for segment in segments]
        return self._reader.streams(parts, types)

    def messages(self) -> list[Message]:
        """The conversation: for each message the nearest run's latest revision, in the order in which they were added."""
        return self.said().shown()

    def said(self) -> Said:
        """What was said along the path, and what of it may not be shown any more: by now, whenever is asked about."""
        said = Said()
        for recorded in self.events(("message.*",)):
            said.take_in(recorded)
        for recorded in self._redacted_since():
            said.take_in(recorded)
        return said

    def _redacted_since(self) -> Iterator[Recorded]:
        """What runs of the path redacted after it left them, or after what is asked about."""
        reader, end = self._reader.present, self.path[-1]
        shows_all = reader is self._reader
        left = {segment.run_id: segment.up_to_version if shows_all else 0 for segment in self.path}
        parts = [StreamPart(run_id, version, LATEST, LATEST) for run_id, version in left.items() if version < LATEST]
        yield from reader.streams(parts, REDACTIONS)
        if left[end.run_id] == LATEST and self._up_to < LATEST:
            yield from redactions(reader, self.tree.thread_id, (end.run_id,), after=self._up_to)

    def approvals(self) -> dict[str, list[Recorded]]:
        """The events of the approvals that the runs of the path waited for, each as far as the path knows it, oldest first."""
        found: dict[str, list[Recorded]] = {}
        for _, recorded in self._of_approvals(self.path):
            found.setdefault(recorded.stream, []).append(recorded)
        return found

    def by_run(self, types: tuple[str, ...], approvals_of: Collection[str]) -> Iterator[tuple[str, Iterator[Recorded]]]:
        """The events of each run of the path, root first, among them those of the approvals that some of the runs waited for.

        The events of a run are taken before the next run is asked for.
        """
        of_approvals: dict[str, list[Recorded]] = {}
        for run_id, recorded in self._of_approvals([each for each in self.path if each.run_id in approvals_of], types):
            of_approvals.setdefault(run_id, []).append(recorded)
        events = self.events(types)
        ahead = next(events, None)

        def own(run_id: str) -> Iterator[Recorded]:
            nonlocal ahead
            while ahead is not None and ahead.stream == run_id:
                yield ahead
                ahead = next(events, None)

        for run_id in (segment.run_id for segment in self.path):
            asked = sorted(of_approvals.get(run_id, ()), key=_position_of)
            yield run_id, heapq.merge(own(run_id), asked, key=_position_of)

    def _of_approvals(self, segments: Sequence[Segment], types: tuple[str, ...] = ()) -> Iterator[tuple[str, Recorded]]:
        """The events of the approvals that some runs of the path waited for, each with its run, one approval after the other."""
        asked = waited_for(self._of(segments, ("run.waiting",)))
        left = self._left_at(set(asked.values()))
        parts = [StreamPart(approval_id, 0, LATEST, left.get(run_id, self._up_to)) for approval_id, run_id in asked.items()]
        return ((asked[recorded.stream], recorded) for recorded in self._reader.streams(parts, types))

    def _left_at(self, runs: Collection[str]) -> dict[str, int]:
        """The positions at which the path leaves some of its runs, as far as it does."""
        ends = [segment for segment in self.path if segment.run_id in runs and segment.up_to_version < LATEST]
        parts = [StreamPart(end.run_id, end.up_to_version - 1, end.up_to_version, self._up_to) for end in ends]
        return {recorded.stream: recorded.position for recorded in self._reader.streams(parts)}

    def tool_calls(self) -> list[ToolCallView]:
        """The tool calls along the path, oldest first, each with what was asked and what was allowed."""
        return as_allowed(fold_tool_calls(self.events(TOOL_CALL_EVENTS)), self.approvals())

    def state(self) -> Any:
        """The shared state document at the end of the path; an empty object where nobody set one."""
        state = SharedState({})
        for recorded in self.events(("state.*",)):
            if isinstance(event := recorded.event, StateSnapshotTaken | StatePatched):
                state.evolve(event)
        return state.value


def _position_of(recorded: Recorded) -> int:
    return recorded.position


def messages_left(events: Iterable[Recorded]) -> dict[str, MessageState]:
    """Return what the rules must know of each message of a past, from events of messages."""
    said = Said()
    for recorded in events:
        said.take_in(recorded)
    return {message_id: _state_of(message) for message_id, message in said.messages.items()}


def calls_left(events: Iterable[Recorded]) -> dict[str, ToolCallState]:
    """Return what the rules must know of each tool call of a past, from `TOOL_CALL_EVENTS`."""
    found: dict[str, ToolCallState] = {}
    for recorded in events:
        match recorded.event:
            case ToolCalled() as called:
                found[called.call_id] = ToolCallState(0, called.needs_approval, name=called.name, asked_by=recorded.stream)
            case ToolStarted() as started if known := found.get(started.call_id):
                known.status, known.execution_key = "started", started.execution_key
            case ToolSucceeded() | ToolFailed() | ToolCancelled() as ended if known := found.get(ended.call_id):
                known.status, known.ended, known.ended_with_run = _ENDED_AS[type(ended)], ended, False
            case RunFailed() | RunCancelled() as ending:
                for known in (found[call_id] for call_id in ending.closed_tool_calls if call_id in found):
                    known.status, known.ended_with_run = _ENDED_AS[type(ending)], True
            case _:
                continue
    return found


def _state_of(message: Message) -> MessageState:
    length = sum(len(part.text) for part in message.content if isinstance(part, TextPart))
    return MessageState(message.role, message.revision, 0, length, message.streaming)


def fold_tool_calls(events: Iterable[Recorded]) -> list[ToolCallView]:
    """The tool calls that some events tell of, oldest first."""
    found: dict[str, ToolCallView] = {}
    for recorded in events:
        match recorded.event:
            case ToolCalled() as called:
                found[called.call_id] = ToolCallView.called(called, recorded)
            case ToolStarted() | ToolSucceeded() | ToolFailed() | ToolCancelled() as event if event.call_id in found:
                found[event.call_id] = found[event.call_id].evolved(event, recorded)
            case RunFailed() | RunCancelled() as ending:
                for call_id in found.keys() & set(ending.closed_tool_calls):
                    found[call_id] = found[call_id].closed(ending, recorded)
            case _:
                continue
    return list(found.values())
