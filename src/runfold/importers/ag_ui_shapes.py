"""What an import needs of AG-UI's events and of what clients send."""

from datetime import UTC, datetime
from typing import Any, Literal

from runfold.importers.sources import CamelShape


class Interrupt(CamelShape):
    """What the agent waits for."""

    id: str
    reason: str
    message: str | None = None
    tool_call_id: str | None = None
    response_schema: dict[str, Any] | None = None
    expires_at: datetime | None = None


class Outcome(CamelShape):
    """How a run ended."""

    type: Literal["success", "interrupt", "cancelled"] = "success"
    interrupts: tuple[Interrupt, ...] = ()


class Used(CamelShape):
    """Tokens of a run. Reasoning is part of the output."""

    provider: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_input_tokens: int | None = None


class AgUiEvent(CamelShape):
    """An event. Which fields must be there depends on its type."""

    type: str
    timestamp: int | float | None = None
    message_id: str = ""
    role: str = ""
    delta: Any = None
    tool_call_id: str = ""
    tool_call_name: str = ""
    parent_message_id: str = ""
    content: Any = None
    snapshot: Any = None
    step_name: str = ""
    activity_type: str = ""
    message: str = ""
    messages: tuple[dict[str, Any], ...] = ()
    code: str | None = None
    outcome: Outcome = Outcome()
    usage: tuple[Used, ...] = ()

    @property
    def at(self) -> datetime | None:
        """Return its time, which is milliseconds by custom."""
        return None if self.timestamp is None else datetime.fromtimestamp(self.timestamp / 1000, UTC)


class Function(CamelShape):
    """What is called."""

    name: str
    arguments: str = ""


class SentCall(CamelShape):
    """A tool call in a message of the client."""

    id: str
    function: Function


class Sent(CamelShape):
    """A message of the client."""

    id: str = ""
    role: Literal["system", "developer", "user", "assistant", "tool", "reasoning", "activity"]
    content: Any = None
    tool_calls: tuple[SentCall, ...] = ()
    tool_call_id: str = ""


class Resume(CamelShape):
    """The answer to an interrupt."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"] = "resolved"
    payload: Any = None


class Request(CamelShape):
    """What the client sent."""

    thread_id: str = ""
    run_id: str = ""
    parent_run_id: str | None = None
    messages: tuple[dict[str, Any], ...] = ()
    state: Any = None
    tools: tuple[Any, ...] = ()
    context: tuple[Any, ...] = ()
    resume: tuple[Resume, ...] = ()
