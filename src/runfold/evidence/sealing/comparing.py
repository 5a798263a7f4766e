"""Holds a stored tree against checkpoints that were published: whether it has gone back, or has another past."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from psycopg.rows import tuple_row

from runfold.evidence.sealing.sealing import QUERIES, origin_of
from runfold.proofs.note import Checkpoint
from runfold.proofs.tiles import ReadTile, Tiles
from runfold.store.datastore import Connection

Verdict = Literal["consistent", "rolled back", "forked", "damaged"]


class StoredTree(NamedTuple):
    """A present tree, as the database has it."""

    tenant_id: str
    generation: int
    origin: str
    size: int
    note: str | None
    cosignatures: str = ""
    """The lines of witnesses that have signed it."""


class Compared(NamedTuple):
    """What became of a checkpoint that somebody keeps."""

    verdict: Verdict
    fact: str


def stored_trees(connection: Connection) -> list[StoredTree]:
    """The present trees of all tenants that are seen here. Raises psycopg.Error."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [StoredTree(*row) for row in cursor.execute(QUERIES["present logs"]).fetchall()]


def trees_to_begin(connection: Connection, more: Iterable[str] = ()) -> list[StoredTree]:
    """The trees that tenants would begin who have none, of those who have events and of some more. Raises psycopg.Error.

    Somebody may hold a checkpoint of such a tree: then it was taken away.
    """
    begun = {tree.tenant_id for tree in stored_trees(connection)}
    with connection.cursor(row_factory=tuple_row) as cursor:
        tenants = {tenant_id for (tenant_id,) in cursor.execute(QUERIES["tenants"]).fetchall()} | {*more}
        return [StoredTree(each, 1, origin_of(cursor, each), 0, None) for each in sorted(tenants - begun)]


def tile_reader(connection: Connection, tenant_id: str, generation: int) -> ReadTile:
    """Read the tiles of a tree, each once."""
    known: dict[tuple[int, int], bytes] = {}

    def read(level: int, number: int) -> bytes:
        if (level, number) not in known:
            with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
                found: Any = cursor.execute(QUERIES["tile"], [tenant_id, generation, level, number]).fetchone()
            if len(known) >= 1024:
                known.clear()
            known[level, number] = found[0] if found else b""
        return known[level, number]

    return read


def compare(kept: Checkpoint, origin: str, size: int, read: ReadTile, whose: Callable[[], str] = lambda: "") -> Compared:
    """Compare a checkpoint that is kept outside with the tree in the database."""
    if kept.origin != origin:
        return Compared(
            "forked", f"it is of {kept.origin}, and the tree here is {origin}: it was made anew, or is another ledger's"
        )
    if kept.size > size:
        lost = f"events {size + 1} to {kept.size} of the tenant were sealed once and are not here"
        return Compared("rolled back", f"it has {kept.size} events, and the tree here {size}: {lost}{whose()}")
    try:
        root = Tiles(read).root(kept.size)
    except LookupError as error:
        return Compared("damaged", f"the tree here cannot be read up to {kept.size} events: {error}")
    if root != kept.root:
        what = f"at {kept.size} events its root is {kept.root.hex()[:16]}…, and here {root.hex()[:16]}…"
        return Compared("forked", f"{what}: the history here is another one than was sealed{whose()}")
    return Compared("consistent", f"its {kept.size} events are the first of {size} here")
