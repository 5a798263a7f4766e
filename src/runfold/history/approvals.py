"""The approvals along a path: their events as the path knows them, and what they let its tool calls be carried out with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runfold.domain.approval import Approval
from runfold.domain.json_text import parse_json
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunWaiting
from runfold.domain.values import same
from runfold.errors import InvalidEvent
from runfold.history.views import ApprovalView, ToolCallView

Approvals = Mapping[str, Sequence[Recorded]]
"""The events of each approval, by its id."""


def waited_for(events: Iterable[Recorded]) -> dict[str, str]:
    """The approvals that runs waited for, each with its run."""
    return {
        approval_id: recorded.stream
        for recorded in events
        if isinstance(recorded.event, RunWaiting)
        for approval_id in recorded.event.approval_ids
    }


def approval_view(events: Sequence[Recorded]) -> ApprovalView:
    """An approval after these events of its own, of which there is one at least."""
    approval = Approval(events[0].stream)
    for recorded in events:
        approval.evolve(recorded.event)
    return ApprovalView.of(approval, events[0], events[-1])


def as_allowed(calls: Iterable[ToolCallView], approvals: Approvals) -> list[ToolCallView]:
    """The calls, each with its last approval, and with the arguments that were allowed where they are others than it asked."""
    found = {call.id: call for call in calls}
    for events in approvals.values():
        view = approval_view(events)
        if (call := found.get(view.call_id or "")) is None:
            continue
        changes: dict[str, Any] = {"approval_id": view.id, "approval_status": view.status}
        if (text := view.effective_arguments_text) is not None and is_edited(call.arguments_text, text):
            changes |= {"effective_arguments_text": text, "effective_arguments": as_read(text)}
        found[call.id] = call.model_copy(update=changes)
    return list(found.values())


def is_edited(asked: str, allowed: str) -> bool:
    """Return whether other arguments were allowed than asked, and not only written otherwise."""
    if asked == allowed:
        return False
    one, other = as_read(asked), as_read(allowed)
    return one is None or other is None or not same(one, other)


def as_read(text: str) -> Any:
    """The JSON of a text; None where it is none."""
    try:
        return parse_json(text)
    except InvalidEvent:
        return None
