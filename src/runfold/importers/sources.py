"""Sources, taken apart so that one bad record is one problem and the rest goes in. Nothing here knows a format."""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from runfold.domain.event import refusal
from runfold.domain.json_text import parse_json
from runfold.domain.values import digest
from runfold.errors import (
    CommandRefused,
    DuplicateWithDifferentContent,
    InvalidEvent,
    LedgerError,
    NotFound,
    UsageError,
    shortened,
)
from runfold.importers.cleaning import ESCAPED, TWICE, breaks_off, changed, cleaned, decoded, end_of_brackets, is_exact
from runfold.importers.files import SourceFile, find
from runfold.importers.fitting import fitted
from runfold.importers.tally import Note, Problem

Report = Callable[[Problem | Note], None]
"""What a format is given to tell of problems and notes: `report(piece.problem("…"))`, `report(piece.note("…"))`."""
M = TypeVar("M", bound="Shape")


OF_A_RECORD = (
    InvalidEvent,
    CommandRefused,
    DuplicateWithDifferentContent,
    NotFound,
    UsageError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)
"""What a bad record may raise. It is the record's problem; what the database raises is the import's."""

BROKEN_OFF = "last lines that break off; they are taken once they are whole"
SEVERAL = "lines that hold several records, of which each is taken"
NULS = "lines of nothing but NUL characters, as a crash leaves them"
UNREAD: Any = object()

_BLANKS = b" \t\r\n\0"
_BLANK = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder(strict=False, parse_int=len)  # finds ends; any number will do, however long one is


__all__ = [
    "BROKEN_OFF",
    "NULS",
    "OF_A_RECORD",
    "SEVERAL",
    "UNREAD",
    "CamelShape",
    "Piece",
    "Report",
    "Shape",
    "SourceFile",
    "document",
    "find",
    "guarded",
    "lines",
    "shaped",
    "why",
]


class Shape(BaseModel):
    """What a format needs of a record. Fields that it does not name are let by."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)


class CamelShape(Shape):
    """The same, of a source that writes its names in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)


@dataclass(slots=True)
class Piece:
    """A part of a JSON text that is not parsed yet. `path` is where it stands in its document: `simulations.3.messages.7`."""

    file: str
    text: str = field(repr=False)
    start: int
    end: int
    path: str = ""
    first_line: int = 1
    report: Report | None = field(default=None, repr=False, compare=False)
    """Told of what is changed or left out when it is read; without it, what does not fit is refused."""
    raw: bytes | None = field(default=None, repr=False, compare=False)
    """Its text as bytes, where it is one record of its own line."""
    parsed: Any = field(default=UNREAD, repr=False, compare=False)
    """What a fast parser read of these."""

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

    @property
    def digest(self) -> str:
        """Return the digest of its own text."""
        return digest(self.source if self.raw is None else self.raw)

    def problem(self, reason: str) -> Problem:
        """Return a problem with this piece."""
        return Problem(self.file, self.line, reason)

    def note(self, kind: str) -> Note:
        """Return a note on this piece: of what kind it is stands in `Note`."""
        return Note(self.file, self.line, kind)

    def tell(self, kind: str) -> None:
        """Note something of this piece, where there is somebody to be told."""
        if self.report is not None:
            self.report(self.note(kind))

    def value(self) -> Any:
        """Return its JSON; what cannot be kept stands escaped, and is noted. Raises InvalidEvent for what is no JSON."""
        if self.report is None:
            return parse_json(self.source, self.path)
        if self.raw is None:
            value, changes = cleaned(self.source, self.path)
        elif is_exact(self.parsed, self.raw):
            return self.parsed
        else:
            value, changes = changed(self.source, self.path)
        for kind in sorted(changes):
            self.tell(kind)
        return value

    def shaped(self, shape: type[M], value: Any = UNREAD, name: str = "") -> M:
        """Return its JSON as a format needs it; what does not fit of it is a problem, and read as absent.

        `value` is what was read of it already, or the part of it that `name` leads to. Raises InvalidEvent where nothing is left.
        """
        value, path = self.value() if value is UNREAD else value, f"{self.path}.{name}".strip(".")
        if (report := self.report) is None:
            return shaped(shape, value, path)
        return fitted(shape, value, lambda reason: report(self.problem(reason)), path)

    def members(self) -> "dict[str, Piece]":
        """The members of an object. One that breaks off reaches to the end of the text. Raises InvalidEvent."""
        found: dict[str, Piece] = {}
        at = self._open("{", "an object")
        while self.text[at : at + 1] != "}":
            key, at = self._scan(at)
            if not isinstance(key, str) or self.text[at : at + 1] != ":":
                raise InvalidEvent(self.path, f"is not JSON: a key and a colon are missing at character {at}")
            if key in found:
                self._repeat(found, key)
            start = _skip(self.text, at + 1)
            try:
                _, at = self._scan(start)
            except InvalidEvent:
                found[key] = self.part(start, self.end, key)
                return found
            found[key] = self.part(start, at, key)
            at = self._next(at, "}")
        return found

    def elements(self) -> "Iterator[Piece]":
        """The elements of an array, one by one; raises InvalidEvent at the first that cannot be told apart."""
        at, index = self._open("[", "an array"), 0
        while self.text[at : at + 1] != "]":
            start = at
            _, at = self._scan(start, str(index))
            yield self.part(start, at, str(index))
            at, index = self._next(at, "]"), index + 1

    def part(self, start: int, end: int, name: str) -> "Piece":
        """Return a part of it, from one character of the text to another."""
        return Piece(self.file, self.text, start, end, f"{self.path}.{name}".lstrip("."), self.first_line, self.report)

    def _repeat(self, found: "dict[str, Piece]", key: str) -> None:
        """The last member of a name is taken; those before it are kept under another one."""
        if self.report is None:
            raise InvalidEvent(self.path, f"has the key {key!r} twice in one object; keep one")
        self.tell(TWICE)
        found[f"{key} ({sum(name.startswith(f'{key} (') for name in found) + 1})"] = found.pop(key)

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
            value, deep = None, end_of_brackets(self.text, at)
            if deep is None:
                raise InvalidEvent(self.path, "is not JSON: it breaks off inside of its brackets") from None
            end = deep
        except ValueError as error:
            raise InvalidEvent(f"{self.path}.{name}".strip("."), f"is not JSON: {error}") from None
        return value, _skip(self.text, end)


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def document(file: SourceFile, report: Report | None = None) -> Piece:
    """A file that is one JSON text, with or without a byte order mark. Raises InvalidEvent."""
    return _piece(file, 1, file.read(), report)


