"""The files of AG-UI: for each what it holds, requests of clients and runs in streams of events, and which run each is of.

A file is read twice: once for what it says of itself, which is little, and again when its conversation is worked out.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from runfold.domain.json_text import canonical
from runfold.domain.values import digest
from runfold.file_errors import as_text
from runfold.importers.ag_ui.shapes import Started, moment
from runfold.importers.cleaning import breaks_off
from runfold.importers.sources import BROKEN_OFF, OF_A_RECORD, Piece, Report, SourceFile, document, why
from runfold.importers.tally import Note, Problem
from runfold.settings import MIB

_TURN = re.compile(r"(?P<conversation>.+?)__Turn_(?P<number>\d+)")
_PLACEHOLDER = re.compile(r"[A-Za-z]+_Id_\d+")
"""What a test's snapshot has in place of an id: the first thread of any conversation is `thread_Id_1` there."""
_TERMINAL = ("RUN_FINISHED", "RUN_ERROR")
_FIRST_KEY = re.compile(r'\{\s*"(?P<key>[^"]*)"')
_NEITHER = "is neither a RunAgentInput nor events of AG-UI"
_MOST_KEPT = 32 * MIB
"""Bytes of files that are kept at a time, where these are several."""
_STREAM = ("data:", "event:", "id:", "retry:", ":")


@dataclass(frozen=True)
class TurnName:
    """The turn of a conversation that a file's name says it is of."""

    conversation: str
    """The whole path, without the turn."""
    number: int


@dataclass(frozen=True)
class Source:
    """A client's request, or the events of one run, as it stands in a file."""

    file: SourceFile
    kind: Literal["request", "events"]
    started: Started
    """What it says of its thread and run."""
    name: TurnName | None
    digest: str
    size: int
    messages: int = 0
    """How many the client sent."""
    first: int = 0
    """The first of the file's events that are this run's, and the one after the last."""
    last: int = 0
    marks: bytes = field(default=b"", repr=False)
    """Eight bytes for each event: whether one stream begins as another does is seen by them."""

    @property
    def thread_id(self) -> str:
        """The source's id of its thread; empty where it has none that tells it from others."""
        return own_id(self.started.thread_id)

    @property
    def run_id(self) -> str:
        """The source's id of its run; empty where it has none that tells it from others."""
        return own_id(self.started.run_id)

    @property
    def at(self) -> datetime | None:
        """When its run began, as its first event says."""
        return moment(self.started.timestamp)

    @property
    def path(self) -> str:
        """The whole path of its file; of standard input, which has none, what it holds."""
        return self.digest if self.file.path is None else as_text(self.file.path.resolve()).removesuffix(".gz")

    @property
    def place(self) -> str:
        """What tells it from others where its content has no ids: its conversation's path, or its file's."""
        return self.name.conversation if self.name else self.path

    @property
    def title(self) -> str:
        """What its conversation is called: as its files are."""
        return Path(self.name.conversation if self.name else self.file.plain_name).name

    @property
    def former_name(self) -> str:
        """How the first version of the importer named the conversation."""
        if self.file.path is None:
            return ""
        folder = self.file.path.resolve().parent.name
        match = _TURN.match(self.file.plain_name)
        return f"{folder}/{match['conversation'] if match else self.file.plain_name}"


def nobody(_: Problem | Note) -> None:
    """What is wrong with a record is told when it is taken in, and not when files are looked through."""


def own_id(text: str) -> str:
    """An id of the source's; empty for a placeholder, which is the same in every conversation."""
    return "" if _PLACEHOLDER.fullmatch(text) else text


def sources_in(file: SourceFile, report: Report) -> list[Source]:
    """What a file holds. What cannot be read is reported."""
    try:
        whole = document(file, nobody)
    except OF_A_RECORD as error:
        report(Problem(file.name, None, why(error)))
        return []
    if not whole.source.strip():
        report(Problem(file.name, None, "is empty"))
        return []
    return _request(file, whole, report) if _is_object(whole) else list(_streams(file, whole, report))


def events_in(whole: Piece, report: Report) -> Iterator[Piece]:
    """The events of a file: a JSON array, one event a line, or a captured stream of server-sent events."""
    start = whole.source.lstrip()
    try:
        if start[:1] == "[":
            yield from whole.elements()
        elif start.startswith(_STREAM):
            yield from _whole_ones(_streamed(whole), report)
        elif start[:1] == "{":
            yield from _whole_ones(_lines(whole), report)
        else:
            report(whole.problem(_NEITHER))
    except OF_A_RECORD as error:
        is_growing = breaks_off(whole.text, len(whole.text) - len(start))
        report(whole.note(BROKEN_OFF) if is_growing else whole.problem(f"{why(error)}; what stands before it goes in"))


