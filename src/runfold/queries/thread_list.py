"""Threads, listed: by whom, in which state, those that were active last first."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from runfold.projections.threads import ThreadRow, Threads
from runfold.queries.paging import Listing, Paging, Sort
from runfold.queries.read_models import Page, Snapshot
from runfold.queries.where import OneOrMore, Where, Within, given, moment, texts, words

ThreadState = Literal["open", "archived", "deleted"]

_THREADS = Listing(
    Threads(),
    {
        "last_activity_at": (Sort("last_activity_at", datetime, nullable=True),),
        "created_position": (Sort("created_position"),),
    },
)
_BY_TEXT = ("thread_id", "agent_id", "user_id", "external_ref")


class ThreadsAsked(Paging, total=False):
    """What a list of threads can be narrowed and sorted by. Where several values are given, any of them will do."""

    thread_id: OneOrMore | None
    agent_id: OneOrMore | None
    user_id: OneOrMore | None
    external_ref: OneOrMore | None
    state: Annotated[OneOrMore | None, Within(get_args(ThreadState))]
    """open, archived or deleted; all but deleted where nothing is said."""
    active_from: datetime | None
    active_to: datetime | None
    """Both are part of the range of `last_activity_at`."""
    order_by: Literal["last_activity_at", "created_position"] | None
    """last_activity_at where nothing is said: when the newest run was asked for, or the thread began."""


def thread_list(snapshot: Snapshot, asked: ThreadsAsked) -> Page[ThreadRow]:
    """A page of threads, those that were active last first unless it says otherwise. Raises UsageError."""
    wanted = given(asked, ThreadsAsked)
    where = Where()
    for name in _BY_TEXT:
        where.one_of(name, texts(name, wanted.get(name)))
    where.one_of("state", words("state", wanted.get("state"), get_args(ThreadState)) or ("open", "archived"))
    if "active_from" in wanted:
        where.at_least("last_activity_at", moment("active_from", wanted["active_from"]))
    if "active_to" in wanted:
        where.at_most("last_activity_at", moment("active_to", wanted["active_to"]))
    return _THREADS.page(snapshot, where, wanted, order_by="last_activity_at", order="desc")
