"""Read models as files: the whole table of one, as of the position at which it stands, or of an earlier one.

Rows of a read model change and go, so all of it is taken at one moment, in one REPEATABLE READ transaction: never pages by
key, which would be of different moments. The transaction lasts only for as long as it takes to write the rows down as they
come from the database; parts are made of them afterwards. All is made beside the folder that is there, and takes its place
when it is complete, so that whoever reads the folder always finds one whole table.
"""

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from runfold.durable_files import force
from runfold.errors import ExportRefused, ProjectionNotFound, ReadModelBehind
from runfold.export import manifest
from runfold.export.columns import Asked
from runfold.export.folder import PASSING, Folder
from runfold.export.manifest import Column, Manifest
from runfold.export.order import Order, Outcome
from runfold.failpoint import reach
from runfold.ledger import Ledger
from runfold.projections.registry import known, load
from runfold.projector.tables.table import READ_SCHEMA
from runfold.queries.sources.read_models import ReadModels
from runfold.queries.sources.snapshot import Snapshot
from runfold.store.queries import named_queries

_TAKEN = f"{PASSING}taken-"
_QUERIES = named_queries("runfold.export", "tables.sql")


class PastTables(NamedTuple):
    """Where the read models are as of a position, and of which history that is."""

    schema: str
    position: int
    epoch: UUID


