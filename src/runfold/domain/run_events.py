"""The events of a run's life, and the words for how it ended."""

from typing import Literal

from pydantic import Field

from runfold.domain.event import Event
from runfold.domain.tool_call import Failure
from runfold.domain.values import (
    ApprovalId,
    Digest,
    Id,
    Json,
    JsonObject,
    Label,
    Nanoseconds,
    RunId,
    Text,
    ThreadId,
    Time,
    Value,
    Version,
)

Status = Literal["created", "running", "waiting", "stuck", "completed", "failed", "cancelled"]
Ending = Literal["completed", "failed", "cancelled"]
ParentKind = Literal["continues", "branches", "resumes", "retries", "spawned_by"]
FOLLOWED: frozenset[ParentKind] = frozenset({"continues", "resumes", "retries"})
"""The kinds of child run that a head follows by itself; a branch and a sub-agent leave it where it is."""

StuckRule = Literal["idle", "lease_expired", "identical_responses", "identical_tool_calls", "manual"]

STATUS_ALIASES = {
    "pending": "created",
    "success": "completed",
    "canceled": "cancelled",
    "active": "running",
    "paused": "waiting",
}

ENDING_OF_STOP_REASON: dict[str, Ending] = {
    "end_turn": "completed",
    "max_steps": "completed",
    "tool_rule": "completed",
    "error": "failed",
    "llm_api_error": "failed",
    "invalid_llm_response": "failed",
    "invalid_tool_call": "failed",
    "no_tool_call": "failed",
    "max_tokens_exceeded": "failed",
    "insufficient_credits": "failed",
    "context_window_overflow_in_system_prompt": "failed",
    "lease_expired": "failed",
    "incomplete": "failed",
    "stalled": "failed",
    "tool_doom_loop": "failed",
    "approval_denied": "failed",
    "approval_expired": "failed",
    "budget_exceeded": "failed",
    "content_filter": "failed",
    "cancelled": "cancelled",
    "client_disconnected": "cancelled",
}
"""Every stop reason and the one status it means: Letta's thirteen (`requires_approval` belongs to a wait) and ours."""

StopReason = Literal[
    "end_turn",
    "max_steps",
    "tool_rule",
    "error",
    "llm_api_error",
    "invalid_llm_response",
    "invalid_tool_call",
    "no_tool_call",
    "max_tokens_exceeded",
    "insufficient_credits",
    "context_window_overflow_in_system_prompt",
    "lease_expired",
    "incomplete",
    "stalled",
    "tool_doom_loop",
    "approval_denied",
    "approval_expired",
    "budget_exceeded",
    "content_filter",
    "cancelled",
    "client_disconnected",
]


class Parent(Value):
    """The run that a run continues, and the version at which it leaves it."""

    run_id: RunId
    kind: ParentKind
    at_version: Version


class Criterion(Value):
    """A criterion by which a goal is reached."""

    id: Id
    description: Text
    metric: Literal["output_contains", "output_equals", "llm_judge", "custom"] = "custom"
    target: Json = None
    weight: float = Field(1.0, ge=0, le=1)


class Constraint(Value):
    """A constraint that a run towards a goal must respect."""

    id: Id
    description: Text = ""
    kind: Literal["hard", "soft"] = "soft"
    category: Literal["time", "cost", "safety", "scope", "quality"] | None = None
    check: Text | None = None


class Goal(Value):
    """The goal of a run."""

    id: Id
    description: Text = ""
    criteria: tuple[Criterion, ...] = ()
    constraints: tuple[Constraint, ...] = ()


class RunEvent(Event):
    """Something happened to a run as a whole."""


class RunCreated(RunEvent, type="run.created"):
    """A run was asked for: where it hangs in its thread's tree, and what it starts from."""

    thread_id: ThreadId
    parent: Parent | None = None
    agent_id: Label
    key: Label | None = None
    request_digest: Digest
    input: Json = None
    goal: Goal | None = None
    request_config: JsonObject | None = None
    background: bool = False
    callback_url: Text | None = None
    callback_result: bool | None = None
    """Whether the call of callback_url holds the messages, the stop reason and the usage too."""
    metadata: JsonObject = Field(default_factory=dict)

    def differs_from(self, other: Event) -> str | None:
        """Compare what the caller asked for: a default parent is a different run each time."""
        if not isinstance(other, RunCreated):
            return f"type ({other.type})"
        return None if self.request_digest == other.request_digest else "request"


