"""What the ledger holds of an AG-UI conversation from before these files: the turns that came before theirs."""

from collections.abc import Iterable
from typing import Any

from runfold.domain.approval_events import ApprovalDenied, ApprovalExpired, ApprovalGranted, ApprovalRequested, ApprovalWithdrawn
from runfold.domain.message import MessageAdded, MessageRevised
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCompleted, RunCreated
from runfold.domain.step import StatePatched, StateSnapshotTaken, apply_patch
from runfold.domain.tool_call import ToolCalled, ToolCancelled, ToolFailed, ToolSucceeded
from runfold.importers.ag_ui.conversation import Asked, Conversation
from runfold.importers.ag_ui.grouping import Group
from runfold.importers.ag_ui.history import Call, Past


def remember(talk: Conversation, group: Group, events: Iterable[Recorded]) -> None:
    """Begin a conversation with the turns before its own, as the ledger has them."""
    memory = _Memory(talk, group)
    for recorded in events:
        memory.take(recorded)


class _Memory:
    def __init__(self, talk: Conversation, group: Group) -> None:
        self._talk = talk
        self._own = {group.run_id(turn.key) for turn in group.turns}
        self._half = {group.run_id(turn.key) for turn in group.turns if turn.request is None}
        """Of these, those of which this import does not have what the client sent: it may have answered calls."""
        self._first = group.turns[0]
        self._said: dict[str, Past] = {}
        self._calls: dict[str, Call] = {}
        self._source_ids: dict[str, str] = {}
        """Of calls: the source's own, by ours."""
        self._asked: dict[str, Asked] = {}

    def take(self, recorded: Recorded) -> None:
        """Note what an event tells, if it is of a turn before these."""
        run_id, event = recorded.stream, recorded.event
        if isinstance(event, RunCreated) and run_id not in self._own and self._is_earlier(recorded, event):
            is_subagents = event.parent is not None and event.parent.kind == "spawned_by"
            if is_subagents and event.parent is not None and event.parent.run_id not in self._talk.runs:
                return
            self._talk.runs.add(run_id)
            self._talk.history.remembered[run_id] = None
            if is_subagents:
                self._talk.subagents.add(run_id)
            else:
                self._talk.last = run_id
        if isinstance(event, RunCreated) and run_id in self._half and event.parent is not None and event.parent.kind == "resumes":
            self._talk.resumed_by[run_id] = event.parent.run_id
        if isinstance(event, ApprovalRequested) and event.run_id in self._talk.runs:
            self._ask(run_id, event)
        elif isinstance(event, ApprovalGranted | ApprovalDenied | ApprovalExpired | ApprovalWithdrawn):
            self._decide(run_id, event)
        elif run_id in self._talk.runs:
            self._take_in(run_id, event)
        elif run_id in self._half and isinstance(event, ToolSucceeded | ToolFailed) and event.call_id in self._calls:
            call = self._calls[event.call_id]
            call.is_answered, call.answered_in = True, run_id

    def _is_earlier(self, recorded: Recorded, created: RunCreated) -> bool:
        first, number = self._first, created.metadata.get("turn")
        if first.is_numbered and isinstance(number, int):
            return number < first.number
        at = next((source.at for source in first.sources if source.at is not None), None)
        return at is None or recorded.happened_at <= at

    def _take_in(self, run_id: str, event: Any) -> None:
        history = self._talk.history
        match event:
            case MessageAdded(role="tool"):
                past = Past(
                    "tool", event.content, "", event.message_id, run_id, self._source_ids.get(event.tool_call_id or "", "")
                )
                history.add(past)
            case MessageAdded() if event.role != "activity":
                self._said[event.message_id] = history.add(Past(event.role, event.content, "", event.message_id, run_id))
            case MessageRevised() if event.message_id in self._said:
                self._said[event.message_id].parts = event.content
            case RunCompleted():
                history.completed.add(run_id)
            case ToolCalled():
                self._call(event)
            case ToolSucceeded() | ToolFailed() | ToolCancelled() if event.call_id in self._calls:
                self._calls[event.call_id].is_answered = True
            case StateSnapshotTaken():
                self._talk.state = event.state
            case StatePatched():
                self._talk.state = apply_patch(self._talk.state, list(event.patch))
            case _:
                return

    def _call(self, event: ToolCalled) -> None:
        source_id = event.provider_call_id or ""
        call = self._calls[event.call_id] = Call(event.call_id, event.name, event.arguments_text)
        self._source_ids[event.call_id] = source_id
        self._talk.history.calls.setdefault(source_id, []).append(call)

    def _ask(self, approval_id: str, event: ApprovalRequested) -> None:
        call = self._calls.get(event.call_id or "")
        if call is not None:
            call.approval_id = approval_id
        self._asked[approval_id] = self._talk.asked_before[approval_id] = Asked(approval_id, event.run_id, call, event.expires_at)

    def _decide(self, approval_id: str, event: Any) -> None:
        asked = self._asked.get(approval_id)
        self._talk.asked_before.pop(approval_id, None)
        if asked is not None and asked.call is not None and isinstance(event, ApprovalGranted):
            asked.call.approved_text = event.effective_arguments_text
