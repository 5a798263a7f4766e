"""How far read models are, and whether their tables are those that this program reads."""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg.rows import tuple_row

from runfold.errors import ReadModelBehind
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import find
from runfold.projector.tables.table import fingerprint_of
from runfold.queries.page import Standing
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.queries.sources", "standings.sql")


class Found(NamedTuple):
    """A read model as the database knows it; without a position where it has not been begun."""

    name: str
    position: int | None
    trouble: str | None
    head: int
    behind_seconds: float | None
    version: int | None
    fingerprint: str | None
    types: list[str] | None
    generation: int | None


def states_of(connection: Connection, names: Sequence[str]) -> list[Found]:
    """Return how far some read models are."""
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    return [Found(*row) for row in cursor.execute(_QUERIES["positions of read models"], [list(names)], prepare=True)]


def standing_of(connection: Connection, states: Sequence[Found], wanted: int | None) -> Standing:
    """Return where several read models stand: at the smallest of their positions.

    Raises ReadModelBehind where one has not been begun, or has other columns than this program reads.
    """
    least = min(states, key=lambda state: -1 if state.position is None else state.position)
    if least.position is None:
        raise behind(connection, least, least.head if wanted is None else wanted)
    for state in states:
        if (projection := find(state.name)) is not None:
            require_fitting(state, projection)
    return Standing(position=least.position, head=least.head, behind_seconds=max(0.0, least.behind_seconds or 0.0))


def require_fitting(state: Found, projection: AnyProjection) -> None:
    """Raises ReadModelBehind where a table has other columns, or another key, than a projection has here.

    One that was folded by another version into the same columns is read until its successor takes its place.
    """
    if (misfit := _misfit(state, projection)) is not None:
        raise misfit


def _misfit(state: Found, projection: AnyProjection | None) -> ReadModelBehind | None:
    if projection is None or state.fingerprint is None or state.types is None:
        return None
    if state.fingerprint == fingerprint_of(projection, tuple(state.types)):
        return None
    own, other = projection.version, state.version or 0
    program, step = f"this program reads version {own}", "run `runfold work`, or give the command again with --fold"
    if other > own:
        fact = f"has a table of the newer version {other}, and {program}"
        step = f"upgrade this program, or have it built anew by version {own}: `runfold rebuild {state.name}`"
    elif other < own:
        fact = f"has a table of the older version {other}, and {program}"
        step += f"; `runfold rebuild {state.name}` builds it faster"
    else:
        fact = f"has a table of other columns, and {program} as well"
        step = f"set the projection's version to {own + 1}, and {step}"
    return ReadModelBehind(state.name, state.position, state.head, step, fact)


def behind(connection: Connection, state: Found, wanted: int) -> ReadModelBehind:
    """Return what to say of a read model that is not where it was asked for, and whether anybody will bring it there."""
    if (misfit := _misfit(state, find(state.name))) is not None:
        return misfit
    is_folded = None
    if state.trouble == "stopped":
        next_step = "it has stopped: `runfold projections` says why"
    elif wanted > state.head:
        next_step = f"the ledger itself ends at {state.head}: ask for a position that there is"
    elif is_folded := _is_folded(connection, state.name):
        next_step = "a worker is at it, so ask again in a moment; `runfold projections` shows how far it is"
    else:
        next_step = "nobody folds it yet: run `runfold work`, or give the command again with --fold"
    return ReadModelBehind(state.name, state.position, wanted, next_step, is_folded=is_folded)


def _is_folded(connection: Connection, name: str) -> bool:
    """Return whether a worker that was heard of lately folds a read model."""
    cursor = connection.cursor(row_factory=tuple_row)
    return cursor.execute(_QUERIES["folded by somebody"], {"name": name}).fetchone() is not None
