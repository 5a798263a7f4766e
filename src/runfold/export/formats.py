"""The three formats. Each part is first taken down as the database gives it, which is quick, and then made from that.

CSV: a header; null is nothing, an empty text is "". JSON lines: an object a line. Both are compressed by gzip, the same bytes
for the same rows. Parquet: compressed by zstd, made by DuckDB, in row groups that let readers skip by position.
"""

import gzip
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from runfold.errors import ExportRefused, UsageError
from runfold.export.columns import Asked, select_json, select_text
from runfold.export.folder import cannot_write
from runfold.export.manifest import SUFFIXES, Format

ROWS_A_GROUP = 20_000
NAMING = 3
"""The first columns are those by which one finds a row: of an event position, stream and version."""
_CHUNK = 2**20
_CONTROLS = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)


class Writer(ABC):
    """A format that rows are written in."""

    options = ""
    """Of the COPY that gives the rows."""

    @abstractmethod
    def select(self, asked: Sequence[Asked], source: sql.Composable) -> sql.Composed:
        """The query for rows `FROM …` as they are to be taken down."""

    def query(self, asked: Sequence[Asked], source: sql.Composable) -> sql.Composed:
        """The COPY that gives rows `FROM …` to be taken down."""
        return self.framed(self.select(asked, source))

    def framed(self, query: sql.Composable) -> sql.Composed:
        """The COPY that gives the rows of a query of this format."""
        return sql.SQL("COPY ({}) TO STDOUT {}").format(query, sql.SQL(self.options))

    @abstractmethod
    def take(self, copy: psycopg.Copy, file: IO[bytes], most: int) -> int:
        """Take down at most so many rows; how many there were."""

    @abstractmethod
    def finish(self, asked: Sequence[Asked], taken: Path, part: Path) -> None:
        """Make a part of what was taken down. Raises ExportRefused, OSError."""

    def close(self) -> None:  # noqa: B027  most have nothing to give back
        """Give back what the format took."""


class CsvWriter(Writer):
    """CSV, as PostgreSQL writes it."""

    options = "(FORMAT csv)"

    def select(self, asked: Sequence[Asked], source: sql.Composable) -> sql.Composed:
        """Values as text."""
        return sql.SQL("SELECT {} {}").format(select_text(asked), source)

    def take(self, copy: psycopg.Copy, file: IO[bytes], most: int) -> int:
        """A row comes at a time, as libpq promises."""
        rows = 0
        while rows < most and (row := copy.read()):
            file.write(row)
            rows += 1
        return rows

    def finish(self, asked: Sequence[Asked], taken: Path, part: Path) -> None:
        """Compress what was taken, with a header. Control characters, which CSV has no way to escape, are written as in JSON."""
        header = ",".join(f'"{each.column.name}"' for each in asked)
        _compress(taken, part, f"{header}\n".encode(), without_controls)


class JsonlWriter(Writer):
    """An object a line; JSON in it is JSON, not text."""

    def select(self, asked: Sequence[Asked], source: sql.Composable) -> sql.Composed:
        """One column, which is the line."""
        return sql.SQL("SELECT row_to_json(q) FROM (SELECT {} {}) AS q").format(select_json(asked), source)

    def take(self, copy: psycopg.Copy, file: IO[bytes], most: int) -> int:
        """Lines, without what COPY escapes in them."""
        rows = 0
        while rows < most and (row := copy.read_row()) is not None:
            file.write(without_controls(row[0].encode()) + b"\n")
            rows += 1
        return rows

    def finish(self, asked: Sequence[Asked], taken: Path, part: Path) -> None:  # noqa: ARG002  lines name their values
        """Compress what was taken."""
        _compress(taken, part, b"")


