"""Threads, to list and to filter, and where their heads point. How their runs hang together is in `thread_tree`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from runfold.domain.recorded import Recorded
from runfold.domain.run_events import FOLLOWED, RunCreated
from runfold.domain.thread import (
    MAIN,
    HeadMoved,
    HeadNamed,
    ThreadArchived,
    ThreadCreated,
    ThreadDeleted,
    ThreadImported,
    ThreadRenamed,
    ThreadRestored,
    ThreadSuperseded,
)
from runfold.projections.projection import Key, Projection, Row


class ThreadRow(Row):
    """One thread."""

    thread_id: str
    """The thread."""
    state: Literal["open", "archived", "deleted"] = "open"
    """open, archived, or deleted: a tombstone, which only auditors still read."""
    title: str | None = None
    """Its title."""
    agent_id: str | None = None
    """Who runs where a run names nobody."""
    user_id: str | None = None
    """Whose it is."""
    external_ref: str | None = None
    """Its id in the system that it comes from."""
    heads: dict[str, str] = Field(default_factory=dict)
    """Each head, and the run that it points at."""
    runs: int = 0
    """How many runs it has."""
    created_at: datetime | None = None
    """When it began, by the producer's clock where it gave one; so are all times here."""
    last_run_at: datetime | None = None
    """When its newest run was asked for."""
    last_activity_at: datetime | None = None
    """When its newest run was asked for, or it began if it has none: what a list of threads sorts by."""
    superseded_by: tuple[str, ...] = ()
    """The threads that stand for it since a newer importer read its source otherwise: lists and totals leave it out."""
    version: int = 0
    """The version of its own stream."""
    created_position: int = 0
    """The event that holds its metadata."""


class Threads(Projection[ThreadRow]):
    """One row per thread: whose it is, whether it is open, where its heads point, when it was last active."""

    name, version, row, key, partition = "threads", 3, ThreadRow, ("thread_id",), "thread"
    events = (
        RunCreated,
        ThreadCreated,
        ThreadRenamed,
        ThreadArchived,
        ThreadRestored,
        ThreadDeleted,
        HeadNamed,
        HeadMoved,
        ThreadImported,
        ThreadSuperseded,
    )
    indexes = (
        ("last_activity_at", "thread_id"),
        ("created_position",),
        ("external_ref",),
        ("state", "last_activity_at"),
        ("agent_id", "last_activity_at"),
        ("user_id", "last_activity_at"),
    )
    long_texts = ("external_ref",)

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The thread, whose own event it is or whose run's."""
        return ((recorded.thread_id,),)

    def evolve(self, row: ThreadRow, recorded: Recorded) -> ThreadRow:
        """A new run takes along the heads that follow it; all else happens in the thread's own stream."""
        if isinstance(recorded.event, RunCreated):
            return _with_run(row, recorded, recorded.event)
        return row.but(version=recorded.version, **_changes(row, recorded))


def _with_run(row: ThreadRow, recorded: Recorded, created: RunCreated) -> ThreadRow:
    happened_at = recorded.happened_at
    latest = happened_at if row.last_run_at is None else max(row.last_run_at, happened_at)
    return row.but(
        runs=row.runs + 1, last_run_at=latest, last_activity_at=latest, heads=_followed(row.heads, recorded.stream, created)
    )


def _followed(heads: dict[str, str], run_id: str, created: RunCreated) -> dict[str, str]:
    parent = created.parent
    if parent is None:
        return heads if MAIN in heads else {**heads, MAIN: run_id}
    if parent.kind not in FOLLOWED:
        return heads
    return {name: run_id if at == parent.run_id else at for name, at in heads.items()}


def _changes(row: ThreadRow, recorded: Recorded) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    match recorded.event:
        case ThreadCreated() as created:
            changes = _created(created, recorded)
        case ThreadRenamed() as renamed:
            changes = {"title": renamed.title}
        case ThreadArchived():
            changes = {"state": "archived"}
        case ThreadRestored():
            changes = {"state": "open"}
        case ThreadDeleted():
            changes = {"state": "deleted"}
        case HeadNamed() as named:
            changes = {"heads": {**row.heads, named.name: named.run_id}}
        case HeadMoved() as moved:
            changes = {"heads": {**row.heads, moved.name: moved.to_run_id}}
        case ThreadSuperseded() as superseded:
            changes = {"superseded_by": tuple(dict.fromkeys((*row.superseded_by, *superseded.by_thread_ids)))}
        case _:
            pass
    return changes


def _created(created: ThreadCreated, recorded: Recorded) -> dict[str, Any]:
    return {
        "title": created.title,
        "agent_id": created.agent_id,
        "user_id": created.user_id,
        "external_ref": created.external_ref,
        "created_at": recorded.happened_at,
        "last_activity_at": recorded.happened_at,
        "created_position": recorded.position,
    }
