"""From which table usage is added up, and the query for it: this is the one place that decides.

Totals answer what asks for no more than their columns, those with the fewest rows first. From the rows of `usage`, one for
each call, is answered: whatever names or is grouped by runs, threads or calls; the path or the tree of a run; prices that
are told or computed anew; the past of some threads, which is in no table; and a table that was built before it had totals.
Days are UTC days everywhere, so no time zone comes into it. Both answers are the same, to the last digit.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from runfold.projections.projection import Totals
from runfold.projections.totals import columns_of_totals, grouped_by, is_sum
from runfold.projections.usage import Usage
from runfold.projections.usage_totals import PARTS, TOKENS, TOLD, USAGE_TOTALS
from runfold.queries.sources.snapshot import SUPERSEDED_THREADS, Snapshot
from runfold.store.queries import filled, named_queries

_QUERIES = named_queries("runfold.queries.usage", "report.sql")
_USAGE = Usage()
WITHOUT_COST = "u.currency IS NULL"
"""Of a total: the calls in it are those whose cost nobody knows."""


def totals_for(snapshot: Snapshot, columns: Iterable[str]) -> Totals | None:
    """The totals that hold all these columns of usage; None where rows must be added up."""
    if not snapshot.holds_totals(_USAGE):
        return None
    wanted = set(columns)
    return next((totals for totals in USAGE_TOTALS if wanted <= set(grouped_by(totals))), None)


def sums_of(
    snapshot: Snapshot, totals: Totals, dimensions: Sequence[str], conditions: str, values: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """What groups of totals add up to, as the query `sums` says it of rows."""
    source, parameters = _without_superseded(snapshot, totals) if snapshot.leaves_out else (f"{{{totals.name}}}", [])
    text = filled(
        _QUERIES["sums of totals"],
        dimensions="".join(f"u.{name}, " for name in dimensions),
        tokens=", ".join(f"CASE WHEN sum(u.{name}{TOLD}) > 0 THEN sum(u.{name}) END" for name in TOKENS),
        source=source,
        conditions=conditions,
        groups=", ".join(map(str, range(1, len(dimensions) + 4))),
    )
    return snapshot.with_superseded().query(text, [*parameters, snapshot.tenant_id, *values])


def _without_superseded(snapshot: Snapshot, totals: Totals) -> tuple[str, list[Any]]:
    """The totals, and off them what threads that others stand for added to them."""
    columns = ["tenant_id", *(column.name for column in columns_of_totals(totals))]
    sums = {column.name for column in columns_of_totals(totals) if is_sum(column)}
    text = filled(
        _QUERIES["totals without superseded"],
        superseded=SUPERSEDED_THREADS,
        parts=filled(PARTS, rows="rows"),
        columns=", ".join(columns),
        taken_off=", ".join(f"sign * {name}" if name in sums else name for name in columns),
        totals=f"{{{totals.name}}}",
    )
    return text, [snapshot.tenant_id, snapshot.standing.position, snapshot.tenant_id, snapshot.tenant_id]