class ParquetWriter(CsvWriter):
    """Parquet, from CSV, by DuckDB. It is one thread's work, so the same rows give the same bytes."""

    def __init__(self) -> None:
        try:
            import duckdb  # noqa: PLC0415  an extra
        except ImportError:
            raise ExportRefused(
                "Parquet",
                "needs DuckDB, which is not installed",
                "run `pip install 'runfold[analytics]'`, or choose --format jsonl or csv",
            ) from None
        self._error, self._unreadable = duckdb.Error, duckdb.ConversionException
        quiet = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "temp_directory": ""}
        self._duckdb = duckdb.connect(config={**quiet, "threads": "1"})

    def finish(self, asked: Sequence[Asked], taken: Path, part: Path) -> None:
        """Convert what was taken, with a type for each column. Raises ExportRefused."""
        values = ", ".join(f"{_cast(each)} AS {_named(each)}" for each in asked)
        rows = _rows(asked, taken)
        _require_utf8(part)
        query = (
            f"COPY (SELECT {values} FROM {rows})"
            f" TO {_quoted(str(part))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_A_GROUP}, USE_TMP_FILE false)"
        )
        try:
            self._duckdb.execute(query)
        except self._unreadable as error:
            raise ExportRefused(
                str(part.parent),
                f"is not written, as {self._first_unfit(asked, rows)} holds what Parquet cannot ({str(error).splitlines()[0]})",
                "run `runfold check`; --format jsonl takes it as it is",
            ) from error
        except self._error as error:
            raise cannot_write(part.parent, str(error).splitlines()[0]) from error

    def _first_unfit(self, asked: Sequence[Asked], rows: str) -> str:
        """Return the first row that Parquet does not take, by the columns that name it."""
        naming = asked[:NAMING]
        unfit = " OR ".join(f"({_named(each)} IS NOT NULL AND {_cast(each, 'TRY_CAST')} IS NULL)" for each in asked)
        found = self._duckdb.execute(f"SELECT {', '.join(map(_named, naming))} FROM {rows} WHERE {unfit} LIMIT 1").fetchone()
        if found is None:
            return "a row"
        return f"the row of {', '.join(f'{each.column.name} {value}' for each, value in zip(naming, found, strict=True))}"

    def close(self) -> None:
        """Give memory back."""
        self._duckdb.close()


def writer_of(format: Format) -> Writer:
    """Return what writes a format; to be closed. Raises ExportRefused where it needs what is not installed."""
    writers: dict[Format, type[Writer]] = {"parquet": ParquetWriter, "jsonl": JsonlWriter, "csv": CsvWriter}
    return writers[format]()


def known_format(name: str) -> Format:
    """A format by its name. Raises UsageError."""
    for known in SUFFIXES:
        if known == name:
            return known
    raise UsageError(f"unknown export format {name!r}; expected one of {', '.join(SUFFIXES)}", format=name)


def without_controls(line: bytes) -> bytes:
    """UTF-8 in which control characters, and those that turn text round, are `\\u001b`; line ends and tabs stay."""
    return _CONTROLS.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), line)


def _compress(taken: Path, part: Path, head: bytes, change: Callable[[bytes], bytes] | None = None) -> None:
    with (
        part.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        taken.open("rb") as rows,
    ):
        packed.write(head)
        if change is None:
            shutil.copyfileobj(rows, packed, _CHUNK)
        else:
            packed.writelines(map(change, rows))


def _require_utf8(part: Path) -> None:
    try:
        str(part).encode()
    except UnicodeEncodeError:
        fact = "has a name that is not UTF-8, which DuckDB does not take"
        raise ExportRefused(str(part.parent), fact, "choose another folder with --output, or --format jsonl or csv") from None


def _rows(asked: Sequence[Asked], taken: Path) -> str:
    """Return what gives DuckDB the rows that were taken down, each value as text."""
    columns = ", ".join(f"{_quoted(each.column.name)}: 'VARCHAR'" for each in asked)
    longest = max(_CHUNK, _longest_row(taken))
    return (
        f"read_csv({_quoted(_unglobbed(taken))}, columns = {{{columns}}}, auto_detect = false,"
        " header = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false,"
        f" new_line = '\\n', parallel = false, max_line_size = {longest}, buffer_size = {longest * 2})"
    )


def _named(asked: Asked) -> str:
    return _quoted(asked.column.name, '"')


def _cast(asked: Asked, how: str = "CAST") -> str:
    name = _named(asked)
    if asked.parquet.endswith("[]"):
        name = f"{how}({name} AS JSON)"
    return name if asked.parquet == "VARCHAR" else f"{how}({name} AS {asked.parquet})"


def _longest_row(taken: Path) -> int:
    """Return the length of the longest row, in bytes. Where a row ends is told by its quotes: there is an even number of them."""
    longest = size = quotes = 0
    with taken.open("rb") as file:
        for line in file:
            size += len(line)
            quotes += line.count(b'"')
            if quotes % 2 == 0:
                longest, size = max(longest, size), 0
    return longest


def _unglobbed(path: Path) -> str:
    """A path in which DuckDB sees no pattern."""
    return re.sub(r"[*?\[]", r"[\g<0>]", str(path))


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace(mark, mark * 2) + mark
