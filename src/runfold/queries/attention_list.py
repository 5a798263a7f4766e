"""Runs that a person should look at, listed, with the reasons. What makes a reason is said in the read model `attention`."""

from datetime import datetime
from typing import Annotated, get_args

from runfold.domain.run_events import STATUS_ALIASES, Status
from runfold.projections.attention import REASONS, Attention, AttentionRow
from runfold.queries.paging import Listing, Paging, Sort
from runfold.queries.read_models import Page, Snapshot
from runfold.queries.where import OneOrMore, Where, Within, given, texts, words

NEWEST = 20
"""How many runs are listed where nobody says, as in hive's log of runs."""

_FLAGGED = Listing(Attention(), {"flagged_at": (Sort("flagged_at", datetime, nullable=True),)})
_BY_TEXT = ("run_id", "thread_id", "agent_id", "user_id", "goal_id")


class AttentionAsked(Paging, total=False):
    """What the list can be narrowed by. Where several values are given, any of them will do."""

    reason: Annotated[OneOrMore | None, Within(tuple(REASONS))]
    """failed, stuck, waiting_for_approval, waiting_for_input, node_failure, retries, escalations, latency, tokens, steps."""
    status: Annotated[OneOrMore | None, Within((*get_args(Status), *STATUS_ALIASES))]
    run_id: OneOrMore | None
    thread_id: OneOrMore | None
    agent_id: OneOrMore | None
    user_id: OneOrMore | None
    goal_id: OneOrMore | None


def attention_list(snapshot: Snapshot, asked: AttentionAsked) -> Page[AttentionRow]:
    """A page of runs with reasons, those flagged last first unless it says otherwise. Raises UsageError."""
    wanted = given(asked, AttentionAsked)
    where = Where()
    where.one_of("needs_attention", (True,))
    where.has_any("reasons", words("reason", wanted.get("reason"), REASONS))
    where.one_of("status", words("status", wanted.get("status"), get_args(Status), STATUS_ALIASES))
    for name in _BY_TEXT:
        where.one_of(name, texts(name, wanted.get(name)))
    return _FLAGGED.page(snapshot, where, {"limit": NEWEST, **wanted}, order_by="flagged_at", order="desc")
