"""Runs that a person should look at, listed, with the reasons. What makes a reason is said in the read model `attention`."""

from datetime import datetime
from typing import Annotated, Unpack, get_args

from runfold.domain.run_events import STATUS_ALIASES, Status
from runfold.projections.attention import Attention
from runfold.projections.attention_row import REASONS, AttentionRow
from runfold.queries.page import Page
from runfold.queries.paging import Direction, Listing, Paging, Sort, direction, limit
from runfold.queries.parameters import Parameter, checked, column, narrowed
from runfold.queries.source import LocalSource, question
from runfold.queries.where import OneOrMore


class AttentionParameters(Paging, total=False):
    """What the list can be narrowed by. Where several values are given, any of them will do."""

    reason: Annotated[OneOrMore | None, Parameter("Only runs that need attention for this reason.", tuple(REASONS))]
    status: Annotated[OneOrMore | None, column("Only runs with this status.", get_args(Status), aliases=STATUS_ALIASES)]
    run_id: Annotated[OneOrMore | None, column("Only these runs.")]
    thread_id: Annotated[OneOrMore | None, column("Only runs in this thread.")]
    agent_id: Annotated[OneOrMore | None, column("Only runs of this agent.")]
    user_id: Annotated[OneOrMore | None, column("Only runs in threads of this user.")]
    goal_id: Annotated[OneOrMore | None, column("Only runs towards this goal.")]
    order: Annotated[Direction | None, direction("desc")]
    limit: Annotated[int | None, limit(20)]  # as in hive's log of runs


_FLAGGED = Listing(Attention(), AttentionParameters, {"flagged_at": (Sort("flagged_at", datetime, nullable=True),)})


@question
def attention(source: LocalSource, **asked: Unpack[AttentionParameters]) -> Page[AttentionRow]:
    """A page of runs that a person should look at, with the reasons, those flagged last first. Raises UsageError,
    ReadModelBehind."""
    wanted = checked(asked, AttentionParameters)
    where = narrowed(wanted, AttentionParameters)
    where.one_of("needs_attention", (True,))
    where.has_any("reasons", wanted.get("reason", ()))
    with source.snapshot("attention", within=source.threads_of(wanted), asked=wanted) as snapshot:
        return _FLAGGED.page(snapshot, where, wanted)
