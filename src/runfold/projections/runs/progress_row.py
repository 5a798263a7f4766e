"""The row of a run's progress: who holds it, when it was last heard of, and what it repeats."""

from datetime import datetime
from typing import Literal

from runfold.domain.run_events import Status, StuckRule
from runfold.projections.projection import Row
from runfold.projections.words.rolling_digest import NOTHING


class RunProgressRow(Row):
    """One run."""

    run_id: str
    """The run."""
    thread_id: str = ""
    """The thread whose tree it hangs in."""
    agent_id: str = ""
    """Who runs."""
    kind: Literal["leased", "live", "imported"] = "live"
    """leased: a worker has claimed it at some time; live: it is recorded as it goes; imported: an import began it."""
    status: Status = "created"
    """created, running, waiting, stuck, completed, failed or cancelled."""
    execution_id: str | None = None
    """The claim that holds; null for none."""
    worker: str | None = None
    """Whose claim that is."""
    lease_expires_at: datetime | None = None
    """Until when it holds, unless it is renewed."""
    last_heard_at: datetime | None = None
    """When the last event that shows that it goes on was recorded. All times here are those of the store."""
    last_heard_position: int = 0
    """That event."""
    stuck_rule: StuckRule | None = None
    """By which rule it is stuck, while it is."""
    stuck_at: datetime | None = None
    """Since when it is stuck, while it is."""
    stuck_position: int | None = None
    """The event that says so."""
    repeats: int = 0
    """How often in a row a running run has given the same response or called the same tools, whichever is more; else 0."""
    node_id: str | None = None
    """The node that it is at."""
    identical_responses: int = 0
    """How often in a row it gave the same response at one node, the last one included."""
    responses_since: int = 0
    """The first of these."""
    identical_tool_calls: int = 0
    """In how many turns in a row it called the same tools with the same arguments, the last finished turn included."""
    tool_calls_since: int = 0
    """The first of these."""
    version: int = 0
    """The version of its stream."""

    response_message_id: str | None = None
    """The last response."""
    response_digest: str = NOTHING
    """A digest of its text; empty for none."""
    response_position: int = 0
    """Where it began."""
    response_is_open: bool = False
    """Whether more of its text may come."""
    earlier_response: str = NOTHING
    """The digest of the response before it."""
    earlier_responses: int = 0
    """How often in a row that one had been given."""
    earlier_responses_since: int = 0
    """The first of those."""
    turn_message_id: str | None = None
    """The message of the last turn; null where none is known."""
    turn_digest: str = NOTHING
    """A digest of the tool calls of the last turn, in order; empty for none."""
    turn_position: int = 0
    """Where it began."""
    turn_is_over: bool = False
    """Whether something since has ended it."""
    open_call_ids: tuple[str, ...] = ()
    """The calls of the last turn that have no result yet."""
    earlier_turn: str = NOTHING
    """The digest of the turn before it."""
    earlier_turns: int = 0
    """How often in a row that one had come."""
    earlier_turns_since: int = 0
    """The first of those."""