class EventFiles:
    """The events of files, which are read once for the many runs that one may hold: the last files are kept."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._kept: dict[SourceFile, list[Piece]] = {}

    def of(self, source: Source | None) -> list[Piece]:
        """Return the events of one run."""
        if source is None:
            return []
        events = self._kept.pop(source.file, None)
        if events is None:
            events = list(events_in(document(source.file, self.report), nobody))
        self._kept[source.file] = events
        while len(self._kept) > 1 and sum(file.size for file in self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return events[source.first : source.last]


def _turn_name(file: SourceFile) -> TurnName | None:
    match = _TURN.match(file.plain_name)
    if match is None or file.path is None:
        return None
    return TurnName(as_text(file.path.resolve().parent / match["conversation"]), int(match["number"]))


def _request(file: SourceFile, whole: Piece, report: Report) -> list[Source]:
    """A client's request; nothing where it is not whole, for then it may be that its ids are missing."""
    try:
        value = whole.value()
    except OF_A_RECORD as error:
        report(whole.problem(f"{why(error)}; a request is taken once it is whole"))
        return []
    if not isinstance(value, dict) or not {"messages", "threadId", "runId"} & value.keys():
        report(whole.problem(_NEITHER))
        return []
    sent = value.get("messages")
    messages = len(sent) if isinstance(sent, list) else 0
    return [Source(file, "request", _started(value), _turn_name(file), digest(_plain(whole)), file.size, messages)]


def _value(piece: Piece | None) -> Any:
    try:
        return None if piece is None else piece.value()
    except OF_A_RECORD:
        return None


def _streams(file: SourceFile, whole: Piece, report: Report) -> Iterator[Source]:
    """The runs in a file of events: a run's events reach to where the next one starts."""
    run, name, has_events, index = _OneRun(0), _turn_name(file), False, 0
    for index, piece in enumerate(events_in(whole, report), 1):
        has_events = has_events or '"type"' in piece.source
        here = _start_in(piece)
        if here is not None and run.started is not None and (run.is_over or here.run_id != run.started.run_id):
            yield run.source(file, name, index - 1)
            run = _OneRun(index - 1)
        run.take(piece, here)
    if has_events:
        yield run.source(file, name, index)
    elif index:
        report(whole.problem(_NEITHER))


class _OneRun:
    """One run's events while a file is looked through."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.started: Started | None = None
        self.is_over = False
        self.marks: list[bytes] = []
        self.size = 0

    def take(self, piece: Piece, started: Started | None) -> None:
        self.started = self.started or started
        self.size += piece.end - piece.start
        self.marks.append(hashlib.sha256(_plain(piece).encode("utf-8", "surrogatepass")).digest()[:8])
        if any(f'"{name}"' in piece.source for name in _TERMINAL):
            told = _value(piece)
            self.is_over = self.is_over or (isinstance(told, dict) and told.get("type") in _TERMINAL)

    def source(self, file: SourceFile, name: TurnName | None, last: int) -> Source:
        marks = b"".join(self.marks)
        told = self.started or Started()
        return Source(file, "events", told, name, digest(marks.hex()), self.size, first=self.first, last=last, marks=marks)


def _start_in(piece: Piece) -> Started | None:
    told = _value(piece) if '"RUN_STARTED"' in piece.source else None
    return _started(told) if isinstance(told, dict) and told.get("type") == "RUN_STARTED" else None


def _plain(piece: Piece) -> str:
    """The same for the same JSON, however it is spaced; its own text where it is none."""
    try:
        return canonical({"": piece.value()})
    except OF_A_RECORD:
        return piece.source


def _started(told: dict[str, Any]) -> Started:
    fields = {name: told.get(name) for name in ("threadId", "runId", "parentRunId")}
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    return Started.model_validate({**texts, "timestamp": told.get("timestamp")})


def _is_object(whole: Piece) -> bool:
    """Return whether a file is one object that is no event: then it is what a client sent."""
    text = whole.source.lstrip()
    if text[:1] != "{":
        return False
    line = text.partition("\n")[0].rstrip()
    if (first := _FIRST_KEY.match(line)) and first["key"] == "type":
        return False
    told = _value(Piece(whole.file, line, 0, len(line), report=nobody)) if line.endswith("}") else None
    return not (isinstance(told, dict) and isinstance(told.get("type"), str))


def _streamed(whole: Piece) -> Iterator[Piece]:
    """The events in a captured stream of server-sent events: one in each `data:` line, or in those of a frame together."""
    at, frame = 0, list[Piece]()
    for index, line in enumerate(whole.text.split("\n")):
        if line.startswith("data:") and line[len("data:") :].strip() not in {"", "[DONE]"}:
            frame.append(whole.part(at + len("data:"), at + len(line), str(index)))
        elif not line.strip() and frame:
            yield from _of_frame(frame, whole, is_last=at + len(line) == len(whole.text))
            frame = []
        at += len(line) + 1
    yield from _of_frame(frame, whole, is_last=True)


def _of_frame(lines: list[Piece], whole: Piece, *, is_last: bool) -> Iterator[Piece]:
    """The events of a frame. Lines of which the first breaks off are one event; a capture may have lost the blanks between."""
    if not lines or not breaks_off(first := lines[0].source.lstrip(), 0):
        yield from lines
        return
    text = "\n".join([first, *(line.source for line in lines[1:])])
    place = int(lines[0].path)
    yield Piece(whole.file, text if is_last else f"{text}\n", 0, len(text), str(place), whole.first_line + place, whole.report)


def _lines(whole: Piece) -> Iterator[Piece]:
    """The events of a file that has one a line."""
    at = 0
    for index, line in enumerate(whole.text.split("\n")):
        if line.strip():
            yield whole.part(at, at + len(line), str(index))
        at += len(line) + 1


def _whole_ones(lines: Iterator[Piece], report: Report) -> Iterator[Piece]:
    """All of them, but for a last one that breaks off: the file is still written."""
    for piece in lines:
        if piece.end == len(piece.text) and breaks_off(piece.text, piece.end - len(piece.source.lstrip())):
            report(piece.note(BROKEN_OFF))
        else:
            yield piece
