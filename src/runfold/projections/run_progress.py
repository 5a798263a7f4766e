"""What shows whether a run gets on: who holds it, when it was last heard of, whether it says or does the same again and again.

Sweepers go by it. All times are those of the store, which is the clock that they are held against. A response is what an
assistant's message says; a turn is the tool calls that the agent asks for at once: those of one message or, where calls name
none, those between one message, model call or step and the next, and no more than are open together. A window is kept with the
run, so a run that goes on after a wait, a new attempt or a crash goes on with its window.
"""

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, get_args

from runfold.domain.compaction import ContextCompacted
from runfold.domain.decision import AnyDecisionEvent
from runfold.domain.event import Event
from runfold.domain.message import AnyMessageEvent, MessageAdded, MessagePartAppended, MessageSealed
from runfold.domain.parts import TextPart
from runfold.domain.problem import AnyProblemEvent
from runfold.domain.recorded import Recorded
from runfold.domain.run import NO_PROGRESS
from runfold.domain.run_events import (
    ENDING_OF_STOP_REASON,
    AnyRunEvent,
    RunCancelled,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunLeaseRenewed,
    RunReleased,
    RunResumed,
    RunStarted,
    RunStuck,
    RunWaiting,
)
from runfold.domain.step import AnyStepEvent, ModelCallStarted, NodeEntered, StepStarted
from runfold.domain.tool_call import AnyToolCallEvent, ToolCalled, ToolCancelled, ToolFailed, ToolSucceeded
from runfold.domain.usage import AnyUsageEvent
from runfold.projections.projection import Key, Projection
from runfold.projections.runs.progress_row import RunProgressRow
from runfold.projections.words.rolling_digest import NOTHING, extended

Changes = dict[str, Any]

_NO_PROGRESS = frozenset(NO_PROGRESS)
_in_order = json.JSONEncoder(sort_keys=True).encode  # `json.dumps` makes one for every call
_MOST_OPEN_CALLS = 100
"""Calls of one turn that are waited for: of more, the last."""
_NO_RESPONSES: Changes = {
    "response_message_id": None,
    "response_digest": NOTHING,
    "response_is_open": False,
    "earlier_response": NOTHING,
    "earlier_responses": 0,
}
_NO_TURNS: Changes = {
    "turn_message_id": None,
    "turn_digest": NOTHING,
    "turn_is_over": False,
    "open_call_ids": (),
    "earlier_turn": NOTHING,
    "earlier_turns": 0,
}
_NO_LEASE: Changes = {"execution_id": None, "worker": None, "lease_expires_at": None}


class RunProgress(Projection[RunProgressRow]):
    """One row per run: whether it gets on, by the store's clock, and what it repeats."""

    name, version, row, key, partition = "run_progress", 2, RunProgressRow, ("run_id",), "thread"
    events = (
        *get_args(AnyMessageEvent),
        *get_args(AnyToolCallEvent),
        *get_args(AnyStepEvent),
        *get_args(AnyUsageEvent),
        *get_args(AnyDecisionEvent),
        *get_args(AnyProblemEvent),
        *get_args(AnyRunEvent),
        ContextCompacted,
    )
    indexes = (("lease_expires_at",), ("kind", "status", "last_heard_at"), ("kind", "repeats"))

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The run whose stream it is."""
        return ((recorded.stream,),)

    def evolve(self, row: RunProgressRow, recorded: Recorded) -> RunProgressRow:
        """Every event moves the version; all but what others say of the run show that it goes on."""
        event = recorded.event
        kind = type(event)
        changes: Changes = {"version": recorded.version}
        if kind not in _NO_PROGRESS:
            changes["last_heard_at"], changes["last_heard_position"] = recorded.recorded_at, recorded.position
            if row.status == "stuck":
                changes |= {"status": "running", "stuck_rule": None, "stuck_at": None, "stuck_position": None}
        change = _CHANGE.get(kind)
        said = change(row, recorded, event) if change is not None else {}
        changes |= said
        if not said and "status" not in changes:  # as of most events: no figure hangs on what they change
            return row.but(changes)
        fields = {**row.__dict__, **changes}
        return row.but(fields, **_figures(fields))


def _figures(row: Changes) -> Changes:
    """Return the figures of a row's fields: what is still being said or done does not count yet."""
    earlier = row["earlier_response"], row["earlier_responses"], row["earlier_responses_since"]
    if row["response_is_open"]:
        _, responses, responses_since = earlier
    else:
        responses, responses_since = _times(row["response_digest"], row["response_position"], earlier)
    earlier = row["earlier_turn"], row["earlier_turns"], row["earlier_turns_since"]
    if row["open_call_ids"] and not row["turn_is_over"]:
        _, turns, turns_since = earlier
    else:
        turns, turns_since = _times(row["turn_digest"], row["turn_position"], earlier)
    return {
        "identical_responses": responses,
        "responses_since": responses_since,
        "identical_tool_calls": turns,
        "tool_calls_since": turns_since,
        "repeats": max(responses, turns) if row["status"] == "running" else 0,
    }