class RunClaimed(RunEvent, type="run.claimed"):
    """A worker took the run, until its lease expires."""

    execution_id: Id
    worker: Label
    lease_expires_at: Time


class RunLeaseRenewed(RunEvent, type="run.lease_renewed"):
    """The worker still has it."""

    execution_id: Id
    lease_expires_at: Time
    cancellation_requested: bool | None = None
    """Whether the worker was told with it that somebody wants the run to stop. Absent where nobody does."""


class RunReleased(RunEvent, type="run.released"):
    """The worker gave it back."""

    execution_id: Id
    reason: Text | None = None


class RunStarted(RunEvent, type="run.started"):
    """Work on the run began. `attempt` counts from 1."""

    attempt: Version
    agent_version: Label | None = None
    code_version: Label | None = None


class RunWaiting(RunEvent, type="run.waiting"):
    """The run waits for somebody. Each time what it waits for changes, all that is still open is named."""

    reason: Literal["approval", "input", "external"]
    approval_ids: tuple[ApprovalId, ...] = ()
    inherited_call_ids: tuple[Id, ...] = ()
    """Open tool calls of the run's past that the newest of the approvals is about: the run carries them on."""


class RunResumed(RunEvent, type="run.resumed"):
    """The wait is over."""

    by_approval_ids: tuple[ApprovalId, ...] = ()


class RunStuck(RunEvent, type="run.stuck"):
    """The run makes no progress. Any progress ends that by itself."""

    rule: StuckRule
    detail: Text | None = None


class RunCancellationRequested(RunEvent, type="run.cancellation_requested"):
    """Somebody wants the run to stop; the agent has not stopped yet."""

    reason: Text | None = None
    requested_by: Label | None = None


class RunCompleted(RunEvent, type="run.completed"):
    """The run reached its end."""

    stop_reason: StopReason
    output: Json = None
    narrative: Text | None = None


class RunFailed(RunEvent, type="run.failed"):
    """The run could not go on. Its open tool calls failed with it, its open approvals were withdrawn."""

    stop_reason: StopReason
    error: Failure
    closed_tool_calls: tuple[Id, ...] = ()
    closed_tool_names: tuple[Label | None, ...] = ()
    """The tools of those calls; null for one that is not known. Absent in older events."""
    closed_approvals: tuple[ApprovalId, ...] = ()


class RunCancelled(RunEvent, type="run.cancelled"):
    """Somebody stopped the run. What it had said stays; its open tool calls and approvals were closed."""

    stop_reason: StopReason
    reason: Text | None = None
    closed_tool_calls: tuple[Id, ...] = ()
    closed_tool_names: tuple[Label | None, ...] = ()
    """The tools of those calls; null for one that is not known. Absent in older events."""
    closed_approvals: tuple[ApprovalId, ...] = ()


class RunLinked(RunEvent, type="run.linked"):
    """The run belongs to a workflow of another system."""

    workflow_id: Label


class RunMetadataMerged(RunEvent, type="run.metadata_merged"):
    """Keys of the run's metadata were set. Null removes one."""

    patch: JsonObject


class RunOutputRecorded(RunEvent, type="run.output_recorded"):
    """The run's output, before or beside its end. The last one counts. `output_schema` is the JSON Schema it was held to."""

    output: Json = None
    output_schema: JsonObject | None = None


class RunTimingRecorded(RunEvent, type="run.timing_recorded"):
    """How long the run took by its own clock: to the first token, and in all."""

    ttft_ns: Nanoseconds | None = None
    total_duration_ns: Nanoseconds | None = None


AnyRunEvent = (
    RunCreated
    | RunClaimed
    | RunLeaseRenewed
    | RunReleased
    | RunStarted
    | RunWaiting
    | RunResumed
    | RunStuck
    | RunCancellationRequested
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunLinked
    | RunMetadataMerged
    | RunOutputRecorded
    | RunTimingRecorded
)
