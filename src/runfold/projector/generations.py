"""Generations of read models: making a table for a projection, and letting its name mean a newer one."""

from uuid import UUID

import psycopg
from psycopg import sql

from runfold.errors import ProjectionChanged, ProjectionStopped
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import source_of
from runfold.projector.checkpoints import QUERIES, Claim, ClaimsLost, ReadModel, State, read_models
from runfold.projector.tables import READ_SCHEMA, Table, fingerprint
from runfold.store.datastore import Connection


def fits(projection: AnyProjection, model: ReadModel) -> bool:
    """Whether a projection, as it is here, is what a generation is folded by."""
    return (model.version, model.fingerprint, model.depends_on) == (
        projection.version, fingerprint(projection), projection.depends_on,
    )  # fmt: skip


def is_wanted(projection: AnyProjection, models: list[ReadModel]) -> bool:
    """Whether a new generation is to be made: there is none, or all that are there are of another time.

    Raises ProjectionChanged.
    """
    own = [model for model in models if model.name == projection.name and model.state != "previous"]
    for model in own:
        if model.version > projection.version:
            return False  # a newer program made it; this one leaves it alone
        if model.version == projection.version and model.fingerprint != fingerprint(projection):
            raise ProjectionChanged(projection.name, projection.version, "has other columns, another key or other events")
    return not any(fits(projection, model) for model in own)


def begin(connection: Connection, projection: AnyProjection, epoch: UUID) -> None:
    """Make a new generation, unless another worker has just made it: live if it is the first, else in the making.

    Raises ProjectionChanged.
    """
    with connection.transaction():
        connection.execute(QUERIES["begin lock"])
        models = read_models(connection)
        if not is_wanted(projection, models):
            return
        own = [model for model in models if model.name == projection.name]
        for model in own:
            if model.state == "building":
                remove(connection, model)
        is_first = not any(model.state == "live" for model in own)
        _make(connection, projection, max((model.generation for model in own), default=0) + 1, epoch, is_first)


def switch(connection: Connection, projection: AnyProjection, held: Claim) -> bool:
    """Let the name of a read model mean the generation that was in the making, and drop the one before.

    False where it is too early: the one in use is further, or readers are at work. Raises ClaimsLost, ProjectionStopped.
    """
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '200ms'")  # new readers wait behind who waits for old ones
            return _switch(connection, projection, held)
    except psycopg.errors.LockNotAvailable:
        return False
    except psycopg.errors.DependentObjectsStillExist as error:
        raise ProjectionStopped(
            held.name, f"has other columns than before, and {error.diag.message_detail or error}",
            f"drop what depends on it, run `runfold projections retry {held.name}`, and make it again",
        ) from None  # fmt: skip


def _switch(connection: Connection, projection: AnyProjection, held: Claim) -> bool:
    connection.execute(QUERIES["begin lock"])
    found = {row["generation"]: row for row in connection.execute(QUERIES["lock read model"], {"name": held.name})}
    own = found.pop(held.generation, None)
    if own is None or own["token"] != held.token:
        raise ClaimsLost([(held.name, held.generation)])
    if any(other["position"] > own["position"] for other in found.values()):
        return False
    for generation in found:
        _set_state(connection, held.name, generation, "previous")
    _set_state(connection, held.name, held.generation, "live")
    Table(projection, held.generation).show(connection)
    for model in read_models(connection):
        if model.name == held.name and model.state == "previous":
            remove(connection, model)
    return True


def remove(connection: Connection, model: ReadModel) -> None:
    """Drop a generation with its table and all that is kept of it."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema_of(model))))
    connection.execute(QUERIES["remove read model"], {"name": model.name, "generation": model.generation})


def schema_of(model: ReadModel) -> str:
    """Where a generation's table is."""
    return f"runfold_{model.name}_{model.generation}"


def _make(connection: Connection, projection: AnyProjection, generation: int, epoch: UUID, is_first: bool) -> None:
    table = Table(projection, generation)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(READ_SCHEMA)))
    connection.execute(
        QUERIES["add read model"],
        {
            "name": projection.name, "generation": generation, "version": projection.version,
            "fingerprint": fingerprint(projection), "depends_on": projection.depends_on, "source": source_of(projection),
            "types": sorted(event.type for event in projection.events), "state": "live" if is_first else "building",
        },
    )  # fmt: skip
    connection.execute(QUERIES["add checkpoint"], {"name": projection.name, "generation": generation, "epoch": epoch})
    table.drop(connection)  # one that nobody knows of any more
    table.create(connection)
    table.create_indexes(connection)
    if is_first:
        table.show(connection)


def _set_state(connection: Connection, name: str, generation: int, state: State) -> None:
    connection.execute(QUERIES["set state"], {"name": name, "generation": generation, "state": state})
