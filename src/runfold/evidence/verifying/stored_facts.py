"""Whether the tables of the sealed log say what was signed: of each checkpoint, and of how far all is sealed.

Checkpoints are looked up by columns beside their signed notes, and nobody signs these. Where they say something else, another
checkpoint is taken for the last one, or what will be recorded is taken for sealed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from psycopg.rows import tuple_row

from runfold.evidence.sealing.comparing import StoredTree
from runfold.evidence.sealing.sealing import not_own
from runfold.evidence.verifying.next_steps import LOST
from runfold.evidence.verifying.pages import Ask
from runfold.maintenance.checking import Finding
from runfold.proofs.note import Checkpoint, NoteRefused, read_note
from runfold.store.datastore import Connection

Found = Iterator[tuple[Finding, str]]

_NEXT_STEP = "put the row back from a backup; somebody with the rights of a superuser changed it"


def strangers(connection: Connection, trees: Iterable[StoredTree]) -> Found:
    """Yield which trees cannot be this ledger's, with the tenant that they are of."""
    with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        for tree in trees:
            if fact := not_own(cursor, tree.tenant_id, tree.generation, tree.origin):
                yield Finding("forked", fact, _NEXT_STEP), tree.tenant_id


def stored_facts(ask: Ask, since: Mapping[str, Checkpoint]) -> Found:
    """Yield what is stored otherwise than it was signed, with the tenant that it is of.

    `since` has for some trees the checkpoint up to which they were looked at before, and are not again.
    """
    for tenant_id, origin, map_size, size in ask("said to be mapped", ()):
        fact = f"the map of {origin} is said to be made of {map_size} leaves, and its tree has {size}"
        yield Finding("altered", fact, _NEXT_STEP, field="map_size"), tenant_id
    for position, last in ask("said to be sealed", ()):
        fact = f"all is said to be sealed up to position {position}, and nothing stands after {last}"
        yield Finding("altered", fact, _NEXT_STEP, field="sealed_position"), ""
    for position, size in ask("sealed of nobody", ()):
        fact = f"all is sealed up to position {position}, and the trees here have {size} events: of the other {position - size}"
        yield Finding("missing", f"{fact} nothing is here, as where a tenant was taken away", LOST), ""
    for tenant_id, generation, size in () if since else ask("checkpoints of no tree", ()):
        fact = f"a checkpoint of {size} events is stored of tree {generation} of {tenant_id!r}, and there is none"
        yield Finding("altered", fact, _NEXT_STEP, field="checkpoint"), tenant_id
    for tenant_id, generation, origin in ask("all trees", ()):
        known = since.get(origin)
        for finding in _checkpoints(ask, tenant_id, generation, origin, known.size if known else 0):
            yield finding, tenant_id


def _checkpoints(ask: Ask, tenant_id: str, generation: int, origin: str, size: int) -> Iterator[Finding]:
    after: tuple[int, bool] = size, True
    while page := ask("stored checkpoints", [tenant_id, generation, *after]):
        for row in page:
            if differing := _differing(origin, row):
                fact = f"the checkpoint of {row[0]} events that is stored of {origin} {differing}"
                yield Finding("altered", fact, _NEXT_STEP, field="checkpoint")
        after = page[-1][:2]


def _differing(origin: str, row: tuple[Any, ...]) -> str:
    size, _, position, root, map_root, note, leaf_position = row
    try:
        said = read_note(note).checkpoint()
    except NoteRefused as error:
        return f"is none: {error}"
    stored = Checkpoint(origin, size, bytes(root), None if map_root is None else bytes(map_root))
    wrong = [name for name, here, there in zip(Checkpoint._fields, stored, said, strict=True) if here != there]
    if leaf_position is not None and leaf_position != position:
        wrong.append("position")
    return f"has another {' and another '.join(wrong)} than its note says" if wrong else ""
