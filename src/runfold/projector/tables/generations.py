"""Generations of read models: making a table for a projection, and letting its name mean a newer one."""

from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from runfold.errors import DependentView, DropRefused, ProjectionChanged, ProjectionNotFound, ProjectionStopped, RebuildRefused
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import source_of
from runfold.projector.checkpoints import QUERIES, Claim, ClaimsLost, GenerationState, ReadModel, read_models
from runfold.projector.locks import is_held, rebuilding, take_lock
from runfold.projector.tables import views
from runfold.projector.tables.schemas import creation, removal
from runfold.projector.tables.table import READ_SCHEMA, Table, fingerprint, keep_tenants_apart
from runfold.store.datastore import Connection

LATER_FROM = 10_000
"""From so many events on that are to be folded, indexes are made at the end: kept up all the while they cost the server as much
as the rows themselves (32 against 17 µs an event over all read models)."""


class Begun(NamedTuple):
    """The position from which a generation continues, and what its receipt says."""

    position: int
    epoch: UUID
    events: int
    digest: int


def fits(projection: AnyProjection, model: ReadModel) -> bool:
    """Return whether a projection, as it is here, is what a generation is folded by."""
    return (model.version, model.fingerprint, model.depends_on) == (
        projection.version,
        fingerprint(projection),
        projection.depends_on,
    )


def is_wanted(projection: AnyProjection, models: list[ReadModel]) -> bool:
    """Return whether a new generation is to be made: there is none, or all that are there are of another time.

    One that is being filled does not count: a rebuild that was killed, and never given again, would hold up everybody.
    Raises ProjectionChanged.
    """
    own = [model for model in models if model.name == projection.name and model.state in {"building", "live"}]
    for model in own:
        if model.version > projection.version:
            return False  # a newer program made it; this one leaves it alone
        if model.version == projection.version and model.fingerprint != fingerprint(projection):
            raise ProjectionChanged(projection.name, projection.version, "changed its columns, key or events")
    return not any(fits(projection, model) for model in own)


def begin(connection: Connection, projection: AnyProjection, epoch: UUID, to_fold: int = 0) -> None:
    """Make a new generation, unless another worker or a rebuild is at it: live if it is the first, else in the making.

    Where there is much to fold, its indexes are made when that is done (see LATER_FROM). Raises ProjectionChanged.
    """
    with connection.transaction():
        take_lock(connection, "generations")
        models = read_models(connection)
        if not is_wanted(projection, models) or is_being_rebuilt(connection, projection.name):
            return
        own = [model for model in models if model.name == projection.name]
        for model in own:
            if model.state in {"filling", "building"}:
                remove(connection, model)
        generation = max((model.generation for model in own), default=0) + 1
        state: GenerationState = "building" if any(model.state == "live" for model in own) else "live"
        table = _make(connection, projection, generation, state)
        table.add_key(connection)
        if to_fold < LATER_FROM:
            table.create_indexes(connection)
        start(connection, projection, generation, epoch)


def is_being_rebuilt(connection: Connection, name: str) -> bool:
    """Return whether a rebuild of a read model runs just now."""
    return is_held(connection, rebuilding(name))


def renew(connection: Connection, projection: AnyProjection, state: GenerationState) -> int:
    """Make a generation beside the one in use, whether it is wanted or not; one that was in the making is dropped.

    It has no key, no indexes and no checkpoint yet. Returns its number.
    """
    with connection.transaction():
        take_lock(connection, "generations")
        own = [model for model in read_models(connection) if model.name == projection.name]
        for model in own:
            if model.state in {"filling", "building"}:
                remove(connection, model)
        generation = max((model.generation for model in own), default=0) + 1
        _make(connection, projection, generation, state)
    return generation


def start(connection: Connection, projection: AnyProjection, generation: int, epoch: UUID) -> int:
    """Let workers fold a generation from the beginning; returns that position, 0."""
    named = {"name": projection.name, "generation": generation}
    connection.execute(QUERIES["add checkpoint"], {**named, "epoch": epoch, "position": 0})
    return 0


