"""Exports as people read them: with DuckDB, with csv, with json."""

import csv
import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from runfold.export import manifest
from runfold.export.folder import digest
from runfold.export.manifest import Manifest

Rows = list[dict[str, Any]]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

csv.field_size_limit(2**30)


def said_by(folder: Path) -> Manifest:
    """The manifest, of which every part is there as it says, and nothing else."""
    said = manifest.read(folder)
    assert said is not None
    assert {path.name for path in folder.iterdir()} == {manifest.NAME, *(part.file for part in said.parts)}
    assert [(digest(folder / part.file), (folder / part.file).stat().st_size) for part in said.parts] == [
        (part.sha256, part.bytes) for part in said.parts
    ]
    assert said.rows == sum(part.rows for part in said.parts)
    return said


def rows_of(folder: Path) -> Rows:
    """All rows, part by part, in the order of the manifest."""
    read = {"parquet": _parquet, "jsonl": _jsonl, "csv": _csv}[said_by(folder).format]
    parts = [(read(folder / part.file), part.rows) for part in said_by(folder).parts]
    assert [len(rows) for rows, _ in parts] == [count for _, count in parts]
    return [row for rows, _ in parts for row in rows]


def types_of(folder: Path) -> dict[str, str]:
    """Columns of the first part and their types, as DuckDB sees them."""
    path = _pattern(folder / said_by(folder).parts[0].file)
    return dict(
        duckdb.connect().execute("SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet(?))", [path]).fetchall()
    )


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _parquet(path: Path) -> Rows:
    connection, pattern = duckdb.connect(), _pattern(path)
    kinds = connection.execute("SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet(?))", [pattern]).fetchall()
    times = {name for name, kind in kinds if kind == "TIMESTAMP WITH TIME ZONE"}
    columns = ", ".join(f'epoch_us("{name}")' if name in times else f'"{name}"' for name, _ in kinds)
    found = connection.execute(f"SELECT {columns} FROM read_parquet(?)", [pattern]).fetchall()
    rows = [dict(zip([name for name, _ in kinds], values, strict=True)) for values in found]
    for row in rows:
        for name in times:
            row[name] = None if row[name] is None else EPOCH + timedelta(microseconds=row[name])
    return rows


def _jsonl(path: Path) -> Rows:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().rstrip("\n").split("\n")]


def _csv(path: Path) -> Rows:
    """Null and the empty text are the same to this reader."""
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _pattern(path: Path) -> str:
    return re.sub(r"[*?\[]", r"[\g<0>]", str(path))
