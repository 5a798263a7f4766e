"""What an import needs of AG-UI's events and of what clients send."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from runfold.importers.ag_ui.told import told_in
from runfold.importers.fitting import Count, is_in_utc
from runfold.importers.sources import CamelShape

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((10**8, 10**11, 10**6), (10**11, 10**14, 10**3), (10**14, 10**17, 1))
"""Seconds, milliseconds and microseconds since 1970, told apart by their size; what one has of microseconds."""


def moment(value: Any) -> datetime | None:
    """A time as producers write it: a number since 1970, milliseconds by custom, or RFC 3339 with a zone. None for others."""
    if isinstance(value, str):
        try:
            value = float(value) if value.strip().replace(".", "", 1).isdigit() else datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo is not None and is_in_utc(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for least, most, microseconds in _UNITS:
        if least <= value < most:
            return _EPOCH + timedelta(microseconds=round(value * microseconds))
    return None


Words = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""Text that may be null, as if it were left out."""


class Interrupt(CamelShape):
    """What the agent waits for."""

    id: str
    reason: str = "interrupt"
    message: str | None = None
    tool_call_id: str | None = None
    response_schema: dict[str, Any] | None = None
    expires_at: Any = None


class Outcome(CamelShape):
    """How a run ended."""

    type: Literal["success", "interrupt", "cancelled", "suspended"] = "success"
    interrupts: tuple[Interrupt, ...] = ()


class Used(CamelShape):
    """Tokens of a run."""

    provider: str | None = None
    model: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None


class ToldShape(CamelShape):
    """What may come from a ledger of Runfold."""

    metadata: Any = None

    @property
    def told(self) -> dict[str, Any]:
        """Return what a ledger of Runfold says of it, where it comes from one."""
        return told_in(self.metadata)


class AgUiEvent(ToldShape):
    """An event. Which fields must be there depends on its type."""

    type: str
    timestamp: Any = None
    message_id: Words = ""
    role: Words = ""
    delta: Any = None
    tool_call_id: Words = ""
    tool_call_name: Words = ""
    parent_message_id: Words = ""
    content: Any = None
    snapshot: Any = None
    step_name: Words = ""
    activity_type: Words = ""
    message: Words = ""
    messages: tuple[Any, ...] = ()
    code: str | None = None
    outcome: Outcome | None = None
    input: Any = None
    usage: tuple[Used, ...] | None = None
    name: Any = None
    value: Any = None
    patch: Any = None
    replace: Any = None
    result: Any = None
    description: Any = None
    subagent_run_id: Words = ""
    parent_subagent_run_id: Words = ""
    parent_tool_call_id: Words = ""

    @property
    def at(self) -> datetime | None:
        """Return its time; None where there is none that can be told for certain."""
        return moment(self.timestamp)


class Started(CamelShape):
    """What a request, or the event that starts a run, says of it."""

    timestamp: Any = None
    thread_id: Words = ""
    run_id: Words = ""
    parent_run_id: Words = ""


class Function(CamelShape):
    """What is called."""

    name: str
    arguments: Words = ""


class SentCall(CamelShape):
    """A tool call in a message of the client."""

    id: str
    function: Function
    metadata: Any = None

    @property
    def is_partial(self) -> bool:
        """Return whether a ledger of Runfold says that its arguments are not whole."""
        return told_in(self.metadata).get("is_partial") is True


class Sent(ToldShape):
    """A message of the client."""

    id: Words = ""
    role: Literal["system", "developer", "user", "assistant", "tool", "reasoning", "activity"]
    content: Any = None
    tool_calls: tuple[SentCall, ...] | None = None
    tool_call_id: Words = ""
    error: str | None = None
    activity_type: Words = ""
    subagent_run_id: Words = ""


class Resume(ToldShape):
    """The answer to an interrupt."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"] = "resolved"
    payload: Any = None


class Request(CamelShape):
    """What the client sent."""

    thread_id: Words = ""
    run_id: Words = ""
    parent_run_id: Words = ""
    messages: tuple[Any, ...] = ()
    state: Any = None
    tools: tuple[Any, ...] | None = None
    context: tuple[Any, ...] | None = None
    resume: tuple[Any, ...] | None = None
