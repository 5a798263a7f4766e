"""Pieces of JSON text: read only where a format asks, so that what is wrong with one is told with its place."""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

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
from runfold.importers.cleaning import TWICE, changed, cleaned, end_of_brackets, is_exact
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

UNREAD: Any = object()
DECODER = json.JSONDecoder(strict=False, parse_int=len)  # finds ends; any number will do, however long one is

_BLANK = re.compile(r"[ \t\r\n]*")


class Shape(BaseModel):
    """What a format needs of a record. Fields that it does not name are let by."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)


class CamelShape(Shape):
    """The same, of a source that writes its names in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)


class LineNumbers:
    """On which line of a text something stands, without counting all lines before it each time."""

    _STEP = 1 << 16

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _before(self) -> list[int]:
        """How many lines end before each step."""
        ends = (self._text.count("\n", at, at + self._STEP) for at in range(0, len(self._text), self._STEP))
        return list(itertools.accumulate(ends, initial=0))

    def ended_before(self, at: int) -> int:
        """Return how many lines end before a character."""
        step = at // self._STEP
        return self._before[step] + self._text.count("\n", step * self._STEP, at)


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
    numbers: LineNumbers | None = field(default=None, repr=False, compare=False)
    """Of the text's lines, where there are several parts of it."""

    @property
    def line(self) -> int:
        """The line of its file on which it begins."""
        ended = self.text.count("\n", 0, self.start) if self.numbers is None else self.numbers.ended_before(self.start)
        return self.first_line + ended

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
            start = skip(self.text, at + 1)
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
        self.numbers = self.numbers or LineNumbers(self.text)
        path = f"{self.path}.{name}".lstrip(".")
        return Piece(self.file, self.text, start, end, path, self.first_line, self.report, numbers=self.numbers)

    def _repeat(self, found: "dict[str, Piece]", key: str) -> None:
        """The last member of a name is taken; those before it are kept under another one."""
        if self.report is None:
            raise InvalidEvent(self.path, f"has the key {key!r} twice in one object; keep one")
        self.tell(TWICE)
        found[f"{key} ({sum(name.startswith(f'{key} (') for name in found) + 1})"] = found.pop(key)

    def _open(self, bracket: str, kind: str) -> int:
        at = skip(self.text, self.start)
        if self.text[at : at + 1] != bracket:
            raise InvalidEvent(self.path, f"is not {kind}")
        return skip(self.text, at + 1)

    def _next(self, at: int, closing: str) -> int:
        """After a comma, or at the closing bracket."""
        if self.text[at : at + 1] == ",":
            return skip(self.text, at + 1)
        if self.text[at : at + 1] != closing:
            raise InvalidEvent(self.path, f"is not JSON: a comma or {closing} is missing at character {at}")
        return at

    def _scan(self, at: int, name: str = "") -> tuple[Any, int]:
        try:
            value, end = DECODER.raw_decode(self.text, at)
        except RecursionError:
            value, deep = None, end_of_brackets(self.text, at)
            if deep is None:
                raise InvalidEvent(self.path, "is not JSON: it breaks off inside of its brackets") from None
            end = deep
        except ValueError as error:
            raise InvalidEvent(f"{self.path}.{name}".strip("."), f"is not JSON: {error}") from None
        return value, skip(self.text, end)


def skip(text: str, at: int) -> int:
    """Where what follows blanks begins."""
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


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
