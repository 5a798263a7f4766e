"""Whether the receipts of read models say what the log says: that every event was applied, and once."""

from collections.abc import Iterator

from psycopg.rows import dict_row

from runfold.maintenance.checking import Finding
from runfold.projector.checkpoints import QUERIES, ReadModel, read_models
from runfold.store.datastore import Connection, Datastore
from runfold.store.epochs import Lineage, lineage_over


def receipt_findings(datastore: Datastore) -> Iterator[Finding]:
    """Every read model whose checkpoint or receipts cannot be true. Raises LedgerUnavailable."""
    with datastore.reading() as connection:
        connection.row_factory = dict_row
        head = connection.execute("SELECT position, epoch FROM runfold.head").fetchone() or {}
        lineage = lineage_over(connection, head["epoch"])
        sums: dict[int, dict[str, tuple[int, int]]] = {}
        for model in read_models(connection):
            if model.state in {"live", "building"} and model.position is not None:
                if model.position not in sums:
                    sums[model.position] = _sums(connection, model.position)
                yield from _faults(connection, model, head["position"], lineage, sums[model.position])


def _sums(connection: Connection, up_to: int) -> dict[str, tuple[int, int]]:
    """Return for each event type how many events there are up to a position, and the digest over their ids."""
    found = connection.execute(QUERIES["sums by type"], {"up_to": up_to})
    return {row["topic"]: (int(row["events"]), int(row["digest"])) for row in found}


def _faults(
    connection: Connection, model: ReadModel, head: int, lineage: Lineage, sums: dict[str, tuple[int, int]]
) -> Iterator[Finding]:
    again = f"rebuild it with `runfold rebuild {model.name}`"
    position = model.position or 0
    if position > head:
        fact = f"{model.name} has a checkpoint at position {position}, and the ledger ends at {head}"
        yield Finding("checkpoint", fact, again, position)
    elif model.epoch is not None and not lineage.holds(position, model.epoch):
        yield Finding("checkpoint", f"{model.name} was built from another log, whose id is {model.epoch}", again, position)
    named = {"name": model.name, "generation": model.generation}
    receipts = connection.execute(QUERIES["receipts"], named).fetchall()
    spans = [(row["first_position"], row["last_position"]) for row in receipts]
    if spans != ([(1, position)] if position else []):
        said = ", ".join(f"{first} to {last}" for first, last in spans) or "nothing"
        yield Finding("receipt", f"{model.name} is at position {position}, and its receipts are for {said}", again, position)
        return
    types = connection.execute(QUERIES["types"], named).fetchone()
    wanted = [sums[name] for name in (types or {"types": []})["types"] if name in sums]
    expected = (sum(count for count, _ in wanted), sum(digest for _, digest in wanted) % 2**64)
    applied = (int(receipts[0]["events"]), int(receipts[0]["digest"])) if receipts else (0, 0)
    if applied != expected:
        fact = f"{model.name} has a receipt for {applied[0]} events up to position {position}, and the log has {expected[0]}"
        other = "" if applied[0] != expected[0] else " other ones"
        yield Finding("receipt", f"{fact}{other}", again, position)
