"""Files to import from: found, unpacked, and taken apart so that one bad record is one problem and the rest goes in.

Nothing here knows a format.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from runfold.domain.event import refusal
from runfold.domain.values import parse_json
from runfold.errors import InvalidEvent, UsageError
from runfold.gzipped import GrowsTooLarge, NotWhole, unpacked
from runfold.importers import zstd
from runfold.importers.tally import Note, Problem
from runfold.settings import MIB

Report = Callable[[Problem | Note], None]
"""What a format is given to tell of problems and notes: `report(piece.problem("…"))`, `report(piece.note("…"))`."""
M = TypeVar("M", bound="Shape")


MOST_BYTES = 1024 * MIB
_GZIP = b"\x1f\x8b"
_BLANK = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


class Shape(BaseModel):
    """What a format needs of a record. Fields that it does not name are let by."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class CamelShape(Shape):
    """The same, of a source that writes its names in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)


@dataclass(frozen=True)
class SourceFile:
    """A file, or standard input, whose bytes were read already."""

    name: str
    path: Path | None
    size: int
    data: bytes | None = field(default=None, repr=False)
    most: int = MOST_BYTES
    """Bytes that are taken of it, unpacked."""

    @property
    def plain_name(self) -> str:
        """Return its name without folders and without `.gz`."""
        return Path(self.name).name.removesuffix(".gz")

    def read(self) -> bytes:
        """Return its bytes, unpacked. Raises InvalidEvent where it cannot be read, or is larger than what is imported at once."""
        if self.size > self.most:
            raise self._too_large(f"is {self.size:,} bytes, more than the limit of {self.most:,} for one file")
        try:
            raw = self.data if self.path is None else self.path.read_bytes()
            assert raw is not None, "standard input is read when it is found"  # noqa: S101
            if raw.startswith(zstd.MAGIC):
                return zstd.unpacked(raw, self.most)
            return unpacked(raw, self.most) if raw.startswith(_GZIP) else raw
        except OSError as error:
            raise InvalidEvent("", f"cannot be read: {error.strerror or error}") from None
        except GrowsTooLarge as error:
            raise self._too_large(str(error)) from None
        except NotWhole as error:
            raise InvalidEvent("", f"is not a whole gzip file: it {error}") from None

    def _too_large(self, fact: str) -> InvalidEvent:
        return InvalidEvent("", f"{fact}; split it, or raise RUNFOLD_MAX_IMPORT_BYTES")


def find(paths: Iterable[str | Path], wanted: Callable[[str], bool], most: int = MOST_BYTES) -> list[SourceFile]:
    """Files as named, the wanted ones of folders and of all that is in them, `-` for standard input; each once.

    `wanted` is asked for names without `.gz`. Raises UsageError where there is no such path.
    """
    found: dict[str, SourceFile] = {}
    for given in paths:
        if str(given) == "-":
            data = sys.stdin.buffer.read(most + 1)
            found["-"] = SourceFile("stdin", None, len(data), data, most)
            continue
        path = Path(given)
        if not path.exists():
            raise UsageError(f"file or folder {str(given)!r} not found; name an existing one, or - for standard input")
        inside = [path]
        if path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.is_file() and wanted(item.name.removesuffix(".gz")))
        for item in inside:
            found.setdefault(str(item.resolve()), SourceFile(str(item), item, item.stat().st_size, most=most))
    return list(found.values())


@dataclass(frozen=True)
class Piece:
    """A part of a JSON text that is not parsed yet. `path` is where it stands in its document: `simulations.3.messages.7`."""

    file: str
    text: str = field(repr=False)
    start: int
    end: int
    path: str = ""
    first_line: int = 1

    @property
    def line(self) -> int:
        """The line of its file on which it begins."""
        return self.first_line + self.text.count("\n", 0, self.start)

    @property
    def name(self) -> str:
        """Return its key or index in what it is a part of."""
        return self.path.rpartition(".")[2]

    @property
    def source(self) -> str:
        """Return its own text, to the letter."""
        return self.text[self.start : self.end]

    def problem(self, reason: str) -> Problem:
        """Return a problem with this piece."""
        return Problem(self.file, self.line, reason)

    def note(self, kind: str) -> Note:
        """Return a note on this piece: of what kind it is stands in `Note`."""
        return Note(self.file, self.line, kind)

    def value(self) -> Any:
        """Return its JSON. Raises InvalidEvent for what could not be kept exactly."""
        return parse_json(self.source, self.path)

    def shaped(self, shape: type[M]) -> M:
        """Return its JSON as a format needs it. Raises InvalidEvent."""
        return shaped(shape, self.value(), self.path)

    def members(self) -> "dict[str, Piece]":
        """The members of an object. One that breaks off reaches to the end of the text. Raises InvalidEvent."""
        found: dict[str, Piece] = {}
        at = self._open("{", "an object")
        while self.text[at : at + 1] != "}":
            key, at = self._scan(at)
            if not isinstance(key, str) or self.text[at : at + 1] != ":":
                raise InvalidEvent(self.path, f"is not JSON: a key and a colon are missing at character {at}")
            if key in found:
                raise InvalidEvent(self.path, f"has the key {key!r} twice in one object; keep one")
            start = _skip(self.text, at + 1)
            try:
                _, at = self._scan(start)
            except InvalidEvent:
                found[key] = self._part(start, self.end, key)
                return found
            found[key] = self._part(start, at, key)
            at = self._next(at, "}")
        return found

    def elements(self) -> "Iterator[Piece]":
        """The elements of an array, one by one; raises InvalidEvent at the first that cannot be told apart."""
        at, index = self._open("[", "an array"), 0
        while self.text[at : at + 1] != "]":
            start = at
            _, at = self._scan(start, str(index))
            yield self._part(start, at, str(index))
            at, index = self._next(at, "]"), index + 1

    def _part(self, start: int, end: int, name: str) -> "Piece":
        return Piece(self.file, self.text, start, end, f"{self.path}.{name}".lstrip("."), self.first_line)

    def _open(self, bracket: str, kind: str) -> int:
        at = _skip(self.text, self.start)
        if self.text[at : at + 1] != bracket:
            raise InvalidEvent(self.path, f"is not {kind}")
        return _skip(self.text, at + 1)

    def _next(self, at: int, closing: str) -> int:
        """After a comma, or at the closing bracket."""
        if self.text[at : at + 1] == ",":
            return _skip(self.text, at + 1)
        if self.text[at : at + 1] != closing:
            raise InvalidEvent(self.path, f"is not JSON: a comma or {closing} is missing at character {at}")
        return at

    def _scan(self, at: int, name: str = "") -> tuple[Any, int]:
        try:
            value, end = _decoder.raw_decode(self.text, at)
        except RecursionError:
            raise InvalidEvent(self.path, "is nested too deeply") from None
        except ValueError as error:
            raise InvalidEvent(f"{self.path}.{name}".strip("."), f"is not JSON: {error}") from None
        return value, _skip(self.text, end)


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def document(file: SourceFile) -> Piece:
    """A file that is one JSON text, with or without a byte order mark. Raises InvalidEvent."""
    raw = file.read()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidEvent("", f"is not UTF-8 (byte {error.start})") from None
    return Piece(file.name, text, 0, len(text))


def lines(file: SourceFile, report: Report) -> Iterator[Piece]:
    """The lines of a JSONL file that are not blank. A line that is not UTF-8 is a problem. Raises InvalidEvent."""
    for number, raw in enumerate(file.read().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            report(Problem(file.name, number, f"is not UTF-8 (byte {error.start} of the line)"))
        else:
            yield Piece(file.name, text, 0, len(text), first_line=number)


def why(error: InvalidEvent) -> str:
    """Return what is wrong, and where in the record."""
    return f"{error.path}: {error.reason}" if error.path else error.reason


def shaped(shape: type[M], value: Any, path: str = "") -> M:
    """JSON as a format needs it. Raises InvalidEvent with the path of what does not fit."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        found = refusal(error)
        raise InvalidEvent(f"{path}.{found.path}".strip("."), found.reason) from None
