"""The path root → run, folded straight from the log: the conversation and the shared state as of a run, a position or a time."""

from collections.abc import Iterable, Iterator
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
from runfold.store.reading.reader import LATEST, TenantReader

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
        for segment in self.path:
            yield from self._of(segment, types)

    def past_events(self, types: tuple[str, ...] = ()) -> Iterator[Recorded]:
        """The events along the path before the run itself began, root first."""
        for segment in self.path[:-1]:
            yield from self._of(segment, types)

    def _of(self, segment: Segment, types: tuple[str, ...]) -> Iterator[Recorded]:
        return self._reader.stream(segment.run_id, up_to_version=segment.up_to_version, up_to=self._up_to, types=types)

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
        reader = self._reader.present
        for segment in self.path:
            left = segment.up_to_version if reader is self._reader else 0
            if left < LATEST:
                yield from reader.stream(segment.run_id, after_version=left, types=REDACTIONS)
            elif self._up_to < LATEST:
                yield from redactions(reader, self.tree.thread_id, (segment.run_id,), after=self._up_to)

    def approvals(self) -> dict[str, list[Recorded]]:
        """The events of the approvals that the runs of the path waited for, each as far as the path knows it, oldest first."""
        left = {segment.run_id: self._left_at(segment) for segment in self.path}
        asked = waited_for(self.events(("run.waiting",)))
        found = {approval_id: list(self._reader.stream(approval_id, up_to=left[run_id])) for approval_id, run_id in asked.items()}
        return {approval_id: events for approval_id, events in found.items() if events}

    def _left_at(self, segment: Segment) -> int:
        """The position at which the path leaves a run; the last that is asked about where it does not."""
        version = segment.up_to_version
        if version == LATEST:
            return self._up_to
        left = self._reader.stream(segment.run_id, after_version=version - 1, up_to_version=version, up_to=self._up_to)
        return next((recorded.position for recorded in left), self._up_to)

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
