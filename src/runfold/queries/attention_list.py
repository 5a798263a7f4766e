"""Runs that a person should look at, listed, with the reasons. What makes a reason is said in the read model `attention`.

Silence makes one when the list is asked for: a run that was to go on and has not been heard of for long may have died without
a word, as one whose file simply stops. Nobody saw it end, so it has not failed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Unpack, get_args

from runfold.domain.run_events import STATUS_ALIASES, Status
from runfold.projections.attention import Attention
from runfold.projections.attention_row import MAY_BE_SILENT, REASONS, SILENT, AttentionRow
from runfold.queries.page import Page
from runfold.queries.paging import Direction, Listing, Paging, Sort, direction, limit
from runfold.queries.parameters import Parameter, checked, column, narrowed
from runfold.queries.source import LocalSource, question
from runfold.queries.where import OneOrMore, Where, span

SILENT_FOR = "1h"


class AttentionParameters(Paging, total=False):
    """What the list can be narrowed by. Where several values are given, any of them will do."""

    reason: Annotated[OneOrMore | None, Parameter("Only runs that need attention for this reason.", (*REASONS, SILENT))]
    silent_for: Annotated[
        str | timedelta | None,
        Parameter(
            "After how long without an event a run that is created, running or stuck needs attention as silent: 90s, 15m, 1h, "
            f"7d; {SILENT_FOR} if not given.",
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
    """A page of runs that a person should look at, with the reasons, those flagged last first. A run that is silent counts
    from when it was last heard of. Raises UsageError, ReadModelBehind."""
    wanted = checked(asked, AttentionParameters)
    before = _before(source.moment(), span("silent_for", wanted.get("silent_for", SILENT_FOR)))
    with source.snapshot("attention", within=source.threads_of(wanted), asked=wanted) as snapshot:
        page = _NEEDING.page(snapshot, _flagged(wanted, before), wanted, *_only_silent(wanted, before))
    return page.model_copy(update={"items": tuple(_as_of(row, before) for row in page.items)})


def _before(moment: datetime, length: timedelta) -> datetime:
    """The time since which nothing was heard of a run that is silent."""
    try:
        return moment - length
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _flagged(wanted: dict[str, Any], before: datetime) -> Where:
    """What holds of runs that need attention whenever one asks."""
    where = narrowed(wanted, AttentionParameters)
    where.one_of("needs_attention", (True,))
    if SILENT not in (reasons := wanted.get("reason", ())):
        where.has_any("reasons", reasons)
        return where
    where.add(
        '(t."reasons" && %b OR (t."status" = ANY(%b) AND t."last_heard_at" <= %b))', list(reasons), list(MAY_BE_SILENT), before
    )
    return where


def _only_silent(wanted: dict[str, Any], before: datetime) -> Iterator[Where]:
    """What holds of runs that need attention for nothing but their silence."""
    if wanted.get("reason") and SILENT not in wanted["reason"]:
        return
    where = narrowed(wanted, AttentionParameters)
    where.one_of("needs_attention", (False,))
    where.at_most("attention_since", before)
    yield where


def _as_of(row: AttentionRow, before: datetime) -> AttentionRow:
    is_silent = row.status in MAY_BE_SILENT and row.last_heard_at is not None and row.last_heard_at <= before
    return row.but(reasons=(*row.reasons, SILENT), needs_attention=True) if is_silent else row
