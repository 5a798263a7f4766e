"""The runs that some filters find, as files: all of one moment, in the columns of the exported read model, and a manifest."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from runfold.errors import UsageError
from runfold.export.columns import Asked
from runfold.export.exporting import ROWS_PER_PART
from runfold.export.folder import PASSING, Folder, writing
from runfold.export.formats import Writer, known_format, writer_of
from runfold.export.manifest import Column, Format, Manifest
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.projections.run_summaries import RunSummaries
from runfold.projector.tables.table import Table
from runfold.queries.lists.parameters import checked
from runfold.queries.lists.where import Where
from runfold.queries.reading import Reading
from runfold.queries.runs.list import RunFilters, found_runs
from runfold.queries.runs.sample import filters_said
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource

_TYPES = {"timestamptz": "timestamp with time zone"}
"""Types of columns whose whole names are others."""


class RunListManifest(Manifest):
    """An export of some of the runs."""

    filters: dict[str, Any]
    """What the runs were narrowed by, under the names of the parameters in Python."""


def export_runs(ledger: TenantLedger, reading: Reading, format: str, to: Path, **filters: Any) -> RunListManifest:
    """Write the runs that filters find, as of the moment of a reading, into the new folder `to`.

    The database is asked once, and waits for nobody: rows are taken down as they come, and made into parts afterwards.
    Raises UsageError, ExportRefused, ReadModelBehind, MomentNotPrepared, LedgerUnavailable.
    """
    source = reading.source
    if not isinstance(source, LocalSource):
        raise UsageError("runs are exported where the database is; ask the server for pages instead")
    chosen = known_format(format)
    with closing(writer_of(chosen)) as writer, writing(to):
        with found_runs(source, filters) as (snapshot, where):
            said = _manifest(ledger, chosen, snapshot.standing.position, checked(filters, RunFilters))
            folder = Folder(to)
            folder.begin(said)
            taken = _take(snapshot, where, writer, to)
        return _parts(folder, said, writer, taken)


def _manifest(ledger: TenantLedger, format: Format, position: int, filters: dict[str, Any]) -> RunListManifest:
    return RunListManifest(
        table=RunSummaries.name,
        format=format,
        schema_version=RunSummaries.version,
        columns=tuple(each.column for each in _ASKED),
        tenant_id=ledger.caller.tenant_id,
        epoch=ledger.head().epoch,
        first_position=1,
        last_position=position,
        as_of=position,
        rows_per_part=ROWS_PER_PART,
        rows=0,
        filters=filters_said(filters),
    )


def _columns() -> Sequence[Asked]:
    columns = Table(RunSummaries(), 0).view_columns
    return [
        Asked(Column(name=each.name, type=_TYPES.get(each.type, each.type)), sql.SQL("t.{}").format(sql.Identifier(each.name)))
        for each in columns
    ]


_ASKED = _columns()


def _take(snapshot: Snapshot, where: Where, writer: Writer, to: Path) -> list[tuple[Path, int]]:
    """Take the rows down in the order of their ids; return the files, each with how many rows it holds."""
    source = sql.SQL(f"FROM {{run_summaries}} AS t WHERE t.tenant_id = %b AND {where.text} ORDER BY t.run_id")
    text = writer.select(_ASKED, source).as_string(None).replace("{}", "{{}}")  # the names of read models stay to be filled in
    taken: list[tuple[Path, int]] = []
    with snapshot.copy_of(text, [snapshot.tenant_id, *where.parameters], writer.framed) as copy:
        while rows := _take_part(copy, writer, path := to / f"{PASSING}taken-{len(taken)}"):
            taken.append((path, rows))
    return taken


def _take_part(copy: psycopg.Copy, writer: Writer, path: Path) -> int:
    with path.open("wb") as file:
        return writer.take(copy, file, ROWS_PER_PART)


def _parts(folder: Folder, said: RunListManifest, writer: Writer, taken: Sequence[tuple[Path, int]]) -> RunListManifest:
    made: Manifest = said
    for path, rows in taken:
        first = made.rows + 1
        made = folder.add(made, first, made.rows + rows, rows, partial(writer.finish, _ASKED, path))
        path.unlink()
    for path in folder.path.glob(f"{PASSING}*"):
        path.unlink()
    assert isinstance(made, RunListManifest), "a part more changes nothing else"  # noqa: S101
    return made
