"""What an export says of itself: `manifest.json`, beside its parts."""

from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from runfold.errors import ExportDamaged

NAME = "manifest.json"
Format = Literal["parquet", "jsonl", "csv"]
SUFFIXES: dict[Format, str] = {"parquet": ".parquet", "jsonl": ".jsonl.gz", "csv": ".csv.gz"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Part):
    """A column: its name, and its type in PostgreSQL."""

    name: str
    type: str


class Part(_Part):
    """A file of an export."""

    file: str
    first: int
    """Of events, the positions that the part covers; of a table, the numbers of its rows in the order of their keys."""
    last: int
    rows: int
    bytes: int
    sha256: str


class Manifest(_Part):
    """An export. Only the parts that are listed here count, and each is whole."""

    manifest_version: Literal[1] = 1
    table: str
    format: Format
    schema_version: int
    """Of `events`, the version of these columns; of a read model, the version of its projection."""
    generation: int | None = None
    """Which table of a read model, of all that there have been."""
    columns: tuple[Column, ...]
    tenant_id: str | None
    """Whose rows; null for everybody's."""
    epoch: UUID
    """Of which history of the log the positions are."""
    first_position: int
    last_position: int
    """The rows say what happened from the first of these positions to the last, and nothing else."""
    as_of: int
    """The same as the last position."""
    rows_per_part: int
    rows: int
    parts: tuple[Part, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of all parts."""
        return sum(part.bytes for part in self.parts)

    def file_of(self, first: int, last: int) -> str:
        """Return what the part is called that goes from one position, or row, to another: names sort as the parts do."""
        return f"part-{first:012}-{last:012}{SUFFIXES[self.format]}"

    def but(self, **changes: Any) -> "Manifest":
        """The same with other values."""
        return self.model_copy(update=changes)

    def with_part(self, part: Part) -> "Manifest":
        """The same with one part more."""
        return self.but(parts=(*self.parts, part), rows=self.rows + part.rows)


def read(folder: Path) -> Manifest | None:
    """Return what a folder says of itself; None where it says nothing. Raises ExportDamaged."""
    try:
        text = (folder / NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its text"
        raise ExportDamaged(NAME, f"cannot be read ({where}: {first['msg']})", str(folder)) from None
