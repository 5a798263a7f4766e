"""Runs that a person should look at, listed, with the reasons. What makes a reason is said in the read model `attention`.

Silence makes one when the list is asked for: a run that was to begin or go on and has not been heard of for long may have died
without a word, as one whose file simply stops. Nobody saw it end, so it has not failed.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Unpack, get_args

from runfold.domain.problem import Severity
from runfold.domain.run_events import STATUS_ALIASES, Status
from runfold.projections.attention import Attention
from runfold.projections.runs.attention_row import MAY_BE_SILENT, NO_SEVERITY, REASONS, REASONS_OF_SILENCE, SILENCE, AttentionRow
from runfold.queries.lists.paging import Direction, Listing, Paging, Sort, direction, limit
from runfold.queries.lists.parameters import Parameter, at_least, at_most, checked, column, narrowed
from runfold.queries.lists.where import OneOrMore, Where, before, span
from runfold.queries.page import Page
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource

SILENT_FOR = "1h"
_SEVERITIES = get_args(Severity)
_NOT_MINOR = tuple(severity for severity in _SEVERITIES if severity != "minor")
_IS_SILENT = 't."status" = ANY(%b) AND t."last_heard_at" <= %b'


class AttentionParameters(Paging, total=False):
    """What the list can be narrowed by. Where several values are given, any of them will do."""

    reason: Annotated[
        OneOrMore | None, Parameter("Only runs that need attention for this reason.", (*REASONS, *REASONS_OF_SILENCE))
    ]
    severity: Annotated[
        OneOrMore | None,
        Parameter(
            "Only runs whose worst reason is so bad. Where neither this nor a reason is given, those with a minor one (latency, "
            "tokens or steps) are left out.",
            _SEVERITIES,
        ),
    ]
    attention_from: Annotated[datetime | None, at_least("attention_since", "Only runs that need attention since then or later.")]
    attention_to: Annotated[datetime | None, at_most("attention_since", "Only runs that need attention since then or earlier.")]
    silent_for: Annotated[
        str | timedelta | None,
        Parameter(
            "After how long without an event a run needs attention: as never_started if it was only created, as silent if it is "
            f"running or stuck; 90s, 15m, 1h, 7d; {SILENT_FOR} if not given.",
            default=SILENT_FOR,
        ),
    ]
    status: Annotated[OneOrMore | None, column("Only runs with this status.", get_args(Status), aliases=STATUS_ALIASES)]
    run_id: Annotated[OneOrMore | None, column("Only these runs.")]
    thread_id: Annotated[OneOrMore | None, column("Only runs in this thread.")]
    agent_id: Annotated[OneOrMore | None, column("Only runs of this agent.")]
    user_id: Annotated[OneOrMore | None, column("Only runs in threads of this user.")]
    goal_id: Annotated[OneOrMore | None, column("Only runs towards this goal.")]
    order: Annotated[Direction | None, direction("desc")]
    limit: Annotated[int | None, limit(20)]  # as in hive's log of runs


_NEEDING = Listing(
    Attention(),
    AttentionParameters,
    {"attention_since": (Sort("attention_since", datetime, nullable=True, is_required=True),)},
)


@question
def attention(source: LocalSource, **asked: Unpack[AttentionParameters]) -> Page[AttentionRow]:
    """A page of runs that a person should look at, with the reasons, those flagged last first. A run that has never started or is
    silent counts from when it was last heard of. Raises UsageError, ReadModelBehind."""
    wanted = checked(asked, AttentionParameters)
    silent_since = before(source.moment(), span("silent_for", wanted.get("silent_for", SILENT_FOR)))
    with source.snapshot("attention", within=source.threads_of(wanted), asked=wanted) as snapshot:
        where, *others = _Needing(wanted, silent_since).conditions()
        page = _NEEDING.page(snapshot, where, wanted, *others)
    return page.model_copy(update={"items": tuple(_as_of(row, silent_since) for row in page.items)})


class _Needing:
    """The conditions of a list, by how bad the reasons in a row are: those that come with time stand in none."""

    def __init__(self, wanted: Mapping[str, Any], before: datetime) -> None:
        self._wanted, self._before = wanted, before
        self._reasons = wanted.get("reason", ())
        self._silent = [status for reason in self._reasons for status in REASONS_OF_SILENCE.get(reason, ())]
        """The states of runs that are wanted for their silence, where reasons are given."""
        self._severities = wanted.get("severity") or (_SEVERITIES if self._reasons else _NOT_MINOR)

    def conditions(self) -> Iterator[Where]:
        """Conditions of which each row fulfils one at most."""
        if serious := tuple(severity for severity in self._severities if severity in _NOT_MINOR):
            yield self._of(*serious)
        if SILENCE in self._severities:
            for severity in (NO_SEVERITY, "minor"):
                silent = self._of(severity)
                silent.at_most("attention_since", self._before)
                silent.add(_IS_SILENT, list(MAY_BE_SILENT), self._before)
                silent.among["status"] = MAY_BE_SILENT
                yield silent
        if "minor" in self._severities:
            minor = self._of("minor")
            minor.add(f"NOT ({_IS_SILENT})", list(MAY_BE_SILENT), self._before)
            yield minor

    def _of(self, *severities: str) -> Where:
        """Rows in which the worst reason is so bad, and which have a reason that is wanted, silence among them."""
        where = narrowed(self._wanted, AttentionParameters)
        where.one_of("severity", severities)
        if self._silent and self._reasons:
            where.add(f'(t."reasons" && %b OR ({_IS_SILENT}))', list(self._reasons), self._silent, self._before)
        else:
            where.has_any("reasons", self._reasons)
        return where


def _as_of(row: AttentionRow, before: datetime) -> AttentionRow:
    if row.status not in MAY_BE_SILENT or row.last_heard_at is None or row.last_heard_at > before:
        return row
    silent = tuple(reason for reason, statuses in REASONS_OF_SILENCE.items() if row.status in statuses)
    severity = SILENCE if row.severity in {NO_SEVERITY, "minor"} else row.severity
    return row.but(reasons=(*row.reasons, *silent), severity=severity, needs_attention=True)