def lines(file: SourceFile, report: Report) -> Iterator[Piece]:
    """The records of a JSONL file, one by one: what is read of it is never held as a whole.

    Objects that stand on one line are told apart, and noted. So is a last line that breaks off: the file is still written.
    Where the file itself breaks off, that is a problem, and what stands before goes in.
    """
    number, raw = 0, b""
    try:
        for number, (raw, is_whole) in enumerate(_raw_lines(file), 1):
            if stripped := raw.strip(_BLANKS):
                yield from _records(file, number, stripped, is_whole, report)
            elif b"\0" in raw:
                report(Note(file.name, number, NULS))
    except InvalidEvent as error:
        report(Problem(file.name, number + 1, f"{why(error)}; what stands before goes in"))


def _piece(file: SourceFile, line: int, raw: bytes, report: Report | None) -> Piece:
    text, is_utf8 = decoded(raw)
    piece = Piece(file.name, text, 0, len(text), "", line, report)
    if not is_utf8:
        piece.tell(ESCAPED)
    return piece


def _raw_lines(file: SourceFile) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file without their ends, and whether they have one."""
    rest = list[bytes]()
    for chunk in file.chunks():
        *ended, last = chunk.split(b"\n")
        if ended and rest:
            ended[0], rest = b"".join([*rest, ended[0]]), []
        for line in ended:
            yield line, True
        rest.append(last)
    yield b"".join(rest), False


def _records(file: SourceFile, number: int, raw: bytes, is_whole: bool, report: Report) -> Iterator[Piece]:
    """The records on one line: mostly one."""
    try:
        parsed = orjson.loads(raw)
    except ValueError:
        yield from _several(_piece(file, number, raw, report), is_whole)
        return
    text = raw.decode()
    yield Piece(file.name, text, 0, len(text), "", number, report, raw, parsed)


def _several(line: Piece, is_whole: bool) -> Iterator[Piece]:
    """The records on a line that is not simply one. The last of a line without its end may be broken off."""
    at, ends = 0, list[int]()
    while at < line.end and (end := _end(line.text, at)) is not None:
        ends.append(end)
        at = _skip(line.text, end)
    if at < line.end and (is_whole or not breaks_off(line.text, at)):
        yield line  # and reading it says what is wrong with it
        return
    if at < line.end:
        line.tell(BROKEN_OFF)
    if len(ends) > 1:
        line.tell(SEVERAL)
    for start, end in itertools.pairwise([0, *ends]):
        yield Piece(line.file, line.text, _skip(line.text, start), end, "", line.first_line, line.report)


def _end(text: str, at: int) -> int | None:
    """Where the JSON value ends that begins here; None where it does not."""
    try:
        return _decoder.raw_decode(text, at)[1]
    except RecursionError:
        return end_of_brackets(text, at)
    except ValueError:
        return None


def why(error: Exception) -> str:
    """Return what is wrong with a record, and where in it: `error` is one of `OF_A_RECORD`."""
    if isinstance(error, InvalidEvent):
        return f"{error.path}: {error.reason}" if error.path else error.reason
    if isinstance(error, LedgerError):
        return str(error)
    if isinstance(error, ValidationError):
        return str(refusal(error))
    return f"cannot be taken ({type(error).__name__}: {shortened(str(error))}); please report it with the record"


@contextlib.contextmanager
def guarded(piece: Piece, report: Report) -> Iterator[None]:
    """Read one record: whatever it raises is a problem of this record, and the rest goes on."""
    try:
        yield
    except OF_A_RECORD as error:
        report(piece.problem(why(error)))


def shaped(shape: type[M], value: Any, path: str = "") -> M:
    """JSON as a format needs it. Raises InvalidEvent with the path of what does not fit."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        found = refusal(error)
        raise InvalidEvent(f"{path}.{found.path}".strip("."), found.reason) from None
