"""Sources, taken apart so that one bad record is one problem and the rest goes in. Nothing here knows a format."""

import itertools
from collections.abc import Iterator

import orjson

from runfold.errors import InvalidEvent
from runfold.importers.cleaning import ESCAPED, breaks_off, decoded, end_of_brackets
from runfold.importers.files import SourceFile, find
from runfold.importers.pieces import DECODER, OF_A_RECORD, UNREAD, CamelShape, Piece, Report, Shape, guarded, shaped, skip, why
from runfold.importers.tally import Note, Problem

BROKEN_OFF = "last lines that break off; they are taken once they are whole"
SEVERAL = "lines that hold several records, of which each is taken"
NULS = "lines of nothing but NUL characters, as a crash leaves them"

BLANKS = b" \t\r\n\0"

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


def document(file: SourceFile, report: Report | None = None) -> Piece:
    """A file that is one JSON text, with or without a byte order mark. Raises InvalidEvent."""
    return _piece(file, 1, file.read(), report)


def lines(file: SourceFile, report: Report) -> Iterator[Piece]:
    """The records of a JSONL file, one by one: what is read of it is never held as a whole.

    Objects that stand on one line are told apart, and noted. So is a last line that breaks off: the file is still written.
    Where the file itself breaks off, that is a problem, and what stands before goes in.
    """
    first, raw = 1 if file.part is None else file.part.first_line, b""
    number = first - 1
    try:
        for number, (raw, is_whole) in enumerate(raw_lines(file), first):
            if stripped := raw.strip(BLANKS):
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


def raw_lines(file: SourceFile) -> Iterator[tuple[bytes, bool]]:
    """Yield the lines of a file without their ends, and whether they have one. Raises InvalidEvent."""
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
        at = skip(line.text, end)
    if at < line.end and (is_whole or not breaks_off(line.text, at)):
        yield line  # and reading it says what is wrong with it
        return
    if at < line.end:
        line.tell(BROKEN_OFF)
    if len(ends) > 1:
        line.tell(SEVERAL)
    for start, end in itertools.pairwise([0, *ends]):
        yield line.part(skip(line.text, start), end, "")


def _end(text: str, at: int) -> int | None:
    """Where the JSON value ends that begins here; None where it does not."""
    try:
        return DECODER.raw_decode(text, at)[1]
    except RecursionError:
        return end_of_brackets(text, at)
    except ValueError:
        return None
