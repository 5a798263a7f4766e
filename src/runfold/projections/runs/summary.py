"""The row of the read model of runs: what a run list shows, filters and sorts by, and a run at a glance."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from runfold.domain.run_events import ParentKind, Status
from runfold.projections.projection import Row


class RunSummary(Row):
    """One run."""

    run_id: str
    """The run."""
    thread_id: str = ""
    """The thread whose tree it hangs in."""
    parent_run_id: str | None = None
    """The run it comes from; null for a root."""
    parent_kind: ParentKind | None = None
    """How it comes from it: continues, branches, resumes, retries or spawned_by."""
    agent_id: str = ""
    """Who runs."""
    user_id: str | None = None
    """Whose thread it is."""
    goal_id: str | None = None
    """What it is for."""
    request_key: str | None = None
    """The key under which it was asked for, which makes asking twice ask once."""
    workflow_id: str | None = None
    """The workflow of another system that it belongs to."""
    background: bool = False
    """Whether nobody was to wait for it."""
    has_callback: bool = False
    """Whether somebody is to be called at its end; the address is in the event at created_position."""

    status: Status = "created"
    """created, running, waiting, stuck, completed, failed or cancelled."""
    waiting_reason: Literal["approval", "input", "external"] | None = None
    """What it waits for; null while it does not wait."""
    waiting_for: tuple[str, ...] = ()
    """The approvals it waits for."""
    stop_reason: str | None = None
    """Why it ended; requires_approval while it waits for one."""
    error_code: str | None = None
    """The code of the error it failed with."""
    cancellation_requested: bool = False
    """Whether somebody asked it to stop."""
    attempt: int = 0
    """How many times it began."""
    worker: str | None = None
    """Who works on it, by the last claim that was not given back."""
    execution_id: str | None = None
    """That claim."""
    lease_expires_at: datetime | None = None
    """Until when that claim holds, unless it is renewed."""

    created_at: datetime | None = None
    """When it was asked for, by the producer's clock where it gave one; so are all times here."""
    started_at: datetime | None = None
    """When it first began."""
    finished_at: datetime | None = None
    """When it ended."""
    last_event_at: datetime | None = None
    """When the last event of its stream happened."""
    duration_ns: int | None = None
    """How long it took, in nanoseconds: as it reported, else from its beginning (or creation) to its end.

    Null until it ends, and where its end is before its beginning by the producer's clock.
    """
    reported_duration_ns: int | None = None
    """How long it took by its own clock, if it said so."""
    ttft_ns: int | None = None
    """How long the first token took, if it said so."""

    messages: int = 0
    """Messages it added; those of ancestors that it revised are not among them."""
    revisions: int = 0
    """New wordings it gave to messages, its own or of ancestors."""
    prompt_message_id: str | None = None
    """The first user's message in it."""
    result_message_id: str | None = None
    """The last assistant's message in it."""
    steps: int = 0
    """Steps begun."""
    model_calls: int = 0
    """Model calls: those begun, and those of which only the usage was told."""
    half_told_model_calls: tuple[str, ...] = ()
    """The last hundred of which only the beginning or only the usage was told. Only they tell whether the other is theirs."""
    tool_calls: int = 0
    """Tool calls it asked for, and those of ancestors that it answered."""
    open_tool_calls: int = 0
    """Tool calls without an end."""
    open_call_ids: tuple[str, ...] = ()
    """Which those are, of more than a thousand the last. They tell whether an answer is to a call of this run or an ancestor."""
    failed_tool_calls: int = 0
    """Tool calls that failed, by themselves or with the run."""
    cancelled_tool_calls: int = 0
    """Tool calls that were given up, by themselves or with the run."""
    tools_used: tuple[str, ...] = ()
    """The names of the tools it called, each once, as first called: a thousand at most."""
    nodes_executed: tuple[str, ...] = ()
    """The nodes that its steps, decisions and graph name, each once, as first seen: a thousand at most."""
    edges_traversed: tuple[str, ...] = ()
    """The edges it went along, each once, as first seen: `from->to`, a thousand at most."""
    approvals_requested: int = 0
    """Approvals it asked for."""

    decisions: int = 0
    """Decisions made."""
    outcomes: int = 0
    """Decisions whose outcome is known."""
    successful_decisions: int = 0
    """Decisions that came out well, by their last outcome."""
    failed_decisions: int = 0
    """Decisions that came out badly, by their last outcome."""
    decision_tokens: int | None = None
    """Tokens of all outcomes together; null where no outcome says."""
    decision_tokens_reports: int = 0
    """How many outcomes say their tokens."""
    decision_latency_ms: int | None = None
    """Milliseconds of all outcomes together; null where no outcome says."""
    decision_latency_reports: int = 0
    """How many outcomes say their latency."""

    input_tokens: int | None = None
    """Input tokens of its model calls as reported; null where nobody did."""
    input_tokens_reports: int = 0
    """How many model calls report them."""
    output_tokens: int | None = None
    """Output tokens of its model calls as reported; null where nobody did."""
    output_tokens_reports: int = 0
    """How many model calls report them."""
    total_tokens: int | None = None
    """Total tokens of its model calls as reported, which not every provider does; null where nobody did."""
    total_tokens_reports: int = 0
    """How many model calls report them."""

    problems: int = 0
    """Problems reported."""
    open_problems: dict[str, str] = Field(default_factory=dict)
    """The problems not resolved, each with its severity; of more than a thousand the last."""
    open_critical: int = 0
    """How many of those are critical."""
    open_warnings: int = 0
    """How many of those are warnings."""
    open_minor: int = 0
    """How many of those are minor."""
    violations: int = 0
    """Constraints of its goal broken."""

    version: int = 0
    """The version of its stream."""
    created_position: int = 0
    """The event that holds its input, goal, request and metadata."""
    ended_position: int | None = None
    """The event that ended it, with its error or reason."""
    output_position: int | None = None
    """The event that holds its output: the last that gave one."""
    narrative_position: int | None = None
    """The event that holds its narrative."""
    last_position: int = 0
    """The last event of its stream."""

    @property
    def success_rate(self) -> float:
        """Successes among all decisions, as hive's run metrics have it; 0 without decisions."""
        return self.successful_decisions / self.decisions if self.decisions else 0.0

    @property
    def resolved_success_rate(self) -> float:
        """Successes among the decisions whose outcome is known; 0 without any."""
        return self.successful_decisions / self.outcomes if self.outcomes else 0.0
