"""A log file, `.eval` or `.json`: what its header says, and its samples one at a time."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from runfold.errors import InvalidEvent
from runfold.gzipped import GrowsTooLarge
from runfold.importers.acts.fields import Fields
from runfold.importers.acts.keeping import decoded_text, loads
from runfold.importers.acts.kinds import Place
from runfold.importers.inspect.zip_members import (
    MOST_TOO_LARGE,
    ZIP,
    LibraryMissing,
    Member,
    members,
    unpacked,
)
from runfold.importers.sources import Piece, Report, SourceFile, document, why

_SAMPLE = re.compile(r"samples/(.+)\.json")
_HEADERS = ("header.json", "_journal/start.json")


@dataclass(frozen=True)
class Header:
    """What is said of the whole log."""

    status: str
    eval: Fields
    agent: str | None
    """The solver, where it is named."""


@dataclass(frozen=True)
class SampleSource:
    """A sample as it stands in a log."""

    header: Header
    value: Any
    text: str | bytes
    place: Place
    size: int


def samples(file: SourceFile, report: Report) -> Iterator[SampleSource]:
    """The samples of a log. Raises InvalidEvent where it is none."""
    with _opened(file) as opened:
        if opened.read(4) in {ZIP, b"PK\x05\x06"}:
            try:
                yield from _of_zip(file, opened, report)
            except LibraryMissing as error:
                raise InvalidEvent("", str(error)) from None
            return
    yield from _of_json(replace(document(file, report), report=None), report)


def _opened(file: SourceFile) -> BinaryIO:
    if file.path is None or file.plain_name != file.path.name:
        return io.BytesIO(file.read())
    if file.size > file.most:
        file.read()  # says so
    try:
        return file.path.open("rb")
    except OSError as error:
        raise InvalidEvent("", f"cannot be read: {error.strerror or error}") from None


def _of_zip(file: SourceFile, opened: BinaryIO, report: Report) -> Iterator[SampleSource]:
    found, fault = members(opened)
    if fault is not None:
        report(Place(file.name).problem(fault))
    header = _zip_header(file, opened, found, report)
    too_large = 0
    for name, member in found.items():
        if not _SAMPLE.fullmatch(name):
            continue
        place = Place(f"{file.name}/{name}", 1)
        try:
            raw = unpacked(opened, member, file.most)
            value = _parsed(raw, place, report)
        except GrowsTooLarge as error:
            report(place.problem(str(error)))
            too_large += 1
            if too_large == MOST_TOO_LARGE:
                report(Place(file.name).problem(f"{too_large} members are too large; the rest of the file is not read"))
                return
        except InvalidEvent as error:
            report(place.problem(why(error)))
        else:
            yield SampleSource(header, value, raw, place, member.packed)


def _zip_header(file: SourceFile, opened: BinaryIO, found: dict[str, Member], report: Report) -> Header:
    for name in _HEADERS:
        if (member := found.get(name)) is None:
            continue
        place = Place(f"{file.name}/{name}", 1)
        try:
            value = _parsed(unpacked(opened, member, file.most), place, report)
            return _header(Fields.of(value, place, report))
        except InvalidEvent as error:
            report(place.problem(why(error)))
    if not any(_SAMPLE.fullmatch(name) for name in found):
        raise InvalidEvent("", "is not a log of Inspect: it has neither header.json nor samples")
    return _header(Fields({}, Place(file.name), report))


def _parsed(raw: bytes, place: Place, report: Report) -> Any:
    def told(reason: str) -> None:
        report(place.problem(reason))

    return loads(decoded_text(raw, told), told)


def _of_json(whole: Piece, report: Report) -> Iterator[SampleSource]:
    found = whole.members()
    if "eval" not in found or not {"samples", "status", "version"} & found.keys():
        raise InvalidEvent("", "is not a log of Inspect: it has no `eval` with a status or samples")
    about = {name: _piece_value(found[name], report) for name in ("status", "eval", "plan") if name in found}
    header = _header(Fields.of(about, Place(whole.file, whole.line), report))
    if "samples" not in found:
        return
    array = found["samples"]
    if array.source.startswith("null"):
        return
    try:
        for piece in array.elements():
            value = _piece_value(piece, report)
            if value is not None:
                yield SampleSource(header, value, piece.source, Place(piece.file, piece.line, piece.path), len(piece.source))
    except InvalidEvent as error:
        report(array.problem(f"{why(error)}; what stands before it goes in"))


def _piece_value(piece: Piece, report: Report) -> Any:
    try:
        return loads(piece.source, lambda reason: report(piece.problem(f"{piece.path}: {reason}")))
    except InvalidEvent as error:
        report(piece.problem(why(error)))
        return None


def _header(log: Fields) -> Header:
    about, plan = log.object("eval"), log.object("plan")
    steps = [step.text("solver") for step in plan.objects("steps")]
    agent = about.text("solver") or next((name for name in reversed(steps) if name), None)
    return Header(log.text("status") or "started", about, agent)