class TableExport:
    """The table of one read model, in use or of the past."""

    def __init__(self, order: Order, past: PastTables | None = None) -> None:
        self._order, self._past = order, past
        self._beside = order.root / f".{order.table}.new"
        self._before = order.root / f".{order.table}.old"

    def run(self) -> Outcome:
        """Bring the folder to where the read model is. Raises ExportRefused, ExportDamaged, LedgerUnavailable."""
        self._recover()
        there = Folder(self._order.place)
        found = there.read()
        with self._snapshot() as snapshot:
            wanted, asked = self._wanted(snapshot)
            if found is not None:
                self._order.require_same(found, wanted)
                there.require_own(found)
            is_there = found is not None and _is_same(found, wanted)
            is_taken = not is_there and _is_same(manifest.read(self._beside), wanted)
            if not is_there and not is_taken:
                self._take_all(snapshot, asked, wanted)
        if found is not None and is_there:
            there.check(found, lambda done, total: self._order.told(done, total, "checking what is there"))
            return Outcome(found, 0, 0)
        if not is_taken:
            self._keep(wanted)
        made = self._make_parts(asked)
        self._put_in_place()
        return Outcome(made, len(made.parts), made.rows)

    def _snapshot(self) -> AbstractContextManager[Snapshot]:
        read_models = ReadModels(self._order.ledger.recorder.store, self._order.shown_of)
        if self._past is None:
            return read_models.reading(self._order.table)
        return read_models.of_schema(self._past.schema, self._past.position, [self._order.table])

    @property
    def _schema(self) -> str:
        return READ_SCHEMA if self._past is None else self._past.schema

    def _wanted(self, snapshot: Snapshot) -> tuple[Manifest, list[Asked]]:
        """Return what there will be, without parts."""
        order, position = self._order, snapshot.standing.position
        ((generation, version, epoch),) = (
            snapshot.query(_QUERIES["generation in use"], [order.table])
            if self._past is None
            else [(0, known()[order.table].version, self._past.epoch)]
        )
        asked = [
            Asked(Column(name=name, type=kind), sql.Identifier(name))
            for name, kind in snapshot.query(_QUERIES["columns"], [f"{self._schema}.{order.table}"])
        ]
        wanted = Manifest(
            table=order.table,
            format=order.format,
            schema_version=version,
            generation=generation,
            epoch=epoch,
            columns=tuple(each.column for each in asked),
            tenant_id=order.tenant_id,
            first_position=1,
            last_position=position,
            as_of=position,
            rows_per_part=order.rows_per_part,
            rows=0,
        )
        return wanted, asked

    def _take_all(self, snapshot: Snapshot, asked: Sequence[Asked], wanted: Manifest) -> None:
        """Write down all rows, in the order of their keys."""
        order, table = self._order, sql.Identifier(self._schema, self._order.table)
        if order.format == "parquet":
            self._require_exact(snapshot, asked)
        ((total,),) = snapshot.composed(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table, order.only_tenant))
        keyed = f"runfold_{order.table}_{wanted.generation}" if self._past is None else self._past.schema
        key = [name for (name,) in snapshot.query(_QUERIES["key"], [f"{keyed}.{order.table}"])]
        source = sql.SQL("FROM {} WHERE {} ORDER BY {}").format(
            table, order.only_tenant, sql.SQL(", ").join(map(sql.Identifier, key))
        )
        shutil.rmtree(self._beside, ignore_errors=True)
        self._beside.mkdir()
        try:
            with snapshot.copy(order.writer.query(asked, source)) as copy:
                self._take(copy, total)
        except BaseException:
            shutil.rmtree(self._beside, ignore_errors=True)
            raise

    def _take(self, copy: psycopg.Copy, total: int) -> None:
        rows = 0
        while rows < total:
            passing = self._beside / f"{PASSING}passing"
            with passing.open("wb") as file:
                found = self._order.writer.take(copy, file, self._order.rows_per_part)
            passing.rename(self._beside / f"{_TAKEN}{rows + 1:012}-{rows + found:012}")
            rows += found
            self._order.told(rows, total, "taking the rows down")
        copy.read()  # its end

    def _keep(self, wanted: Manifest) -> None:
        """Keep what was taken down: from here on, a killed export is resumed."""
        for path in self._beside.iterdir():
            force(path)
        Folder(self._beside).begin(wanted)
        reach("table taken")

    def _make_parts(self, asked: Sequence[Asked]) -> Manifest:
        folder = Folder(self._beside)
        said = folder.read()
        assert said is not None, "it was kept"  # noqa: S101
        folder.tidy(said, keep=_TAKEN)
        taken = sorted(self._beside.glob(f"{_TAKEN}*"))
        total = _range(taken[-1])[1] if taken else 0
        for path in taken:
            first, last = _range(path)
            if not said.parts or last > said.parts[-1].last:
                said = folder.add(said, first, last, last - first + 1, partial(self._order.writer.finish, asked, path))
            path.unlink()
            self._order.told(last, total, said.parts[-1].file)
        return said

    def _put_in_place(self) -> None:
        place = self._order.place
        if place.exists():
            place.rename(self._before)
            reach("table set aside")
        self._beside.rename(place)
        force(self._order.root)
        reach("table in place")
        shutil.rmtree(self._before, ignore_errors=True)

    def _recover(self) -> None:
        """Where an export was killed while it put a table in another's place, that one is there again, or is removed."""
        if self._before.exists():
            if self._order.place.exists():
                shutil.rmtree(self._before)
            else:
                self._before.rename(self._order.place)

    def _require_exact(self, snapshot: Snapshot, asked: Sequence[Asked]) -> None:
        """Parquet takes 20 digits before the point and 18 after it; what has more is not cut. Raises ExportRefused."""
        for name in (each.column.name for each in asked if each.column.type == "numeric"):
            query = sql.SQL("SELECT {0} FROM {1} WHERE {2} AND (scale(trim_scale({0})) > 18 OR abs({0}) >= 1e20) LIMIT 1").format(
                sql.Identifier(name), sql.Identifier(self._schema, self._order.table), self._order.only_tenant
            )
            for (value,) in snapshot.composed(query):
                raise ExportRefused(
                    self._order.table,
                    f"holds {value} in {name}, more digits than Parquet's decimal takes",
                    "choose --format jsonl or csv, which keep them all",
                )


def _range(taken: Path) -> tuple[int, int]:
    """The numbers of its first and its last row."""
    first, last = taken.name.removeprefix(_TAKEN).split("-")
    return int(first), int(last)


def plain_name(name: str) -> str:
    """Return what a read model is called that is named plainly, or as module:Class. Raises InvalidProjection."""
    return load(name).name if ":" in name else name


def require_known(ledger: Ledger, name: str) -> None:
    """Raises ReadModelBehind where a read model has not been begun, ProjectionNotFound where there is none of that name."""
    try:
        ledger.now.read_models.standing(name)
    except ReadModelBehind:
        if name not in known():
            raise ProjectionNotFound(name) from None
        raise


def _is_same(found: Manifest | None, wanted: Manifest) -> bool:
    """Return whether it is of the same rows, cut in the same way."""
    return found is not None and found.but(parts=(), rows=0) == wanted