def ready(connection: Connection, projection: AnyProjection, generation: int, begun: Begun) -> None:
    """A generation was filled up to a position: from here on workers keep it up, as any that is in the making."""
    named = {"name": projection.name, "generation": generation}
    with connection.transaction():
        take_lock(connection, "generations")
        connection.execute(QUERIES["add checkpoint"], {**named, "epoch": begun.epoch, "position": begun.position})
        if begun.position:
            connection.execute(QUERIES["add receipt"], {**named, **begun._asdict()})
        _set_state(connection, projection.name, generation, "building")


def offer(connection: Connection, name: str, generation: int) -> None:
    """Let workers go on with a generation that a rebuild has folded from its own checkpoint. In the caller's transaction."""
    take_lock(connection, "generations")
    _set_state(connection, name, generation, "building")


def switch(connection: Connection, projection: AnyProjection, held: Claim) -> bool:
    """Let the name of a read model mean the generation that was in the making. The one before is kept, for `rollback`.

    False where it is too early: the one in use is further, or readers are at work. Raises ClaimsLost, ProjectionStopped.
    """
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '200ms'")  # new readers wait behind who waits for old ones
            return _switch(connection, projection, held)
    except psycopg.errors.LockNotAvailable:
        return False


def _switch(connection: Connection, projection: AnyProjection, held: Claim) -> bool:
    take_lock(connection, "generations")
    found = {row["generation"]: row for row in connection.execute(QUERIES["lock read model"], {"name": held.name})}
    own = found.pop(held.generation, None)
    if own is None or own["token"] != held.token:
        raise ClaimsLost([(held.name, held.generation)])
    if own["state"] != "building":
        return True  # who held it before has switched it, after it was looked at and before it was taken over
    if any(other["position"] > own["position"] for other in found.values()):
        return False
    _show(connection, projection, held.generation)
    return True


def rollback(connection: Connection, name: str, projection: AnyProjection | None) -> int:
    """Let a read model's name mean the generation before again, which goes on from where it was; returns its position.

    Raises ProjectionStopped where there is none, RebuildRefused while it is being rebuilt.
    """
    with connection.transaction():
        take_lock(connection, "generations")
        if is_being_rebuilt(connection, name):
            raise RebuildRefused(name, "is being rebuilt", "wait for it or stop it, then repeat the command")
        own = [model for model in read_models(connection) if model.name == name]
        before = next((model for model in own if model.state == "previous"), None)
        if before is None:
            raise ProjectionStopped(name, "has no previous generation", "there is nothing to roll back to")
        if projection is None or not fits(projection, before):
            raise _another(name, before, projection)
        _show(connection, projection, before.generation)
    return before.position or 0


def _another(name: str, before: ReadModel, projection: AnyProjection | None) -> ProjectionStopped:
    """What the table of before was folded by, and that this program folds by something else."""
    again = "roll the program back, and then the read model"
    if projection is None or before.version != projection.version:
        return ProjectionStopped(name, f"was built by version {before.version} before, but this program has another", again)
    if before.fingerprint != fingerprint(projection):
        return ProjectionStopped(
            name, f"was built with other columns, another key or other events before, in version {before.version} too", again
        )
    then, now = before.depends_on or "no dependency", projection.depends_on or "no dependency"
    fact = f"was folded with {then} before, and this program folds it with {now} (its version is {before.version} both times)"
    return ProjectionStopped(name, fact, f"return to {then}, and then roll the read model back")