def _times(digest: str, position: int, earlier: tuple[str, int, int]) -> tuple[int, int]:
    """Return how often in a row something has come, and where it first did."""
    if digest == NOTHING:
        return 0, position
    before, times, since = earlier
    return (times + 1, since) if digest == before else (1, position)


def _created(_: RunProgressRow, recorded: Recorded, event: RunCreated) -> Changes:
    kind = "live" if recorded.context.source is None else "imported"
    return {"thread_id": recorded.thread_id, "agent_id": event.agent_id, "kind": kind}


def _started(row: RunProgressRow, _: Recorded, __: RunStarted) -> Changes:
    return {"status": "running", **_turn_over(row)}


def _claimed(row: RunProgressRow, _: Recorded, event: RunClaimed) -> Changes:
    kind = row.kind if row.kind == "imported" else "leased"
    lease = {"execution_id": event.execution_id, "worker": event.worker, "lease_expires_at": event.lease_expires_at}
    return {"kind": kind, **lease}


def _renewed(_: RunProgressRow, __: Recorded, event: RunLeaseRenewed) -> Changes:
    return {"lease_expires_at": event.lease_expires_at}


def _released(_: RunProgressRow, __: Recorded, ___: RunReleased) -> Changes:
    return dict(_NO_LEASE)


def _waiting(_: RunProgressRow, __: Recorded, ___: RunWaiting) -> Changes:
    return {"status": "waiting", **_NO_LEASE}


def _resumed(row: RunProgressRow, _: Recorded, __: RunResumed) -> Changes:
    return {"status": "running", **_turn_over(row)}


def _stuck(_: RunProgressRow, recorded: Recorded, event: RunStuck) -> Changes:
    """What it is stuck by counts anew from here, so that the same window is found once."""
    place = {"stuck_at": recorded.recorded_at, "stuck_position": recorded.position}
    window = {"identical_responses": _NO_RESPONSES, "identical_tool_calls": _NO_TURNS}.get(event.rule, {})
    return {"status": "stuck", "stuck_rule": event.rule, **place, **window}


def _ended(_: RunProgressRow, __: Recorded, event: RunCompleted | RunFailed | RunCancelled) -> Changes:
    no_longer_stuck = {"stuck_rule": None, "stuck_at": None, "stuck_position": None}
    return {"status": ENDING_OF_STOP_REASON[event.stop_reason], **no_longer_stuck, **_NO_LEASE}


# What it says


def _message_added(row: RunProgressRow, recorded: Recorded, event: MessageAdded) -> Changes:
    if event.role != "assistant":
        return {"response_is_open": False} if row.response_is_open else {}
    digest = NOTHING
    for part in event.content:
        if isinstance(part, TextPart):
            digest = extended(digest, part.text)
    times, since = _times(
        row.response_digest, row.response_position, (row.earlier_response, row.earlier_responses, row.earlier_responses_since)
    )
    return {
        "response_message_id": event.message_id,
        "response_digest": digest,
        "response_position": recorded.position,
        "response_is_open": event.streaming,
        "earlier_response": row.response_digest,
        "earlier_responses": times,
        "earlier_responses_since": since,
        **_next_turn(row, recorded, event.message_id, NOTHING),
    }


