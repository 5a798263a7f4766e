"""`export`: events, or a read model, into a folder of files that a manifest describes."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from runfold.errors import UsageError
from runfold.export.events import EVENTS, EventExport
from runfold.export.folder import locked, writing
from runfold.export.formats import known_format, writer_of
from runfold.export.manifest import Manifest
from runfold.export.order import Order, Told
from runfold.export.tables import PastTables, TableExport, plain_name, require_known
from runfold.ledger import Ledger
from runfold.projections.registry import known
from runfold.projector.past.moments import schema_of
from runfold.store.cursor import Place

ROWS_PER_PART = 100_000
Moment = int | datetime
"""A position, or a time of the store."""


class Exported(BaseModel):
    """What an export came to."""

    model_config = ConfigDict(frozen=True)

    folder: str
    manifest: Manifest
    new_parts: int
    new_rows: int

    def as_json(self) -> dict[str, Any]:
        """Return a summary without the parts."""
        said = self.manifest.model_dump(mode="json", exclude={"parts", "columns", "manifest_version"})
        parts = {"parts": len(self.manifest.parts), "bytes": self.manifest.bytes}
        return {"folder": self.folder, **said, **parts, "new_parts": self.new_parts, "new_rows": self.new_rows}


def export(
    ledger: Ledger,
    table: str,
    format: str = "parquet",
    to: str | Path = "export",
    *,
    after: Place | None = None,
    up_to: int | None = None,
    rows_per_part: int = ROWS_PER_PART,
    as_of: Moment | None = None,
    all_tenants: bool = False,
    told: Told | None = None,
) -> Exported:
    """Write `events`, or a read model (its name, or module:Class), under the folder `to`.

    What is there already is compared with its checksums, and gone on with.

    `after` is a position or a cursor and `up_to` a position, for events alone. With `as_of`, a position or a time, it is what
    was recorded up to there, exactly. Raises ExportRefused, ExportDamaged, HistoryChanged, UsageError, ReadModelBehind,
    ProjectionNotFound, InvalidProjection, LedgerUnavailable.
    """
    if rows_per_part < 1:
        raise UsageError(f"a part holds at least one row, not {rows_per_part}", rows_per_part=rows_per_part)
    table, chosen, root = plain_name(table), known_format(format), Path(to)
    if as_of is not None and up_to is not None:
        raise UsageError("as_of and up_to both say where to end; leave one of them out")
    if table != EVENTS:
        if after is not None or up_to is not None:
            raise UsageError(f"{table} is exported whole; only events take positions, and as_of is for all")
        _require_table(ledger, table, as_of)
    position = None if as_of is None else ledger.at(as_of).up_to
    past = None if position is None or table == EVENTS else _past_tables(ledger, position, told or _silent)
    with contextlib.closing(writer_of(chosen)) as writer, writing(root), locked(root, table):
        tenant_id = None if all_tenants else ledger.settings.tenant
        order = Order(ledger, table, chosen, writer, root, tenant_id, rows_per_part, told or _silent)
        if table == EVENTS:
            outcome = EventExport(order).run(after or 0, up_to if position is None else position, is_exact=position is not None)
        else:
            outcome = TableExport(order, past).run()
    return Exported(folder=str(order.place), **outcome._asdict())


def export_all(
    ledger: Ledger,
    format: str = "parquet",
    to: str | Path = "export",
    *,
    as_of: Moment | None = None,
    rows_per_part: int = ROWS_PER_PART,
    all_tenants: bool = False,
    told: Told | None = None,
) -> Iterator[Exported]:
    """Write events and every read model under the folder `to`, one after the other, as `export` does; each as it is written.

    A read model that holds what people said is left out: that stands in the events, and a redaction follows it there.

    With `as_of` all of them are as of that moment, whatever is recorded meanwhile. Without it events go up to the head, and each
    read model is as of where it stands.
    """
    position = None if as_of is None else ledger.at(as_of).up_to
    for table in (EVENTS, *sorted(name for name, projection in known().items() if not projection.holds_content)):
        yield export(ledger, table, format, to, as_of=position, rows_per_part=rows_per_part, all_tenants=all_tenants, told=told)


def _require_table(ledger: Ledger, table: str, as_of: Moment | None) -> None:
    if as_of is None:
        require_known(ledger, table)
    elif table not in known():
        raise UsageError(
            f"{table} is a projection of your own, and the past is that of those that are installed; make a schema of it with"
            f" `runfold rebuild {table} --at … --into NAME`, and take that in SQL",
            name=table,
        )


def _past_tables(ledger: Ledger, position: int, told: Told) -> PastTables:
    """Return where all read models are as of a position, folded now unless they were before. Raises LedgerError."""
    moment = ledger.prepare(position, progress=lambda done, total: told(done, total, "folding the past"))
    return PastTables(schema_of(moment.id), position, ledger.recorder.reader.head().epoch)


def _silent(_done: int, _total: int, _which: str) -> None:
    """Ignore the progress."""
