"""What somebody wants exported."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from psycopg import sql

from runfold.errors import ExportRefused
from runfold.export.formats import Writer
from runfold.export.manifest import Format, Manifest
from runfold.ledger import Ledger
from runfold.store.datastore import EVERY_TENANT
from runfold.store.epochs import lineage_of

Told = Callable[[int, int, str], None]
"""How many rows are done, of how many, and what is being done."""


@dataclass(frozen=True)
class Order:
    """Which rows, as what, and where to."""

    ledger: Ledger
    table: str
    format: Format
    writer: Writer
    root: Path
    tenant_id: str | None
    rows_per_part: int
    told: Told

    @property
    def place(self) -> Path:
        """The folder that it comes into."""
        return self.root / self.table

    @property
    def shown_of(self) -> str:
        """Return whose rows the database is to show."""
        return self.tenant_id or EVERY_TENANT

    @property
    def only_tenant(self) -> sql.Composable:
        """The condition that leaves out other tenants' rows."""
        if self.tenant_id is None:
            return sql.SQL("true")
        return sql.SQL("tenant_id = {}").format(sql.Literal(self.tenant_id))

    def require_same(self, found: Manifest, wanted: Manifest) -> None:
        """Raises ExportRefused where a folder holds something else than what is wanted."""
        other = self._other_history(found)
        differs = [
            (found.table != wanted.table, f"holds {found.table}"),
            (found.format != wanted.format, f"holds {found.format}, not {wanted.format}"),
            (other is not None, f"holds {found.table} of another {other}"),
            (found.tenant_id != wanted.tenant_id, f"holds rows of {_whose(found)}, not of {_whose(wanted)}"),
            (found.first_position != wanted.first_position, f"begins at position {found.first_position}"),
            (
                wanted.generation is None and (found.schema_version, found.columns) != (wanted.schema_version, wanted.columns),
                f"has other columns (version {found.schema_version}) than this Runfold writes ({wanted.schema_version})",
            ),
        ]
        for differs_so, fact in differs:
            if differs_so:
                raise ExportRefused(str(self.place), fact, "choose another folder with --output, or remove this one")

    def _other_history(self, found: Manifest) -> str | None:
        """Return what a folder is of, where that is not what this ledger holds; None where it is."""
        reader = self.ledger.recorder.reader
        shared = lineage_of(reader, reader.head()).shared(found.epoch)
        if shared is None:
            return f"ledger (epoch {found.epoch})"
        if found.last_position > shared:
            return (
                f"history of this ledger (epoch {found.epoch}), up to position {found.last_position}: both are the same up to"
                f" position {shared} only"
            )
        return None


class Outcome(NamedTuple):
    """The export as it is now, and what is new of it."""

    manifest: Manifest
    new_parts: int
    new_rows: int


def _whose(said: Manifest) -> str:
    return "all tenants" if said.tenant_id is None else f"tenant {said.tenant_id}"