def _show(connection: Connection, projection: AnyProjection, generation: int) -> None:
    """Switch states and the view; what is older than the one that was in use until now is dropped. Raises DependentView."""
    views.show(connection, Table(projection, generation))
    for model in read_models(connection):
        if model.name != projection.name or model.generation == generation:
            continue
        if model.state == "live":
            _set_state(connection, model.name, model.generation, "previous")
        else:
            if over := views.made_over(connection, schema_of(model)):
                again = f"make it over {READ_SCHEMA}.{model.name}, and run `runfold projections retry {model.name}`"
                raise DependentView(model.name, f"stays as it is: {over}", again)
            remove(connection, model)
    _set_state(connection, projection.name, generation, "live")


def remove(connection: Connection, model: ReadModel) -> None:
    """Drop a generation with its table and all that is kept of it."""
    connection.execute(removal(schema_of(model)))
    connection.execute(QUERIES["remove read model"], {"name": model.name, "generation": model.generation})


def drop(connection: Connection, name: str) -> None:
    """Drop all generations of a read model, with their tables, its view, and all that is kept of them.

    Raises ProjectionNotFound, DropRefused.
    """
    with connection.transaction():
        take_lock(connection, "generations")
        own = [model for model in read_models(connection) if model.name == name]
        if not own:
            raise ProjectionNotFound(name)
        if is_being_rebuilt(connection, name):
            raise DropRefused(name, "is being rebuilt", "wait for it or stop it, then repeat the command")
        tables = {name, *(table for model in own for table in views.tables_of(connection, schema_of(model)))}
        found = [view for table in sorted(tables) for view in views.views_of(connection, table)]
        for dependent in (each for view in found for each in view.dependents):
            raise DropRefused(name, f"is what {dependent.what} is made over", "drop that first, then repeat the command")
        for view in found:
            connection.execute(sql.SQL("DROP VIEW {}").format(sql.Identifier(READ_SCHEMA, view.name)))
        for model in own:
            if (over := views.made_over(connection, schema_of(model))) is not None:
                raise DropRefused(name, f"stays as it is: {over}", "drop what is made over it, then repeat the command")
        for model in own:
            remove(connection, model)


def schema_of(model: ReadModel) -> str:
    """Return where a generation's table is."""
    return f"runfold_{model.name}_{model.generation}"


def bring_up_to_date(connection: Connection) -> bool:
    """Keep tenants apart, and give views their comments, in what was made before. False where readers are in the way just now."""
    found = connection.execute(QUERIES["unwalled"]).fetchall()
    try:
        for row in found:
            with connection.transaction():
                take_lock(connection, "generations")
                connection.execute("SET LOCAL lock_timeout = '200ms'")  # new readers wait behind who waits for old ones
                _enable_row_security(connection, sql.Identifier(row["schema"], row["name"]), is_view=row["is_view"])
        with connection.transaction():
            take_lock(connection, "generations")
            connection.execute("SET LOCAL lock_timeout = '200ms'")
            views.comment_on_views(connection)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return False  # in use, or dropped meanwhile
    return True


def _enable_row_security(connection: Connection, relation: sql.Identifier, *, is_view: bool) -> None:
    if is_view:
        connection.execute(sql.SQL("ALTER VIEW {} SET (security_invoker = true)").format(relation))
    else:
        keep_tenants_apart(connection, relation)


def _make(connection: Connection, projection: AnyProjection, generation: int, state: GenerationState) -> Table[Any]:
    table = Table(projection, generation)
    connection.execute(creation(READ_SCHEMA))
    connection.execute(
        QUERIES["add read model"],
        {
            "name": projection.name,
            "generation": generation,
            "version": projection.version,
            "fingerprint": fingerprint(projection),
            "depends_on": projection.depends_on,
            "source": source_of(projection),
            "types": sorted(event.type for event in projection.events),
            "state": state,
        },
    )
    table.drop(connection)  # one that nobody knows of any more
    table.create(connection)
    if state == "live":
        views.show(connection, table)
    return table


def _set_state(connection: Connection, name: str, generation: int, state: GenerationState) -> None:
    connection.execute(QUERIES["set state"], {"name": name, "generation": generation, "state": state})
