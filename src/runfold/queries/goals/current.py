"""Goals without what was done towards them in threads that others stand for.

A row of `goals` adds up over all threads. What the superseded ones brought is folded from their events alone, and taken off.
"""

from collections.abc import Iterable

from runfold.projections.fold import Standings, naming_the_event, take_in
from runfold.projections.goals import GoalRow, Goals
from runfold.queries.sources.snapshot import Snapshot
from runfold.store.codec import COLUMNS, decode
from runfold.store.queries import filled, named_queries

COUNTS = (
    "runs",
    "completed_runs",
    "failed_runs",
    "cancelled_runs",
    "decisions",
    "outcomes",
    "successes",
    "failures",
    "hard_violations",
    "soft_violations",
)
"""What adds up. The other columns are of first and last times, which the threads that stand for the others tell again."""

_QUERIES = named_queries("runfold.queries.goals", "current.sql")


def current(snapshot: Snapshot, goals: Iterable[GoalRow]) -> list[GoalRow]:
    """The same goals, as far as the snapshot counts threads; without those that have no run left."""
    rows = list(goals)
    if not snapshot.leaves_out or not rows:
        return rows
    left_out = _left_out(snapshot, [row.goal_id for row in rows])
    taken_off = [_less(row, left_out[row.goal_id]) if row.goal_id in left_out else row for row in rows]
    return [row for row in taken_off if row.runs]


def _less(row: GoalRow, other: GoalRow) -> GoalRow:
    return row.but(**{name: getattr(row, name) - getattr(other, name) for name in COUNTS})


def _left_out(snapshot: Snapshot, goal_ids: list[str]) -> dict[str, GoalRow]:
    """What superseded threads brought to each of some goals. Raises UnreadableEvent."""
    types = [event.type for event in Goals.events]
    query = filled(_QUERIES["events of superseded threads"], columns=COLUMNS)
    place = [snapshot.tenant_id, snapshot.standing.position]
    asked = [*place, *place, types, goal_ids]
    rows: Standings = {}
    with naming_the_event():
        take_in(Goals(), (decode(row) for row in snapshot.query(query, asked)), rows)
    return {found.row.goal_id: found.row for found in rows.values() if isinstance(found.row, GoalRow)}
