"""hive's words for what happens in an execution, and which of our events each stands for."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from runfold.domain.recorded import Recorded


class EventType(StrEnum):
    """What happened, in hive's words."""

    EXECUTION_STARTED = "execution_started"
    EXECUTION_COMPLETED = "execution_completed"
    EXECUTION_FAILED = "execution_failed"
    EXECUTION_PAUSED = "execution_paused"
    EXECUTION_RESUMED = "execution_resumed"
    EXECUTION_RESURRECTED = "execution_resurrected"
    STATE_CHANGED = "state_changed"
    STATE_CONFLICT = "state_conflict"
    GOAL_PROGRESS = "goal_progress"
    GOAL_ACHIEVED = "goal_achieved"
    CONSTRAINT_VIOLATION = "constraint_violation"
    NODE_LOOP_STARTED = "node_loop_started"
    NODE_LOOP_ITERATION = "node_loop_iteration"
    NODE_LOOP_COMPLETED = "node_loop_completed"
    NODE_STALLED = "node_stalled"
    NODE_TOOL_DOOM_LOOP = "node_tool_doom_loop"
    NODE_RETRY = "node_retry"
    NODE_INPUT_BLOCKED = "node_input_blocked"
    LLM_TEXT_DELTA = "llm_text_delta"
    LLM_REASONING_DELTA = "llm_reasoning_delta"
    LLM_TURN_COMPLETE = "llm_turn_complete"
    TOOL_CALL_STARTED = "tool_call_started"
    TOOL_CALL_COMPLETED = "tool_call_completed"
    CLIENT_OUTPUT_DELTA = "client_output_delta"
    CLIENT_INPUT_REQUESTED = "client_input_requested"
    CLIENT_INPUT_RECEIVED = "client_input_received"
    CLIENT_INPUT_COMMITTED = "client_input_committed"
    JUDGE_VERDICT = "judge_verdict"
    OUTPUT_KEY_SET = "output_key_set"
    EDGE_TRAVERSED = "edge_traversed"
    CONTEXT_COMPACTED = "context_compacted"
    WEBHOOK_RECEIVED = "webhook_received"
    ESCALATION_REQUESTED = "escalation_requested"
    SESSION_FORKED = "session_forked"
    CUSTOM = "custom"


NEVER_RECORDED: dict[EventType, str] = {
    EventType.STATE_CONFLICT: "a patch that does not apply is refused and changes nothing",
    EventType.GOAL_PROGRESS: "it is the answer to a question, `ledger.now.goal_progress`, at any moment",
    EventType.GOAL_ACHIEVED: "it is the answer to a question, `ledger.now.goal_progress`, at any moment",
    EventType.NODE_LOOP_COMPLETED: "that a node is done shows in the next node or edge, or in the end of the run",
    EventType.NODE_RETRY: "another visit of a node is `node_loop_started` again",
    EventType.NODE_INPUT_BLOCKED: "what waits for input is `client_input_requested`",
    EventType.WEBHOOK_RECEIVED: "what a program of yours receives is the input of a run",
    EventType.ESCALATION_REQUESTED: "asking a person is `client_input_requested`",
}
"""The words of hive that no event of ours stands for, each with why: they can be asked for, and never come."""

_TYPES: dict[str, EventType] = {
    "run.completed": EventType.EXECUTION_COMPLETED,
    "run.failed": EventType.EXECUTION_FAILED,
    "run.cancelled": EventType.EXECUTION_FAILED,
    "run.waiting": EventType.EXECUTION_PAUSED,
    "run.resumed": EventType.EXECUTION_RESUMED,
    "state.snapshot_taken": EventType.STATE_CHANGED,
    "state.patched": EventType.STATE_CHANGED,
    "constraint.violated": EventType.CONSTRAINT_VIOLATION,
    "node.entered": EventType.NODE_LOOP_STARTED,
    "step.started": EventType.NODE_LOOP_ITERATION,
    "model_call.finished": EventType.LLM_TURN_COMPLETE,
    "tool.called": EventType.TOOL_CALL_STARTED,
    "tool.succeeded": EventType.TOOL_CALL_COMPLETED,
    "tool.failed": EventType.TOOL_CALL_COMPLETED,
    "tool.cancelled": EventType.TOOL_CALL_COMPLETED,
    "approval.requested": EventType.CLIENT_INPUT_REQUESTED,
    "approval.vote_cast": EventType.CLIENT_INPUT_RECEIVED,
    "approval.granted": EventType.CLIENT_INPUT_COMMITTED,
    "decision.evaluated": EventType.JUDGE_VERDICT,
    "run.output_recorded": EventType.OUTPUT_KEY_SET,
    "node.edge_traversed": EventType.EDGE_TRAVERSED,
    "context.compacted": EventType.CONTEXT_COMPACTED,
}
_BY_CONTENT: dict[str, tuple[str, dict[Any, EventType]]] = {
    "run.stuck": ("rule", {"identical_tool_calls": EventType.NODE_TOOL_DOOM_LOOP, None: EventType.NODE_STALLED}),
    "run.started": ("attempt", {1: EventType.EXECUTION_STARTED, None: EventType.EXECUTION_RESURRECTED}),
    "message.added": ("role", {"assistant": EventType.CLIENT_OUTPUT_DELTA, "user": EventType.CLIENT_INPUT_RECEIVED}),
}
"""Types whose word depends on a field of the event; None stands for all other values, and else they are custom."""
_BY_ROLE = {"assistant": EventType.LLM_TEXT_DELTA, "reasoning": EventType.LLM_REASONING_DELTA}


def word_of(recorded: Recorded) -> EventType:
    """Return hive's word for what was recorded: one for each event, `custom` where hive has none."""
    if (found := _TYPES.get(recorded.type)) is not None:
        return found
    if recorded.type == "message.part_appended":
        return _BY_ROLE.get(recorded.context.message_role or "", EventType.CUSTOM)
    if recorded.type == "run.created":
        parent = getattr(recorded.event, "parent", None)
        return EventType.SESSION_FORKED if parent is not None and parent.kind == "branches" else EventType.CUSTOM
    name, words = _BY_CONTENT.get(recorded.type, ("", {}))
    return words.get(getattr(recorded.event, name, None)) or words.get(None) or EventType.CUSTOM


def types_for(words: Iterable[EventType]) -> tuple[str, ...]:
    """Return the types of events that may stand for any of the words; none where that may be any type."""
    wanted = set(words)
    if EventType.CUSTOM in wanted:
        return ()
    found = [name for name, word in _TYPES.items() if word in wanted]
    found += [name for name, (_, by) in _BY_CONTENT.items() if wanted & set(by.values())]
    found += ["message.part_appended"] if wanted & set(_BY_ROLE.values()) else []
    found += ["run.created"] if EventType.SESSION_FORKED in wanted else []
    return tuple(found)


@dataclass(frozen=True)
class AgentEvent:
    """Something that happened in an execution, in hive's words. `seq` is its position in the ledger, which never starts anew."""

    type: EventType
    stream_id: str
    node_id: str | None = None
    execution_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    """What our event says, with our word for it as `event`."""
    timestamp: datetime = datetime.min
    correlation_id: str | None = None
    run_id: str | None = None
    graph_id: str | None = None
    colony_id: str | None = None
    seq: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**told, "type": self.type.value, "timestamp": self.timestamp.isoformat()}
