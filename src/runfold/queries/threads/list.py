"""Threads, listed: by whom, in which state, those that were active last first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Unpack, get_args

from runfold.domain.thread import ThreadCreated
from runfold.projections.threads import ThreadRow, Threads
from runfold.queries.lists.paging import Direction, Listing, Paging, Sort, direction, limit, ordered_by
from runfold.queries.lists.parameters import Parameter, at_least, at_most, checked, column, narrowed
from runfold.queries.lists.where import OneOrMore
from runfold.queries.page import Page, page_of
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.reader import Reader

ThreadState = Literal["open", "archived", "deleted"]


class ThreadParameters(Paging, total=False):
    """What a list of threads can be narrowed and sorted by. Where several values are given, any of them will do."""

    thread_id: Annotated[OneOrMore | None, column("Only these threads.")]
    agent_id: Annotated[OneOrMore | None, column("Only threads of this agent.")]
    user_id: Annotated[OneOrMore | None, column("Only threads of this user.")]
    external_ref: Annotated[OneOrMore | None, column("Only threads with this id in the system that they come from.")]
    state: Annotated[OneOrMore | None, column("Only threads in this state; all but deleted if not given.", get_args(ThreadState))]
    active_from: Annotated[datetime | None, at_least("last_activity_at", "Only threads that were active then or later.")]
    active_to: Annotated[datetime | None, at_most("last_activity_at", "Only threads that were last active then or earlier.")]
    content: Annotated[bool | None, Parameter("Whether each thread comes with its metadata, from the log.")]
    order_by: Annotated[
        Literal["last_activity_at", "created_position"] | None,
        ordered_by("last_activity_at", "A thread is active when it begins, and when a run of it is asked for."),
    ]
    order: Annotated[Direction | None, direction("desc")]
    limit: Annotated[int | None, limit(100)]


_THREADS = Listing(
    Threads(),
    ThreadParameters,
    {
        "last_activity_at": (Sort("last_activity_at", datetime, nullable=True),),
        "created_position": (Sort("created_position"),),
    },
)


class ListedThread(ThreadRow):
    """A thread of a list."""

    metadata: dict[str, Any] | None = None
    """What the application said of it; null where the list was asked for without content."""


@question
def threads(source: LocalSource, **asked: Unpack[ThreadParameters]) -> Page[ListedThread]:
    """A page of threads, those that were active last first unless it says otherwise. Raises UsageError, ReadModelBehind."""
    wanted = {"state": ("open", "archived"), **checked(asked, ThreadParameters)}
    with source.snapshot("threads", within=source.threads_of(wanted), asked=wanted) as snapshot:
        page = _THREADS.page(snapshot, narrowed(wanted, ThreadParameters), wanted)
    said = _metadata(source.reader, page.items) if wanted.get("content") else {}
    items = tuple(ListedThread(**row.__dict__, metadata=said.get(row.created_position)) for row in page.items)
    return page_of(ListedThread, items, page.next_cursor, page.standing)


def _metadata(reader: Reader, rows: Sequence[ThreadRow]) -> dict[int, dict[str, Any]]:
    """Return metadata by the position of the event that each thread began with. Raises UnreadableEvent."""
    found = reader.at_positions(row.created_position for row in rows)
    return {
        position: recorded.event.metadata for position, recorded in found.items() if isinstance(recorded.event, ThreadCreated)
    }
