"""The row of a run that may need a person, and what makes it need one."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from runfold.domain.problem import Severity
from runfold.domain.run_events import Status, StuckRule
from runfold.projections.projection import Row

MOST_RETRIES = 3
MOST_ESCALATIONS = 2
MOST_LATENCY_NS = 60_000 * 1_000_000
MOST_TOKENS = 100_000
MOST_STEPS = 20
"""What is still no reason to look: more is, as in hive's log."""
Worst = Literal["critical", "warning", "minor", "none"]
NO_SEVERITY: Worst = "none"


class AttentionRow(Row):
    """One run, flagged or not: what is counted must stand somewhere, so a run without flags keeps its row too."""

    run_id: str
    """The run."""
    thread_id: str = ""
    """The thread whose tree it hangs in."""
    agent_id: str = ""
    """Who runs."""
    user_id: str | None = None
    """Whose thread it is."""
    goal_id: str | None = None
    """What it is for."""
    needs_attention: bool = False
    """Whether there is any reason."""
    severity: Worst = NO_SEVERITY
    """How bad its worst reason is: critical, warning or minor; none where there is no reason."""
    reasons: tuple[str, ...] = ()
    """failed, stuck, waiting_for_approval, waiting_for_input, tool_failure, node_failure, retries, escalations, latency, tokens,
    steps. A list says never_started and silent, too: these come with time and stand in no row."""
    flagged_at: datetime | None = None
    """Since when there has been a reason without a break, by the producer's clock where it gave one; from the first that is more
    than minor, where one is."""
    flagged_position: int | None = None
    """The event since which there has been one."""
    last_heard_at: datetime | None = None
    """When its last event happened, by the producer's clock where it gave one. What others say about the run does not
    count: that it is stuck, that it shall be cancelled, corrections."""
    attention_since: datetime | None = None
    """What the list goes by: flagged_at; where no reason is more than minor and the run is created or running, last_heard_at."""
    status: Status = "created"
    """created, running, waiting, stuck, completed, failed or cancelled."""
    stuck_rule: StuckRule | None = None
    """By which rule it is stuck, while it is."""
    waiting_reason: Literal["approval", "input", "external"] | None = None
    """What it waits for, while it does. Something external is no reason for a person."""
    stop_reason: str | None = None
    """Why it ended."""
    error_code: str | None = None
    """The code of the error it failed with."""
    times_stuck: int = 0
    """How often it got stuck."""
    failed_tool_calls: int = 0
    """Tool calls that failed, by themselves or with the run."""
    failed_steps: int = 0
    """Steps that did not end well."""
    retries: int = 0
    """Attempts after the first, and decisions to retry."""
    escalations: int = 0
    """Approvals asked for."""
    steps: int = 0
    """Steps begun."""
    tokens: int | None = None
    """Tokens of its model calls; null where nobody reported any."""
    tokens_reports: int = 0
    """How many model calls report them."""
    decision_tokens: int | None = None
    """Tokens of its decisions' outcomes; null where no outcome says."""
    decision_tokens_reports: int = 0
    """How many outcomes say their tokens."""
    latency_ns: int | None = None
    """How long it took without its waits: as it reported, else as worked_ns. Null before its first wait or end."""
    reported_ns: int | None = None
    """How long it took by its own clock, if it said so."""
    worked_ns: int | None = None
    """How long it has worked by the times of its events, up to its last wait or end."""
    working_since: datetime | None = None
    """When it last began or went on; null while it does not work."""


NEVER_STARTED, SILENT = "never_started", "silent"
MAY_BE_SILENT: tuple[Status, ...] = ("created", "running", "stuck")
"""Whoever waits has nothing to say, and whoever has ended will say nothing more."""
REASONS_OF_SILENCE: dict[str, tuple[Status, ...]] = {NEVER_STARTED: ("created",), SILENT: ("running", "stuck")}
"""The reasons of a run that has not been heard of for long, by what it was to do. They depend on when one asks."""
SILENCE: Severity = "warning"
"""How bad that is."""


class Reason(NamedTuple):
    """What makes a run need a person, and how bad it is: minor is what only exceeds a limit, as most long runs do."""

    severity: Severity
    columns: tuple[str, ...]
    """What it hangs on: where none of these changes, it goes on to hold or not."""
    holds: Callable[[AttentionRow], bool]


REASONS: dict[str, Reason] = {
    "failed": Reason("critical", ("status",), lambda row: row.status == "failed"),
    "stuck": Reason("critical", ("stuck_rule",), lambda row: row.stuck_rule is not None),
    "waiting_for_approval": Reason("warning", ("waiting_reason",), lambda row: row.waiting_reason == "approval"),
    "waiting_for_input": Reason("warning", ("waiting_reason",), lambda row: row.waiting_reason == "input"),
    "tool_failure": Reason("warning", ("failed_tool_calls",), lambda row: row.failed_tool_calls > 0),
    "node_failure": Reason("warning", ("failed_steps",), lambda row: row.failed_steps > 0),
    "retries": Reason("warning", ("retries",), lambda row: row.retries > MOST_RETRIES),
    "escalations": Reason("warning", ("escalations",), lambda row: row.escalations > MOST_ESCALATIONS),
    "latency": Reason("minor", ("latency_ns",), lambda row: (row.latency_ns or 0) > MOST_LATENCY_NS),
    "tokens": Reason(
        "minor", ("tokens", "decision_tokens"), lambda row: max(row.tokens or 0, row.decision_tokens or 0) > MOST_TOKENS
    ),
    "steps": Reason("minor", ("steps",), lambda row: row.steps > MOST_STEPS),
}
"""What makes a run need a person whenever one asks, by the words of `reasons`."""
