"""Files of OTLP → batches as JSON has them: one document, JSON lines as the collector's file exporter writes them, or protobuf.

Protobuf is one request, or several that each stand behind their length, as the file exporter writes them. Requests of
traces and of logs look alike on the wire: a span has ids where a log record has a time.
"""

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

from runfold.errors import InvalidEvent
from runfold.importers.acts.keeping import decoded_text, documents
from runfold.importers.acts.kinds import Place
from runfold.importers.sources import Report, SourceFile, lines, why

Batch = tuple[dict[str, Any], Place]
_KEYS = ("resourceSpans", "resourceLogs", "resourceMetrics")
_LOOK_AT = 5
"""Lines that are tried to find out whether each is a document."""
_MOST_TOLD = 20
"""Problems of a file of which nothing is known yet."""


def batches(file: SourceFile, report: Report) -> Iterator[Batch]:
    """What a file holds, batch by batch. Raises InvalidEvent where it is no OTLP, or cannot be read here.

    Of JSON lines one is in memory at a time; a document, and protobuf, is held as a whole.
    """
    first = next(file.chunks(), b"")
    start = first.lstrip()[:1]
    if not start:
        report(Place(file.name).problem("is empty"))
    elif start not in {b"{", b"["}:
        yield from _protobuf(file.name, file.read())
    elif _is_lines(first):
        yield from _lines(file, report)
    else:
        place = Place(file.name, 1)
        yield from _documents(file.read(), place, report)


def _is_lines(first: bytes) -> bool:
    """Whether each line is a document: not so where a document begins on one line and goes on on the next."""
    full = [line for line in first.split(b"\n")[: 10 * _LOOK_AT] if line.strip()][:_LOOK_AT]
    return len(full) == 1 or any(line.lstrip()[:1] == b"{" and line.rstrip()[-1:] == b"}" and len(line) > 2 for line in full)


def _lines(file: SourceFile, report: Report) -> Iterator[Batch]:
    told = known = 0
    for piece in lines(file, report):
        place = Place(piece.file, piece.line)
        try:
            for batch in _batches(piece.value(), place):
                known += 1
                yield batch
        except InvalidEvent as error:
            report(place.problem(why(error)))
            told += 1
            if told == _MOST_TOLD and not known:
                raise InvalidEvent("", "is not OTLP: none of its first lines is a document; the rest is not read") from None


def _documents(raw: bytes, place: Place, report: Report) -> Iterator[Batch]:
    """The documents of a text: mostly one. Raises InvalidEvent."""

    def told(reason: str) -> None:
        report(place.problem(reason))

    for value in documents(decoded_text(raw, told), told):
        yield from _batches(value, place)


def _batches(value: Any, place: Place) -> Iterator[Batch]:
    several = isinstance(value, list)
    for index, batch in enumerate(value if several else [value]):
        where = place.at(index) if several else place
        if not isinstance(batch, dict) or not any(key in batch for key in _KEYS):
            raise InvalidEvent(where.path, "is not OTLP: it has neither resourceSpans nor resourceLogs")
        yield batch, where


def _protobuf(name: str, raw: bytes) -> Iterator[Batch]:
    whole = _message(raw)
    if whole is not None:
        yield whole, Place(name)
        return
    for size_of in (_fixed, _varint):
        parts = list(_framed(raw, size_of))
        if parts and (first := _message(raw[slice(*parts[0])])) is not None:
            yield first, Place(name, path="message 0")
            for number, (start, end) in enumerate(parts[1:], 1):
                found = _message(raw[start:end])
                if found is None:
                    raise InvalidEvent("", f"message {number} (byte {start}) is not OTLP; what stands before it goes in")
                yield found, Place(name, path=f"message {number}")
            if parts[-1][1] != len(raw):
                raise InvalidEvent("", f"breaks off at byte {parts[-1][1]}; what stands before it goes in")
            return
    raise InvalidEvent("", "is not OTLP: neither JSON nor a request of traces or logs in protobuf")


def _framed(raw: bytes, size_of: Any) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(raw):
        size, start = size_of(raw, at)
        if size <= 0 or start + size > len(raw):
            return
        yield start, start + size
        at = start + size


def _fixed(raw: bytes, at: int) -> tuple[int, int]:
    return (struct.unpack_from(">I", raw, at)[0], at + 4) if at + 4 <= len(raw) else (0, at)


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    size = shift = 0
    for place in range(at, min(at + 5, len(raw))):
        size |= (raw[place] & 0x7F) << shift
        if raw[place] < 0x80:
            return size, place + 1
        shift += 7
    return 0, at


def _message(raw: bytes) -> dict[str, Any] | None:
    """A request of traces or of logs, as JSON has it; None where it is neither."""
    try:
        from google.protobuf.json_format import MessageToDict  # noqa: PLC0415  of the extra importers
        from google.protobuf.message import DecodeError  # noqa: PLC0415
        from opentelemetry.proto.logs.v1.logs_pb2 import LogsData  # noqa: PLC0415
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData  # noqa: PLC0415
    except ImportError:
        raise InvalidEvent("", "is OTLP in protobuf; pip install 'runfold[importers]' brings what reads it") from None
    with contextlib.suppress(DecodeError, UnicodeDecodeError, ValueError):
        traces = TracesData.FromString(raw)
        if any(span.trace_id for batch in traces.resource_spans for scope in batch.scope_spans for span in scope.spans):
            return dict(MessageToDict(traces))
    with contextlib.suppress(DecodeError, UnicodeDecodeError, ValueError):
        logged = LogsData.FromString(raw)
        if any(scope.log_records for batch in logged.resource_logs for scope in batch.scope_logs):
            return dict(MessageToDict(logged))
    return None
