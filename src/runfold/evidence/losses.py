"""Going on after events were lost: another tree is begun, which names the last checkpoint of the one before."""

from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.evidence.comparing import StoredTree, compare, tile_reader
from runfold.evidence.places import Place
from runfold.evidence.sealing import AT_ONCE, MOST_BYTES, QUERIES, Log, digested, first_origin, grow
from runfold.proofs.note import read_note
from runfold.store.datastore import Connection


class Loss(NamedTuple):
    """What was lost of a tenant's events, and under which name its tree goes on."""

    tenant_id: str
    fact: str
    origin: str


def accept_losses(connection: Connection, places: list[Place], reason: str) -> list[Loss]:
    """Begin another tree for each tenant of whose tree some place holds what the database does not go on from.

    All that is there of the tenant is sealed anew in it. Raises psycopg.Error, PlaceFailed.
    """
    found = []
    with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        cursor.execute("SELECT FROM runfold.sealed_position FOR UPDATE")
        for tree in _trees(cursor):
            for place in places:
                text = place.read(tree.origin)
                if text is None:
                    continue
                read = tile_reader(connection, tree.tenant_id, tree.generation)
                compared = compare(read_note(text).checkpoint(), tree.origin, tree.size, read)
                if compared.verdict != "consistent":
                    found.append(_begin_anew(cursor, tree, text, f"of {place.name}, {compared.fact}", reason))
                    break
    return found


def _trees(cursor: Any) -> list[StoredTree]:
    """The present trees, and those that tenants would begin who have none."""
    known = {row[0]: StoredTree(*row) for row in cursor.execute(QUERIES["present logs"]).fetchall()}
    for (tenant_id,) in cursor.execute("SELECT DISTINCT e.tenant_id FROM runfold.log AS e").fetchall():
        if tenant_id not in known:
            known[tenant_id] = StoredTree(tenant_id, 1, first_origin(cursor, tenant_id), 0, None)
    return list(known.values())


def _begin_anew(cursor: Any, tree: StoredTree, note: str, fact: str, reason: str) -> Loss:
    generation = tree.generation + 1
    log = Log(tree.tenant_id, generation, f"{first_origin(cursor, tree.tenant_id)}-{generation}", 0)
    cursor.execute(QUERIES["log after a loss"], [log.tenant_id, generation, log.origin, note, reason])
    after = 0
    while rows := cursor.execute(QUERIES["events of tenant"], [log.tenant_id, after, AT_ONCE, MOST_BYTES]).fetchall():
        grow(cursor, log, [digested(row) for row in rows])
        after = rows[-1][0]
    return Loss(log.tenant_id, fact, log.origin)
