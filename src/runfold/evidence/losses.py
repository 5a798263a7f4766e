"""Going on after events were lost: another tree is begun, which names the last checkpoint of the one before.

That it was accepted is an event first, which the new tree seals. Whoever is killed in between does it again, and it is one event.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.commands.caller import Caller
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.context import Context
from runfold.domain.security import LossAccepted, Security
from runfold.errors import SealingRefused
from runfold.evidence.publishing.places import Place, PlaceFailed
from runfold.evidence.sealing.comparing import StoredTree, compare, stored_trees, tile_reader, trees_to_begin
from runfold.evidence.sealing.sealed_leaf import SealedLeaf
from runfold.evidence.sealing.sealing import AT_ONCE, MOST_BYTES, QUERIES, Log, digested, grow, origin_of
from runfold.ids import stable_id
from runfold.ledger import Ledger
from runfold.proofs.note import NoteRefused, read_note
from runfold.store.datastore import Connection

_MOST_TOLD = 20
"""Events that are named of those that are not as they were sealed."""


class Loss(NamedTuple):
    """What was lost of a tenant's events, and under which name its tree goes on."""

    tenant_id: str
    fact: str
    origin: str
    previous_origin: str
    previous_checkpoint: str


def record_loss(ledger: Ledger, loss: Loss, comment: str) -> Receipt:
    """Record that a loss was accepted, in these words; once, however often. Raises LedgerError.

    The name of the stream follows from all that is said: what somebody else recorded of it before does not stand in for that.
    """
    caller = Caller(loss.tenant_id, ledger.caller.actor)
    stream = stable_id("security", *loss, comment)
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


def accept_losses(
    connection: Connection, places: list[Place], comment: str, tell: Callable[[Loss], object], *, also_changed: bool = False
) -> list[Loss]:
    """Begin another tree for each tenant of whose tree some place, or the tree itself, has what the log does not go on from.

    Each is told before its tree is begun. All that is there of the tenant is sealed anew in it: where that is not as it was
    sealed, nobody would be told so any more, and it is refused unless `also_changed` accepts that, too. Raises psycopg.Error,
    SealingRefused, and whatever `tell` raises.
    """
    with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        cursor.execute("SELECT FROM runfold.sealed_position FOR UPDATE")
        trees = [*stored_trees(connection), *trees_to_begin(connection)]
        lost = [(tree, loss) for tree in trees if (loss := _lost(cursor, tree, places)) is not None]
        lost = [(tree, _with_changes(cursor, tree, loss, also_changed)) for tree, loss in lost]
        cursor.execute(QUERIES["go back to the last leaf"])
        for tree, loss in lost:
            tell(loss)
            _begin_anew(cursor, tree, loss, comment)
    return [loss for _, loss in lost]


def _with_changes(cursor: Any, tree: StoredTree, loss: Loss, also_changed: bool) -> Loss:
    """The loss, with what of the rest is not as it was sealed. Raises SealingRefused unless that is accepted as well."""
    facts, count = list[str](), 0
    for count, fact in enumerate(_changes(cursor, tree), 1):
        facts += [fact] if count <= _MOST_TOLD else []
    if not count:
        return loss
    told = "; ".join(facts) + (f"; and {count - len(facts)} more" if count > len(facts) else "")
    if not also_changed:
        step = "put it right from a backup; where none has it, accept it as well, with `runfold seal accept-loss --also-changed`"
        raise SealingRefused(f"events were lost, and what is left is not as it was sealed: {told}", step)
    return loss._replace(fact=f"{loss.fact}; and what is left is not as it was sealed: {told}")


def _changes(cursor: Any, tree: StoredTree) -> Iterator[str]:
    """What is left of a tenant, held against what was sealed of it: events that are changed, or missing before the last one."""
    after, whose = 0, [tree.tenant_id, tree.generation]
    while rows := cursor.execute(QUERIES["events of tenant"], [tree.tenant_id, after, AT_ONCE, MOST_BYTES]).fetchall():
        until, events = rows[-1][0], {row[0]: row for row in rows}
        for leaf in map(SealedLeaf._make, cursor.execute(QUERIES["leaves of tree"], [*whose, after, until]).fetchall()):
            if (row := events.get(leaf.position)) is None:
                yield f"{leaf.named()} is missing"
            elif changed := leaf.changed(digested(row, leaf.salt)):
                yield f"the {' and the '.join(changed)} of {leaf.named()} changed"
        after = until


def _lost(cursor: Any, tree: StoredTree, places: list[Place]) -> Loss | None:
    for place in places:
        text = _held(place, tree.origin)
        if text is not None:
            read = tile_reader(cursor.connection, tree.tenant_id, tree.generation)
            compared = compare(read_note(text).checkpoint(), tree.origin, tree.size, read)
            if compared.verdict != "consistent":
                return _loss(cursor, tree, text, f"of {place.name}, {compared.fact}")
    ((count, last),) = cursor.execute(QUERIES["leaves after the end"], [tree.tenant_id, tree.generation]).fetchall()
    if count and tree.note is not None:
        fact = f"{count} events of {tree.origin} were sealed after position {last}, where the log ends now"
        return _loss(cursor, tree, tree.note, fact)
    return None


def _held(place: Place, origin: str) -> str | None:
    """What a place holds of a tree. Raises SealingRefused where that cannot be told: nobody knows then what was lost."""
    try:
        if (text := place.read(origin)) is not None:
            read_note(text).checkpoint()
    except PlaceFailed as error:
        fact = f"what was published cannot be compared: {error}"
        raise SealingRefused(
            fact, "see that it can be read, or take it out of RUNFOLD_SEAL_PUBLISH, and accept the loss again"
        ) from None
    except NoteRefused as error:
        fact = f"what {place.name} holds of {origin} is no checkpoint: {error}"
        raise SealingRefused(fact, "find out who wrote it, and put the right one back") from None
    return text


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
