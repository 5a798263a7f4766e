"""Going on after events were lost: another tree is begun, which names the last checkpoint of the one before.

That it was accepted is an event first, which the new tree seals. Whoever is killed in between does it again, and it is one event.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.commands.caller import Caller
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.context import Context
from runfold.domain.security import LossAccepted, Security
from runfold.evidence.publishing.places import Place
from runfold.evidence.sealing.comparing import StoredTree, compare, stored_trees, tile_reader, trees_to_begin
from runfold.evidence.sealing.sealing import AT_ONCE, MOST_BYTES, QUERIES, Log, digested, grow, origin_of
from runfold.ids import stable_id
from runfold.ledger import Ledger
from runfold.proofs.note import read_note
from runfold.store.datastore import Connection


class Loss(NamedTuple):
    """What was lost of a tenant's events, and under which name its tree goes on."""

    tenant_id: str
    fact: str
    origin: str
    previous_origin: str
    previous_checkpoint: str


def record_loss(ledger: Ledger, loss: Loss, comment: str) -> Receipt:
    """Record that a loss was accepted; once, however often. Raises LedgerError."""
    caller = Caller(loss.tenant_id, ledger.caller.actor)
    stream = stable_id("security", loss.tenant_id, loss.origin)
    accepted = LossAccepted(
        origin=loss.origin,
        previous_origin=loss.previous_origin,
        previous_checkpoint=loss.previous_checkpoint,
        fact=loss.fact,
        comment=comment,
    )

    def decide(session: Session) -> None:
        state = session.new(Security, stream)
        session.begin(state, state.accept_loss(accepted), stream, Context())

    receipt: Receipt = ledger.on_behalf(caller).executor.execute_plan(Plan(stream, decide, itself, {}))
    return receipt


def accept_losses(connection: Connection, places: list[Place], comment: str, tell: Callable[[Loss], object]) -> list[Loss]:
    """Begin another tree for each tenant of whose tree some place, or the tree itself, has what the log does not go on from.

    Each is told before its tree is begun. All that is there of the tenant is sealed anew in it. Raises psycopg.Error,
    PlaceFailed, and whatever `tell` raises.
    """
    with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        cursor.execute("SELECT FROM runfold.sealed_position FOR UPDATE")
        trees = [*stored_trees(connection), *trees_to_begin(connection)]
        lost = [(tree, loss) for tree in trees if (loss := _lost(cursor, tree, places)) is not None]
        cursor.execute(QUERIES["go back to the last leaf"])
        for tree, loss in lost:
            tell(loss)
            _begin_anew(cursor, tree, loss, comment)
    return [loss for _, loss in lost]


def _lost(cursor: Any, tree: StoredTree, places: list[Place]) -> Loss | None:
    for place in places:
        if (text := place.read(tree.origin)) is not None:
            read = tile_reader(cursor.connection, tree.tenant_id, tree.generation)
            compared = compare(read_note(text).checkpoint(), tree.origin, tree.size, read)
            if compared.verdict != "consistent":
                return _loss(cursor, tree, text, f"of {place.name}, {compared.fact}")
    ((count, last),) = cursor.execute(QUERIES["leaves after the end"], [tree.tenant_id, tree.generation]).fetchall()
    if count and tree.note is not None:
        fact = f"{count} events of {tree.origin} were sealed after position {last}, where the log ends now"
        return _loss(cursor, tree, tree.note, fact)
    return None


def _loss(cursor: Any, tree: StoredTree, note: str, fact: str) -> Loss:
    origin = origin_of(cursor, tree.tenant_id, tree.generation + 1)
    return Loss(tree.tenant_id, fact, origin, tree.origin, note)


def _begin_anew(cursor: Any, tree: StoredTree, loss: Loss, comment: str) -> None:
    log = Log(tree.tenant_id, tree.generation + 1, loss.origin, 0)
    facts = [log.tenant_id, log.generation, log.origin, loss.previous_checkpoint, comment]
    cursor.execute(QUERIES["log after a loss"], facts)
    after = 0
    while rows := cursor.execute(QUERIES["events of tenant"], [log.tenant_id, after, AT_ONCE, MOST_BYTES]).fetchall():
        grow(cursor, log, [digested(row) for row in rows])
        after = rows[-1][0]
