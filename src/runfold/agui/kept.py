"""AG-UI's events for which the ledger has none: each is kept whole, as a message of role `activity`, and given back."""

from typing import Any

from runfold.agui.wire_key import KEY
from runfold.domain.message import MessageAdded
from runfold.domain.parts import DataPart

KEPT = frozenset({"RAW", "CUSTOM", "REASONING_ENCRYPTED_VALUE"})
"""The known types that are kept so; every unknown one is, too."""
MAPPED = frozenset(
    {
        *(f"{stem}_{phase}" for stem in ("TEXT_MESSAGE", "REASONING_MESSAGE") for phase in ("START", "CONTENT", "END", "CHUNK")),
        *(f"TOOL_CALL_{phase}" for phase in ("START", "ARGS", "END", "CHUNK", "RESULT")),
        *(f"{stem}_{phase}" for stem in ("REASONING",) for phase in ("START", "END")),
        *("STATE_SNAPSHOT", "STATE_DELTA", "MESSAGES_SNAPSHOT", "ACTIVITY_SNAPSHOT", "ACTIVITY_DELTA"),
        *("RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "STEP_STARTED", "STEP_FINISHED"),
        *("SUBAGENT_STARTED", "SUBAGENT_FINISHED", "SUBAGENT_ERROR"),
    }
)
"""The types that become events of the ledger."""


def kept_parts(event: dict[str, Any]) -> tuple[DataPart]:
    """Return the content of the message that keeps an event."""
    return (DataPart(data=event, name=str(event["type"])[:500]),)


def kept_event(added: MessageAdded) -> dict[str, Any] | None:
    """Return the event that a message keeps; None for any other message."""
    match added.content:
        case (DataPart(data={"type": str(kind)} as event, name=name),) if name == kind[:500] and kind not in MAPPED:
            return event if added.role == "activity" and added.activity_type == name else None
        case _:
            return None


def given_back(event: dict[str, Any], told: dict[str, Any], subagent_run_id: str | None) -> dict[str, Any]:
    """Return a kept event as it came, with its place in the ledger, attributed as everything else of its owner is."""
    metadata = event.get("metadata")
    found = {**event, "metadata": {**(metadata if isinstance(metadata, dict) else {}), KEY: told}}
    found.pop("subagentRunId", None)
    return found if subagent_run_id is None else {**found, "subagentRunId": subagent_run_id}
