"""Which kinds of values are read of the events of a session, by the type of the event."""

from collections.abc import Mapping

from runfold.importers.copilot.records import Record
from runfold.importers.turns.values import Fault, listing, mapping, tell_misfits, texts

_Kinds = Mapping[str, type]


_REQUEST = texts("toolCallId", "name")
_ANSWERED = texts("requestId", "answer", "feedback")
_CUT = texts("summaryContent", "trigger")
OF_EVENTS: Mapping[str, _Kinds] = {
    "user.message": {**texts("content", "agentMode", "source"), "attachments": list},
    "system.message": texts("content"),
    "system.notification": texts("content"),
    "assistant.message": {
        **texts("content", "model", "reasoningText", "reasoningOpaque", "encryptedContent"),
        "toolRequests": list,
    },
    "tool.execution_start": texts("toolCallId", "toolName"),
    "tool.user_requested": texts("toolCallId", "toolName"),
    "tool.execution_complete": {**texts("toolCallId"), "result": dict, "error": dict},
    "permission.requested": {**texts("requestId"), "permissionRequest": dict},
    "permission.completed": {**texts("requestId", "decisionSource"), "result": dict},
    "user_input.requested": {**texts("requestId", "toolCallId", "question"), "choices": list},
    "exit_plan_mode.requested": texts("requestId", "summary"),
    "user_input.completed": _ANSWERED,
    "exit_plan_mode.completed": _ANSWERED,
    "subagent.started": texts("toolCallId", "parentId", "agentName", "agentDisplayName", "agentDescription", "model"),
    "subagent.completed": texts("toolCallId"),
    "subagent.failed": texts("toolCallId", "error"),
    "abort": texts("reason"),
    "session.error": texts("errorCode", "errorType", "message"),
    "session.start": texts("sessionId", "selectedModel"),
    "session.model_change": texts("newModel"),
    "session.title_changed": texts("title"),
    "session.compaction_complete": _CUT,
    "session.truncation": _CUT,
    "session.snapshot_rewind": texts("upToEventId"),
    "session.shutdown": {**texts("errorReason"), "modelMetrics": dict},
}
INSIDE: Mapping[str, Mapping[str, _Kinds]] = {
    "tool.execution_complete": {"result": texts("content", "detailedContent"), "error": texts("code", "message")},
    "permission.requested": {"permissionRequest": texts("kind", "intention", "warning", "toolCallId")},
    "permission.completed": {"result": {**texts("kind", "feedback", "message", "reason"), "rules": list}},
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