def _text_appended(row: RunProgressRow, _: Recorded, event: MessagePartAppended) -> Changes:
    if event.message_id != row.response_message_id:
        return {}
    return {"response_digest": extended(row.response_digest, event.text)}


def _sealed(row: RunProgressRow, _: Recorded, event: MessageSealed) -> Changes:
    return {"response_is_open": False} if event.message_id == row.response_message_id else {}


def _node_entered(row: RunProgressRow, _: Recorded, event: NodeEntered) -> Changes:
    return _at_node(row, event.node_id)


def _step_started(row: RunProgressRow, _: Recorded, event: StepStarted) -> Changes:
    return _turn_over(row) if event.node_id is None else _at_node(row, event.node_id)


def _at_node(row: RunProgressRow, node_id: str) -> Changes:
    """At another node, what was said at the one before counts no more."""
    if node_id == row.node_id:
        return _turn_over(row)
    return {"node_id": node_id, **_NO_RESPONSES, **_turn_over(row)}


# What it does


def _model_call_started(row: RunProgressRow, _: Recorded, __: ModelCallStarted) -> Changes:
    return _turn_over(row)


def _turn_over(row: RunProgressRow) -> Changes:
    return {"turn_is_over": True} if row.turn_digest != NOTHING and not row.turn_is_over else {}


def _tool_called(row: RunProgressRow, recorded: Recorded, event: ToolCalled) -> Changes:
    if event.message_id is not None and row.turn_message_id is not None:
        is_same_turn = event.message_id == row.turn_message_id
    else:
        is_same_turn = row.turn_digest == NOTHING or (bool(row.open_call_ids) and not row.turn_is_over)
    if not is_same_turn:
        return {**_next_turn(row, recorded, event.message_id, _call_digest(NOTHING, event)), "open_call_ids": (event.call_id,)}
    return {
        "turn_digest": _call_digest(row.turn_digest, event),
        "turn_position": row.turn_position or recorded.position,
        "turn_is_over": False,
        "open_call_ids": (*row.open_call_ids, event.call_id)[-_MOST_OPEN_CALLS:],
    }


def _next_turn(row: RunProgressRow, recorded: Recorded, message_id: str | None, digest: str) -> Changes:
    earlier = (row.earlier_turn, row.earlier_turns, row.earlier_turns_since)
    times, since = _times(row.turn_digest, row.turn_position, earlier)
    return {
        "turn_message_id": message_id,
        "turn_digest": digest,
        "turn_position": recorded.position,
        "turn_is_over": False,
        "open_call_ids": (),
        "earlier_turn": row.turn_digest,
        "earlier_turns": times,
        "earlier_turns_since": since,
    }


def _call_digest(before: str, event: ToolCalled) -> str:
    """Return a digest of the calls of a turn with one more: the order of the keys of its arguments does not matter."""
    said = event.arguments_text if event.arguments is None else _in_order(event.arguments)
    return sha256(f"{before}\n{json.dumps(event.name)}\n{said}".encode()).hexdigest()[:32]


def _call_ended(row: RunProgressRow, _: Recorded, event: ToolSucceeded | ToolFailed | ToolCancelled) -> Changes:
    if event.call_id not in row.open_call_ids:
        return {}
    return {"open_call_ids": tuple(call_id for call_id in row.open_call_ids if call_id != event.call_id)}


_CHANGE: dict[type[Event], Callable[[RunProgressRow, Recorded, Any], Changes]] = {
    RunCreated: _created,
    RunStarted: _started,
    RunClaimed: _claimed,
    RunLeaseRenewed: _renewed,
    RunReleased: _released,
    RunWaiting: _waiting,
    RunResumed: _resumed,
    RunStuck: _stuck,
    RunCompleted: _ended,
    RunFailed: _ended,
    RunCancelled: _ended,
    MessageAdded: _message_added,
    MessagePartAppended: _text_appended,
    MessageSealed: _sealed,
    NodeEntered: _node_entered,
    StepStarted: _step_started,
    ModelCallStarted: _model_call_started,
    ToolCalled: _tool_called,
    ToolSucceeded: _call_ended,
    ToolFailed: _call_ended,
    ToolCancelled: _call_ended,
}
"""What each class of event changes, beside the version and when the run was last heard of."""
