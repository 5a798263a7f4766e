"""Letta's Run and RunUpdate: a run of the ledger in Letta's words, and a change in Letta's words as commands.

Letta's organisation is the tenant, its conversation the thread. Its five states have no word for a run that waits: one that waits
for an approval is shown as Letta shows it, completed with `requires_approval`, and goes on being a run that has not ended.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from runfold.domain.run_events import ENDING_OF_STOP_REASON, RunCreated, RunFailed, RunMetadataMerged, RunWaiting
from runfold.errors import UsageError
from runfold.handles.run import Run as RunHandle
from runfold.ledger import Ledger
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs.summary import RunSummary
from runfold.queries.reading import Reading
from runfold.remote.ledger import RemoteLedger

_ID, _LETTAS_ID = "run_", "run-"
_METADATA = AliasChoices("metadata_", "metadata")


class RunStatus(StrEnum):
    """How a run stands, in Letta's five words."""

    created = "created"
    running = "running"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


class StopReasonType(StrEnum):
    """Why a run stopped, in Letta's thirteen words."""

    end_turn = "end_turn"
    error = "error"
    llm_api_error = "llm_api_error"
    invalid_llm_response = "invalid_llm_response"
    invalid_tool_call = "invalid_tool_call"
    max_steps = "max_steps"
    max_tokens_exceeded = "max_tokens_exceeded"
    no_tool_call = "no_tool_call"
    tool_rule = "tool_rule"
    cancelled = "cancelled"
    insufficient_credits = "insufficient_credits"
    requires_approval = "requires_approval"
    context_window_overflow_in_system_prompt = "context_window_overflow_in_system_prompt"

    @property
    def run_status(self) -> RunStatus:
        """The one state that it means in Letta."""
        if self is StopReasonType.requires_approval:
            return RunStatus.completed
        return RunStatus(ENDING_OF_STOP_REASON[self.value])


_OURS: dict[str, StopReasonType] = {
    "completed": StopReasonType.end_turn,
    "failed": StopReasonType.error,
    "cancelled": StopReasonType.cancelled,
}
"""What a stop reason that Letta has no word for is to it, by the state that it means."""


class RequestConfig(BaseModel):
    """How the messages of a run are shown to who asked for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    use_assistant_message: bool = True
    assistant_message_tool_name: str = "send_message"
    assistant_message_tool_kwarg: str = "message"
    include_return_message_types: list[str] | None = None


class Run(BaseModel):
    """A run, with Letta's fields. Its metadata come as `metadata_` or `metadata`, and go out as `metadata`."""

    model_config = ConfigDict(frozen=True)

    id: str
    """`run-` and a UUID where the ledger made the id; else as it was given."""
    status: RunStatus = RunStatus.created
    created_at: datetime
    completed_at: datetime | None = None
    """When it ended; of one that waits for an approval, since when."""
    agent_id: str
    conversation_id: str | None = None
    base_template_id: str | None = None
    background: bool | None = None
    metadata: dict[str, Any] | None = Field(None, validation_alias=_METADATA)
    """Its metadata, with the `error` that it failed with."""
    request_config: RequestConfig | None = None
    stop_reason: StopReasonType | None = None
    callback_url: str | None = None
    callback_sent_at: datetime | None = None
    callback_status_code: int | None = None
    callback_error: str | None = None
    ttft_ns: int | None = None
    total_duration_ns: int | None = None
    """As it reported, else from its beginning to its end."""

    @property
    def metadata_(self) -> dict[str, Any] | None:
        """The metadata, under the name that they have in Letta's tables."""
        return self.metadata


class RunUpdate(BaseModel):
    """What Letta lets be changed of a run. What is left out or null changes nothing, and metadata are merged key by key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: RunStatus | None = None
    completed_at: datetime | None = None
    stop_reason: StopReasonType | None = None
    metadata: dict[str, Any] | None = Field(None, validation_alias=_METADATA)
    total_duration_ns: int | None = None

    @property
    def metadata_(self) -> dict[str, Any] | None:
        """The metadata, under the name that they have in Letta's tables."""
        return self.metadata


