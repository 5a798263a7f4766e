"""Moments: read models of the whole ledger as of a position, prepared for who asked, and dropped when nobody asks any more.

A moment is a tenant's; the schema behind it serves every tenant that asked for the same position. It lives for as long as it
is used, and a while after that. Asking only writes it down: a server's preparing process, or who asked, makes it.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from runfold.errors import MomentNotFound, TooManyMoments
from runfold.projections.projection import AnyProjection
from runfold.projector import filling
from runfold.projector.locks import is_held, making, take_lock
from runfold.projector.past import as_of
from runfold.projector.past.as_of import PastSchema, version_of
from runfold.projector.tables.schemas import removal
from runfold.store.datastore import Connection
from runfold.store.epochs import Lineage
from runfold.store.queries import named_queries

QUERIES = named_queries("runfold.projector.past", "moments.sql")

SWEEP_SECONDS = 30.0
"""How often what is unused is looked for."""

MomentState = Literal["waiting", "running", "ready", "failed"]


@dataclass(frozen=True)
class Moment:
    """One that a tenant asked for, and how far it is."""

    tenant_id: str
    schema: str
    position: int
    names: list[str]
    ready: bool
    done: int
    total: int
    error: str | None
    asked_by: str
    asked_at: datetime
    used_at: datetime
    expires_in: timedelta
    being_made: bool

    @property
    def id(self) -> str:
        """What its tenant calls it."""
        return id_of(self.schema)

    @property
    def state(self) -> MomentState:
        """Return the state in one word."""
        if self.ready:
            return "ready"
        if self.error is not None:
            return "failed"
        return "running" if self.being_made else "waiting"


@dataclass(frozen=True)
class Wanted:
    """What is asked for: which read models as of which position of which log, by whom, and for how long after its last use."""

    tenant_id: str
    position: int
    epoch: UUID
    projections: tuple[AnyProjection, ...]
    asked_by: str
    expires_in: timedelta
    automatic: bool = False
    """Made for a question of the owner: the least recently used of these give way to new ones."""

    @property
    def schema(self) -> str:
        """The same for everybody who asks for the same."""
        said = " ".join([str(self.epoch), *sorted(map(version_of, self.projections))])
        return f"past_{self.position}_{hashlib.sha256(said.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Limits:
    """How many moments one tenant may have, and all of them together."""

    of_tenant: int
    in_all: int


def id_of(schema: str) -> str:
    """The id of a moment, by its schema."""
    return f"moment_{schema.removeprefix('past_')}"


def schema_of(id: str) -> str:
    """The schema of a moment, by its id. Raises MomentNotFound for what can be none."""
    if not id.startswith("moment_"):
        raise MomentNotFound(id)
    return f"past_{id.removeprefix('moment_')}"


def ask(connection: Connection, wanted: Wanted, limits: Limits) -> str:
    """Write down that a tenant wants a moment, which is made by and by; returns its schema. One that failed is tried again.

    Raises TooManyMoments, RebuildRefused where somebody else has a schema of that name.
    """
    facts: dict[str, Any] = {
        "tenant": wanted.tenant_id,
        "schema": wanted.schema,
        "asked_by": wanted.asked_by,
        "expires_in": wanted.expires_in,
        "automatic": wanted.automatic,
    }
    sweep(connection)  # what is unused takes no room
    with connection.transaction():
        take_lock(connection, "moments")
        connection.execute(QUERIES["try again"], facts)
        if connection.execute(QUERIES["ask again"], facts).fetchone() is not None:
            return wanted.schema
        count = connection.execute(QUERIES["count"], facts).fetchone()
        assert count is not None, "it is one row"  # noqa: S101
        if not wanted.automatic:
            _require_room(count, limits)
        if not count["exists"]:
            as_of.require_free(connection, wanted.schema)
            names, versions = [each.name for each in wanted.projections], map(version_of, wanted.projections)
            schema = {"position": wanted.position, "names": sorted(names), "versions": sorted(versions), "epoch": wanted.epoch}
            connection.execute(QUERIES["add schema"], {**facts, **schema})
        connection.execute(QUERIES["add moment"], facts)
        connection.execute(QUERIES["forget automatic"], {"most": max(1, limits.of_tenant)})
    return wanted.schema


def _require_room(count: dict[str, Any], limits: Limits) -> None:
    if count["own"] >= limits.of_tenant:
        raise TooManyMoments("this tenant", limits.of_tenant, "RUNFOLD_MOMENTS_PER_TENANT")
    if not count["exists"] and count["others"] >= limits.in_all:
        raise TooManyMoments("all tenants together", limits.in_all, "RUNFOLD_MOMENTS")


def of_tenant(connection: Connection, tenant_id: str) -> list[Moment]:
    """All that a tenant asked for and that were not dropped yet, by position."""
    cursor = connection.cursor(row_factory=class_row(Moment))
    return cursor.execute(QUERIES["moments"], {"tenant": tenant_id}).fetchall()


def drop(connection: Connection, tenant_id: str, id: str) -> None:
    """A tenant needs a moment no more. Raises MomentNotFound."""
    found = connection.execute(QUERIES["forget moment"], {"tenant": tenant_id, "schema": schema_of(id)}).fetchone()
    if found is None:
        raise MomentNotFound(id)
    sweep(connection)


def serving(
    connection: Connection, tenant_id: str, position: int, projections: Iterable[AnyProjection], lineage: Lineage, *, every: bool
) -> str | None:
    """The schema that answers a tenant's question about the whole ledger as of a position; and that it is used is noted.

    With `every`, those of other tenants are good enough, too.
    """
    facts = {"tenant": tenant_id, "position": position, "every": every}
    cursor = connection.cursor(row_factory=class_row(PastSchema))
    wanted = list(projections)
    known = cursor.execute(QUERIES["serving"], facts).fetchall()
    found = next((made for made in known if made.answers(wanted, lineage)), None)
    if found is None:
        return None
    if not found.kept:
        with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction):  # a standby answers as well
            connection.execute(QUERIES["use"], {"tenant": tenant_id, "schema": found.schema})
    return found.schema


def waiting(connection: Connection) -> dict[str, bool]:
    """The schemas that somebody waits for and that are not made yet, also those that were left half made; and whether somebody
    is at work on each.
    """
    return {row["schema"]: row["being_made"] for row in connection.execute(QUERIES["waiting"])}


def fail(connection: Connection, schema: str, error: str) -> None:
    """It cannot be made: who asked is told, and nobody tries again until it is asked for again."""
    connection.execute(QUERIES["fail"], {"schema": schema, "error": error})


def sweep(connection: Connection) -> list[str]:
    """Drop what expired, and what nobody wants any more, made or half made; what is in use just now is dropped the next time."""
    connection.execute(QUERIES["forget expired"])
    unused = [row["schema"] for row in connection.execute(QUERIES["unused"])]
    return [schema for schema in unused if _sweep_away(connection, schema)]


def _sweep_away(connection: Connection, schema: str) -> bool:
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '200ms'")  # new readers wait behind who waits for old ones
            take_lock(connection, "moments")
            take_lock(connection, "session locks")  # nobody begins to make it meanwhile
            if is_held(connection, making(schema)):
                return False
            if connection.execute(QUERIES["forget unused"], {"schema": schema}).fetchone() is None:
                return False
            connection.execute(removal(schema))
            filling.forget_abandoned(connection)
    except psycopg.errors.LockNotAvailable:
        return False
    return True
