"""Read models of the past: the same folds, stopped at a position or kept to one path, in a schema to query and drop."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row, tuple_row

from runfold.domain.event import Recorded
from runfold.errors import RebuildRefused
from runfold.projections.fold import Standings, take_in
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import source_of
from runfold.projector import filling
from runfold.projector.connection import connect
from runfold.projector.filling import Job, Progress, Target
from runfold.projector.schemas import removal
from runfold.projector.tables import Table
from runfold.projector.team import read_head
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import Connection, Datastore
from runfold.store.epochs import Lineage

PAGE = 10_000
_LOCK = 824199018
"""The first half of the advisory locks that keep two makers of one schema apart."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Leaving(NamedTuple):
    """Up to where a run belongs to a path: its version there, and for what stands beside it, such as approvals, the position."""

    version: int
    position: int


@dataclass(frozen=True)
class Branch:
    """The path root → run of one thread of a tenant, by the ids of its runs."""

    tenant_id: str
    thread_id: str
    run_id: str
    path: Mapping[str, Leaving]

    def holds(self, recorded: Recorded) -> bool:
        """Whether an event is on the path: the thread's own are, and of each run what came before its child left it."""
        if recorded.stream == self.thread_id:
            return True
        if (leaving := self.path.get(recorded.stream)) is not None:
            return recorded.version <= leaving.version
        beside = self.path.get(recorded.context.run_id or "")
        return beside is not None and not recorded.stream.startswith("run_") and recorded.position <= beside.position


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
    return cursor.execute(
        "SELECT schema, position, run_id, names, versions, epoch, ready, created_at FROM runfold.past_schemas ORDER BY schema"
    ).fetchall()


def drop(connection: Connection, schema: str) -> None:
    """Drop one, with all tables in it. Raises RebuildRefused for one that is not of these."""
    if not any(known.schema == schema for known in schemas(connection)):
        raise RebuildRefused(schema, "is no schema that `rebuild --into` made", "`runfold schemas` lists those")
    with connection.transaction():
        connection.execute(removal(schema))
        connection.execute("DELETE FROM runfold.past_schemas WHERE schema = %s", [schema])
        filling.forget_abandoned(connection)


def make(
    datastore: Datastore, projections: Mapping[str, AnyProjection], schema: str, position: int, *,
    branch: Branch | None = None, processes: int = 2, progress: Progress | None = None,
) -> None:  # fmt: skip
    """Fold read models as of a position into a schema. One that was killed half-way is begun again.

    Raises RebuildRefused for a name that cannot be, or is taken; ProjectionStopped, LedgerUnavailable.
    """
    connection = connect(datastore)
    try:
        connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [_LOCK, schema])  # until the connection closes
        epoch = read_head(connection).epoch
        _begin(connection, projections, schema, position, epoch, branch)
        tables = [Table(projection, 0, schema=schema) for projection in projections.values()]
        at_once = {name: each for name, each in projections.items() if each.partition == "thread" and branch is None}
        if at_once:
            targets = tuple(Target(source_of(each), schema) for each in at_once.values())
            job = Job(f"schema-{schema}-{secrets.token_hex(6)}", position, epoch, targets)
            with connection.transaction():
                filling.plan(connection, job, processes)
            filling.fill(datastore, connection, job, processes, progress)
            connection.execute(filling.QUERIES["remove job"], {"job": job.job})
        others = [each for name, each in projections.items() if name not in at_once]
        if others:
            _fold_in_order(connection, others, schema, _events(connection, others, position, branch, progress))
        for table in tables:
            table.create_indexes(connection)
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table.name)))
        connection.execute("UPDATE runfold.past_schemas SET ready = true WHERE schema = %s", [schema])
    finally:
        connection.close()


def _begin(
    connection: Connection, projections: Mapping[str, AnyProjection], schema: str, position: int, epoch: UUID,
    branch: Branch | None,
) -> None:  # fmt: skip
    run_id = branch.run_id if branch else None
    for known in schemas(connection):
        if known.schema != schema:
            continue
        if known.ready or (known.position, known.run_id) != (position, run_id):
            of = f"as of position {known.position}" + (f" along {known.run_id}" if known.run_id else "")
            raise RebuildRefused(
                schema, f"is taken: it holds read models {of}", f"choose another name, or run `runfold drop-schema {schema}`"
            )
        drop(connection, schema)
    _require_free(connection, schema)
    with connection.transaction():
        connection.execute(
            "INSERT INTO runfold.past_schemas (schema, position, run_id, names, versions, epoch) VALUES (%s, %s, %s, %s, %s, %s)",
            [schema, position, run_id, sorted(projections), sorted(map(version_of, projections.values())), epoch],
        )
        for projection in projections.values():
            Table(projection, 0, schema=schema).create(connection)


def _require_free(connection: Connection, schema: str) -> None:
    word = connection.execute("SELECT FROM pg_get_keywords() WHERE word = %s AND catcode IN ('R', 'T')", [schema]).fetchone()
    if not _NAME.fullmatch(schema) or schema.startswith(("runfold", "pg_")) or schema == "public" or word is not None:
        raise RebuildRefused(
            schema, "cannot be the name of a schema of yours",
            "choose up to 63 small letters, digits and _, a letter first, no word of SQL, and neither runfold… nor pg_…",
        )  # fmt: skip
    if connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema]).fetchone() is not None:
        raise RebuildRefused(schema, "is a schema of somebody else", "choose another name; nothing was changed in it")


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
    for projection, rows in zip(projections, fold_events(projections, pages), strict=True):
        Table(projection, 0, schema=schema).fill(connection, rows)


def _events(
    connection: Connection, projections: Sequence[AnyProjection], position: int, branch: Branch | None, progress: Progress | None
) -> Iterator[list[Recorded]]:
    types = sorted({event.type for projection in projections for event in projection.events})
    within = "tenant_id = %b AND thread_id = %b AND " if branch else ""
    query = (
        f"SELECT {COLUMNS} FROM runfold.log WHERE {within}notification_id > %b AND notification_id <= %b AND topic = ANY(%b)"
        " ORDER BY notification_id LIMIT %b"
    )
    after = 0
    while True:
        asked: list[Any] = [after, position, types, PAGE]
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        found = cursor.execute(query, [branch.tenant_id, branch.thread_id, *asked] if branch else asked, prepare=True).fetchall()
        page = [decode(row) for row in found]
        yield [recorded for recorded in page if branch is None or branch.holds(recorded)]
        if len(found) < PAGE:
            return
        after = found[-1][0]
        if progress is not None:
            progress(after, position)
