"""`export`: events, or a read model, into a folder of files that a manifest describes."""

import contextlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from runfold.errors import UsageError
from runfold.export.events import EVENTS, EventExport
from runfold.export.folder import locked, writing
from runfold.export.formats import known_format, writer_of
from runfold.export.manifest import Manifest
from runfold.export.order import Order, Told
from runfold.export.tables import TableExport, plain_name, require_known
from runfold.ledger import Ledger
from runfold.store.cursor import Place

ROWS_PER_PART = 100_000


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
    all_tenants: bool = False,
    told: Told | None = None,
) -> Exported:
    """Write `events`, or a read model (its name, or module:Class), under the folder `to`.

    What is there already is compared with its checksums, and gone on with.

    `after` is a position or a cursor and `up_to` a position, for events alone. Raises ExportRefused, ExportDamaged,
    HistoryChanged, UsageError, ReadModelBehind, ProjectionNotFound, InvalidProjection, LedgerUnavailable.
    """
    if rows_per_part < 1:
        raise UsageError(f"a part holds at least one row, not {rows_per_part}", rows_per_part=rows_per_part)
    table, chosen, root = plain_name(table), known_format(format), Path(to)
    if table != EVENTS:
        if after is not None or up_to is not None:
            raise UsageError(f"{table} is exported as of where its read model is; only events take positions")
        require_known(ledger, table)
    with contextlib.closing(writer_of(chosen)) as writer, writing(root), locked(root, table):
        tenant_id = None if all_tenants else ledger.settings.tenant
        order = Order(ledger, table, chosen, writer, root, tenant_id, rows_per_part, told or _silent)
        outcome = EventExport(order).run(after or 0, up_to) if table == EVENTS else TableExport(order).run()
    return Exported(folder=str(order.place), **outcome._asdict())


def _silent(_done: int, _total: int, _which: str) -> None:
    """Ignore the progress."""
