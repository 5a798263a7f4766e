"""Read models of the past: the same folds, stopped at a position or kept to one path, in a schema to query and drop."""

import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row, tuple_row

from runfold.domain.recorded import Recorded
from runfold.errors import RebuildRefused
from runfold.projections.fold import Standings, naming_the_event, take_in
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import source_of
from runfold.projector import filling
from runfold.projector.connection import connect
from runfold.projector.filling import Job, Progress, Target
from runfold.projector.folding.team import read_head
from runfold.projector.locks import closing, making, take_session_lock
from runfold.projector.past.branch import Branch
from runfold.projector.tables.indexing import index
from runfold.projector.tables.invalid_rows import stopped_by_rows
from runfold.projector.tables.schemas import removal
from runfold.projector.tables.table import Table
from runfold.projector.tables.views import made_over
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import Connection, Datastore, unavailable
from runfold.store.epochs import Lineage
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.projector.past", "as_of.sql")

PAGE = 10_000
NOTE_SECONDS = 0.25
TURN_SECONDS = 0.1
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class PastSchema:
    """A schema that somebody asked for."""

    schema: str
    position: int
    run_id: str | None
    names: list[str]
    versions: list[str]
    epoch: UUID
    ready: bool
    kept: bool
    """Whether somebody gave it a name; else it is there for moments, and dropped when nobody uses it."""
    done: int
    total: int
    error: str | None
    created_at: datetime

    def answers(self, projections: Iterable[AnyProjection], lineage: Lineage) -> bool:
        """Whether it holds these, folded as they are folded here, of what the present history holds too."""
        is_of_this = self.ready and lineage.holds(self.position, self.epoch)
        return is_of_this and {version_of(each) for each in projections} <= set(self.versions)


def version_of(projection: AnyProjection) -> str:
    """What its rows were folded by."""
    return f"{projection.name} {projection.version} {projection.depends_on}".strip()


def schemas(connection: Connection) -> list[PastSchema]:
    """All that were asked for and not dropped yet."""
    cursor = connection.cursor(row_factory=class_row(PastSchema))
    return cursor.execute(_QUERIES["past schemas"]).fetchall()


def drop(connection: Connection, schema: str) -> None:
    """Drop one, with all tables in it. Raises RebuildRefused for one that is not of these."""
    if not any(known.schema == schema for known in schemas(connection)):
        raise RebuildRefused(schema, "is not a schema made by `rebuild --into`", "`runfold schemas` lists them")
    with connection.transaction():
        if over := made_over(connection, schema):
            raise RebuildRefused(schema, f"stays as it is: {over}", "drop that view, and repeat the command")
        connection.execute(removal(schema))
        connection.execute("DELETE FROM runfold.past_schemas WHERE schema = %s", [schema])
        filling.forget_abandoned(connection)


def make(
    datastore: Datastore,
    projections: Mapping[str, AnyProjection],
    schema: str,
    position: int,
    *,
    branch: Branch | None = None,
    processes: int = 2,
    progress: Progress | None = None,
) -> None:
    """Fold read models as of a position into a schema. One that was killed half-way is begun again.

    Raises RebuildRefused for a name that cannot be, or is taken; ProjectionStopped, LedgerUnavailable.
    """
    try:
        with closing(connect(datastore)) as connection:
            _wait_for_turn(connection, schema)
            epoch = read_head(connection).epoch
            _begin(connection, projections, schema, position, epoch, branch)
            _fold(datastore, connection, projections, schema, position, epoch, branch, processes, progress)
            connection.execute("UPDATE runfold.past_schemas SET ready = true, done = total WHERE schema = %s", [schema])
    except psycopg.Error as error:
        raise unavailable(error) from error


def _wait_for_turn(connection: Connection, schema: str) -> None:
    """Until the connection closes, nobody else makes it. Asked again and again: a question that waits holds a snapshot."""
    while not take_session_lock(connection, making(schema)):
        time.sleep(TURN_SECONDS)


def _fold(
    datastore: Datastore,
    connection: Connection,
    projections: Mapping[str, AnyProjection],
    schema: str,
    position: int,
    epoch: UUID,
    branch: Branch | None,
    processes: int,
    progress: Progress | None,
) -> None:
    """Fill the tables: thread by thread in several processes what can be, the rest in the order of positions."""
    at_once = {name: each for name, each in projections.items() if each.partition == "thread" and branch is None}
    others = [each for name, each in projections.items() if name not in at_once]
    noted = _Progress(connection, schema, position, rounds=bool(at_once) + bool(others), progress=progress)
    if at_once:
        targets = tuple(Target(source_of(each), schema) for each in at_once.values())
        job = Job(f"schema-{schema}-{secrets.token_hex(6)}", position, epoch, targets)
        with connection.transaction():
            filling.plan(connection, job, processes)
        filling.fill(datastore, connection, job, processes, noted)
        connection.execute(filling.QUERIES["remove job"], {"job": job.job})
        noted.next_round()
    if others:
        _fold_in_order(connection, others, schema, _events(connection, others, position, branch, noted))
    for projection in projections.values():
        index(connection, projection, Table(projection, 0, schema=schema))