def run_view(reading: Reading, run_id: str) -> Run:
    """Return a run as Letta shows it, by Letta's id or ours, now or as of the moment asked about. Raises RunNotFound."""
    run_id = ledger_id(run_id)
    row, metadata, facts = RunSummary(run_id=run_id), dict[str, Any](), dict[str, Any]()
    for recorded in reading.run_events(run_id):
        row = _RUNS.evolve(row, recorded)
        match recorded.event:
            case RunCreated() as created:
                metadata |= created.metadata
                facts |= {"request_config": _config(created.request_config), "callback_url": created.callback_url}
            case RunMetadataMerged() as merged:
                metadata = {name: value for name, value in {**metadata, **merged.patch}.items() if value is not None}
            case RunWaiting():
                facts["waiting_since"] = recorded.happened_at
            case RunFailed() as failed:
                facts["error"] = failed.error.message
            case _:
                continue
    if (error := facts.pop("error", None)) is not None:
        metadata = {"error": error, **metadata}
    waiting_since = facts.pop("waiting_since", None)
    if facts["callback_url"] is not None:
        told = reading.callback(run_id)
        facts |= {name: getattr(told, name) for name in ("callback_sent_at", "callback_status_code", "callback_error")}
    return Run(
        id=lettas_id(run_id),
        status=_status(row),
        created_at=row.created_at,
        completed_at=row.finished_at or (waiting_since if row.waiting_for else None),
        agent_id=row.agent_id,
        conversation_id=row.thread_id,
        base_template_id=_text(metadata.get("base_template_id")),
        background=row.background,
        metadata_=metadata,
        stop_reason=_stop_reason(row),
        ttft_ns=row.ttft_ns,
        total_duration_ns=row.duration_ns,
        **facts,
    )


def update_run(ledger: Ledger | RemoteLedger, run_id: str, update: RunUpdate) -> Run:
    """Carry out a change in one transaction and return the run after it. Raises CommandRefused for what a run cannot become.

    A stop reason without a state means the state that Letta has for it. `completed_at` is when the end happened. A key of the
    metadata that is null is removed.
    """
    with ledger.batch() as batch:
        _apply(batch.run(ledger_id(run_id)), update, ledger.now.run(ledger_id(run_id)).status)
    return run_view(ledger.now, run_id)


def lettas_id(run_id: str) -> str:
    """Return the id that Letta would give: `run-` and a UUID; an id that holds no UUID as it is."""
    number = _number(run_id.removeprefix(_ID)) if run_id.startswith(_ID) else None
    return run_id if number is None or run_id != _ID + number.hex else f"{_LETTAS_ID}{number}"


def ledger_id(run_id: str) -> str:
    """Return the ledger's id for Letta's; one of ours as it is."""
    number = _number(run_id.removeprefix(_LETTAS_ID)) if run_id.startswith(_LETTAS_ID) else None
    return run_id if number is None or run_id != f"{_LETTAS_ID}{number}" else _ID + number.hex


_RUNS = RunSummaries()


def _number(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _config(given: dict[str, Any] | None) -> RequestConfig | None:
    """Return the request's configuration where it is Letta's; anybody may have one of their own."""
    try:
        return None if given is None else RequestConfig.model_validate(given)
    except ValidationError:
        return None


def _status(row: RunSummary) -> RunStatus:
    if row.waiting_for:
        return RunStatus.completed
    return RunStatus.running if row.status in {"waiting", "stuck"} else RunStatus(row.status)


def _stop_reason(row: RunSummary) -> StopReasonType | None:
    if row.stop_reason is None:
        return None
    if row.stop_reason in StopReasonType.__members__:
        return StopReasonType(row.stop_reason)
    return _OURS[ENDING_OF_STOP_REASON[row.stop_reason]]


def _apply(run: RunHandle, update: RunUpdate, status: str) -> None:
    if update.metadata:
        run.merge_metadata(update.metadata)
    if update.total_duration_ns is not None:
        run.record_timing(total_duration_ns=update.total_duration_ns)
    asked = update.status or (update.stop_reason and update.stop_reason.run_status)
    if update.stop_reason is StopReasonType.requires_approval:
        raise UsageError("a run stops for an approval when it requests one: `run.request_approval(…)`")
    at: dict[str, Any] = {} if update.completed_at is None else {"occurred_at": update.completed_at}
    reason: dict[str, Any] = {} if update.stop_reason is None else {"stop_reason": update.stop_reason.value}
    match asked:
        case RunStatus.running if status == "created":
            run.start()
        case RunStatus.completed:
            run.complete(**reason, **at)
        case RunStatus.failed:
            run.fail(str((update.metadata or {}).get("error") or reason.get("stop_reason", "error")), **reason, **at)
        case RunStatus.cancelled:
            run.cancel(**reason, **at)
        case _:
            return
