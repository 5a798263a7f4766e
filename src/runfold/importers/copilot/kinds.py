"""Which kinds of values are read of the events of a session, by the type of the event."""

from collections.abc import Mapping

from runfold.importers.copilot.records import Record
from runfold.importers.turns.values import Fault, listing, mapping, tell_misfits

_Kinds = Mapping[str, type]


def _texts(*names: str) -> dict[str, type]:
    return dict.fromkeys(names, str)


_REQUEST = _texts("toolCallId", "name")
_ANSWERED = _texts("requestId", "answer", "feedback")
_CUT = _texts("summaryContent", "trigger")
OF_EVENTS: Mapping[str, _Kinds] = {
    "user.message": {**_texts("content", "agentMode", "source"), "attachments": list},
    "system.message": _texts("content"),
    "system.notification": _texts("content"),
    "assistant.message": {
        **_texts("content", "model", "reasoningText", "reasoningOpaque", "encryptedContent"),
        "toolRequests": list,
    },
    "tool.execution_start": _texts("toolCallId", "toolName"),
    "tool.user_requested": _texts("toolCallId", "toolName"),
    "tool.execution_complete": {**_texts("toolCallId"), "result": dict, "error": dict},
    "permission.requested": {**_texts("requestId"), "permissionRequest": dict},
    "permission.completed": {**_texts("requestId", "decisionSource"), "result": dict},
    "user_input.requested": {**_texts("requestId", "toolCallId", "question"), "choices": list},
    "exit_plan_mode.requested": _texts("requestId", "summary"),
    "user_input.completed": _ANSWERED,
    "exit_plan_mode.completed": _ANSWERED,
    "subagent.started": _texts("toolCallId", "parentId", "agentName", "agentDisplayName", "agentDescription", "model"),
    "subagent.completed": _texts("toolCallId"),
    "subagent.failed": _texts("toolCallId", "error"),
    "abort": _texts("reason"),
    "session.error": _texts("errorCode", "errorType", "message"),
    "session.start": _texts("sessionId", "selectedModel"),
    "session.model_change": _texts("newModel"),
    "session.title_changed": _texts("title"),
    "session.compaction_complete": _CUT,
    "session.truncation": _CUT,
    "session.snapshot_rewind": _texts("upToEventId"),
    "session.shutdown": {**_texts("errorReason"), "modelMetrics": dict},
}
INSIDE: Mapping[str, Mapping[str, _Kinds]] = {
    "tool.execution_complete": {"result": _texts("content", "detailedContent"), "error": _texts("code", "message")},
    "permission.requested": {"permissionRequest": _texts("kind", "intention", "warning", "toolCallId")},
    "permission.completed": {"result": {**_texts("kind", "feedback", "message", "reason"), "rules": list}},
}
"""Of what stands in a field of an event."""


def tell_misfits_of(record: Record, fault: Fault) -> None:
    """Tell of values of another kind than is read: they are read as absent, and the rest of the event goes in."""
    data = record.data
    tell_misfits(data, {"parentToolCallId": str, **OF_EVENTS.get(record.type, {})}, fault)
    for name, kinds in INSIDE.get(record.type, {}).items():
        tell_misfits(mapping(data.get(name)), kinds, fault, f"{name}.")
    if record.type == "assistant.message":
        for number, request in enumerate(listing(data.get("toolRequests"))):
            tell_misfits(mapping(request), _REQUEST, fault, f"toolRequests.{number}.")