class _Progress:
    """Notes how far it is where everybody can see it, and tells who asked. Some events are gone through twice."""

    def __init__(self, connection: Connection, schema: str, position: int, rounds: int, progress: Progress | None) -> None:
        self._connection, self._schema, self._position, self._progress = connection, schema, position, progress
        self._total, self._before, self._noted_at = position * rounds, 0, 0.0
        connection.execute("UPDATE runfold.past_schemas SET done = 0, total = %s WHERE schema = %s", [self._total, schema])

    def next_round(self) -> None:
        """All events were gone through once."""
        self._before += self._position

    def __call__(self, done: int, _: int) -> None:
        if self._progress is not None:
            self._progress(self._before + done, self._total)
        if time.monotonic() - self._noted_at > NOTE_SECONDS:
            self._noted_at = time.monotonic()
            self._connection.execute(
                "UPDATE runfold.past_schemas SET done = %s WHERE schema = %s", [self._before + done, self._schema]
            )


def _begin(
    connection: Connection,
    projections: Mapping[str, AnyProjection],
    schema: str,
    position: int,
    epoch: UUID,
    branch: Branch | None,
) -> None:
    run_id = branch.run_id if branch else None
    known = next((known for known in schemas(connection) if known.schema == schema), None)
    if known is None:
        require_free(connection, schema)
    elif known.ready or (known.position, known.run_id) != (position, run_id):
        of = f"as of position {known.position}" + (f" along {known.run_id}" if known.run_id else "")
        raise RebuildRefused(
            schema, f"is taken: it holds read models {of}", f"choose another name, or run `runfold drop-schema {schema}`"
        )
    with connection.transaction():
        connection.execute(removal(schema))  # what was left half made
        connection.execute(filling.QUERIES["remove jobs of schema"], {"schema": schema})
        connection.execute(
            _QUERIES["add past schema"],
            [schema, position, run_id, sorted(projections), sorted(map(version_of, projections.values())), epoch],
        )
        for projection in projections.values():
            Table(projection, 0, schema=schema).create(connection)


def require_free(connection: Connection, schema: str) -> None:
    """Raise RebuildRefused for what cannot be the name of a schema of the past, or is a schema of somebody else."""
    word = connection.execute("SELECT FROM pg_get_keywords() WHERE word = %s AND catcode IN ('R', 'T')", [schema]).fetchone()
    if not _NAME.fullmatch(schema) or schema.startswith(("runfold", "pg_")) or schema == "public" or word is not None:
        raise RebuildRefused(
            schema,
            "is not an allowed schema name",
            "use up to 63 small letters, digits and _, a letter first, no SQL keyword, and neither runfold… nor pg_…",
        )
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [schema]).fetchone() is not None:
        raise RebuildRefused(
            schema, "is the name of a role, which would find what is in the schema before anything else", "choose another name"
        )
    if connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema]).fetchone() is not None:
        raise RebuildRefused(schema, "exists and was not made by Runfold", "choose another name; nothing was changed in it")


def fold_events(projections: Sequence[AnyProjection], pages: Iterable[list[Recorded]]) -> list[Standings]:
    """The rows that pages of events lead to, for each projection, from nothing. Raises FoldFailed."""
    standings: list[Standings] = [{} for _ in projections]
    for page in pages:
        for projection, known in zip(projections, standings, strict=True):
            take_in(projection, page, known)
    return standings


def _fold_in_order(
    connection: Connection, projections: Sequence[AnyProjection], schema: str, pages: Iterable[list[Recorded]]
) -> None:
    with naming_the_event():
        folded = fold_events(projections, pages)
    for projection, rows in zip(projections, folded, strict=True):
        with stopped_by_rows(projection):
            table = Table(projection, 0, schema=schema)
            table.fill(connection, table.packed(rows))


def _events(
    connection: Connection, projections: Sequence[AnyProjection], position: int, branch: Branch | None, progress: Progress | None
) -> Iterator[list[Recorded]]:
    types = sorted({event.type for projection in projections for event in projection.events})
    after = 0
    while after < position:
        found, after = _page(connection, types, after, position, branch)
        yield [recorded for recorded in map(decode, found) if branch is None or branch.holds(recorded)]
        if progress is not None:
            progress(after, position)


def _page(
    connection: Connection, types: list[str], after: int, position: int, branch: Branch | None
) -> tuple[list[tuple[Any, ...]], int]:
    """Events, and up to where these are all: of a thread through its index, else so many positions."""
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    if branch is None:
        until = min(position, after + PAGE)
        query = (
            f"SELECT {COLUMNS} FROM runfold.log WHERE (topic = ANY(%b)) IS TRUE AND notification_id > %b"
            " AND notification_id <= %b ORDER BY notification_id"
        )
        return cursor.execute(query, [types, after, until], prepare=True).fetchall(), until
    thread = [branch.thread_id, branch.tenant_id]
    query = (
        f"SELECT {COLUMNS} FROM runfold.log WHERE (topic = ANY(%b)) IS TRUE"
        " AND (thread_id, tenant_id, notification_id) > (%b, %b, %b) AND (thread_id, tenant_id, notification_id) <= (%b, %b, %b)"
        " ORDER BY thread_id, tenant_id, notification_id LIMIT %b"
    )
    found = cursor.execute(query, [types, *thread, after, *thread, position, PAGE], prepare=True).fetchall()
    return found, found[-1][0] if len(found) == PAGE else position
