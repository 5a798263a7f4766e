"""The row of a run that may need a person, and what makes it need one."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from runfold.domain.run_events import Status, StuckRule
from runfold.projections.projection import Row

MOST_RETRIES = 3
MOST_ESCALATIONS = 2
MOST_LATENCY_NS = 60_000 * 1_000_000
MOST_TOKENS = 100_000
MOST_STEPS = 20
"""What is still no reason to look: more is, as in hive's log."""


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
    reasons: tuple[str, ...] = ()
    """failed, stuck, waiting_for_approval, waiting_for_input, node_failure, retries, escalations, latency, tokens, steps.
    A list says silent, too: that comes with time and stands in no row."""
    flagged_at: datetime | None = None
    """Since when there has been a reason without a break, by the producer's clock where it gave one."""
    flagged_position: int | None = None
    """The event since which there has been one."""
    last_heard_at: datetime | None = None
    """When its last event happened, by the producer's clock where it gave one. What others say about the run does not
    count: that it is stuck, that it shall be cancelled, corrections."""
    attention_since: datetime | None = None
    """What the list goes by: flagged_at; where there is no reason and the run is created, running or stuck, last_heard_at."""
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


SILENT = "silent"
"""The reason of a run that was to go on and has not been heard of for long. It depends on when one asks."""
MAY_BE_SILENT: tuple[Status, ...] = ("created", "running", "stuck")
"""Whoever waits has nothing to say, and whoever has ended will say nothing more."""

REASONS: dict[str, Callable[[AttentionRow], bool]] = {
    "failed": lambda row: row.status == "failed",
    "stuck": lambda row: row.stuck_rule is not None,
    "waiting_for_approval": lambda row: row.waiting_reason == "approval",
    "waiting_for_input": lambda row: row.waiting_reason == "input",
    "node_failure": lambda row: row.failed_steps > 0,
    "retries": lambda row: row.retries > MOST_RETRIES,
    "escalations": lambda row: row.escalations > MOST_ESCALATIONS,
    "latency": lambda row: (row.latency_ns or 0) > MOST_LATENCY_NS,
    "tokens": lambda row: max(row.tokens or 0, row.decision_tokens or 0) > MOST_TOKENS,
    "steps": lambda row: row.steps > MOST_STEPS,
}
"""What makes a run need a person whenever one asks, by the words of `reasons`."""
