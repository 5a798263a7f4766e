"""Spans and log records as plain data, out of OTLP's JSON: ids as hexadecimal digits, times as nanoseconds, values as JSON."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runfold.domain.values import INT_LIMIT
from runfold.importers.acts.fields import Fields
from runfold.importers.acts.keeping import kept_text
from runfold.importers.acts.kinds import Place
from runfold.importers.sources import Report
from runfold.importers.tally import Note

_HEX = re.compile(r"[0-9a-fA-F]+")
_CODES = {"0": "unset", "1": "ok", "2": "error"}
_KINDS = {"0": "unspecified", "1": "internal", "2": "server", "3": "client", "4": "producer", "5": "consumer"}
_DEEPEST = 40

OF_NO_SPAN = "logged events of no span, or of one that is in none of the files"


@dataclass
class SpanEvent:
    """What happened at a moment of a span; a log record that names one is the same."""

    name: str
    time: int
    attributes: dict[str, Any]
    body: Any = None


@dataclass
class Span:
    """A span."""

    trace: str
    id: str
    parent: str | None
    name: str
    kind: str
    start: int
    end: int
    """0 where it has not ended."""
    attributes: dict[str, Any]
    events: list[SpanEvent]
    status: str
    status_message: str
    links: list[str]
    service: str | None
    scope: str | None
    place: Place = field(default=Place(""))


@dataclass
class LogRecord:
    """An event that was logged within a span."""

    trace: str
    span: str
    event: SpanEvent
    place: Place = field(default=Place(""))


def items(batch: dict[str, Any], place: Place, report: Report) -> Iterator[Span | LogRecord]:
    """The spans and log records of a batch. A span that has no ids is a problem; of log records it is noted."""
    whole = Fields(batch, place, report)
    for resource in whole.objects("resourceSpans"):
        service = _attributes(resource.object("resource")).get("service.name")
        scopes = "scopeSpans" if resource.raw("scopeSpans") else "instrumentationLibrarySpans"
        for scope in resource.objects(scopes):
            named = (scope.object("scope") or scope.object("instrumentationLibrary")).text("name")
            for span in scope.objects("spans"):
                if (found := _span(span, service if isinstance(service, str) else None, named)) is not None:
                    yield found
    for resource in whole.objects("resourceLogs"):
        for scope in resource.objects("scopeLogs"):
            for record in scope.objects("logRecords"):
                if (logged := _record(record)) is not None:
                    yield logged


def _span(span: Fields, service: str | None, scope: str | None) -> Span | None:
    trace, own = _id(span, "traceId", 16), _id(span, "spanId", 8)
    if trace is None or own is None:
        if span:
            span.report(span.place.problem("has no traceId or no spanId; the span is left out"))
        return None
    status = span.object("status")
    return Span(
        trace=trace,
        id=own,
        parent=_id(span, "parentSpanId", 8),
        name=kept_text(span.text("name") or "", 10_000),
        kind=_word(span.raw("kind"), "SPAN_KIND_", _KINDS),
        start=_nanoseconds(span, "startTimeUnixNano"),
        end=_nanoseconds(span, "endTimeUnixNano"),
        attributes=_attributes(span),
        events=[event for fields in span.objects("events") if (event := _event(fields)) is not None],
        status=_word(status.raw("code"), "STATUS_CODE_", _CODES),
        status_message=kept_text(status.text("message") or ""),
        links=[f"{_id(link, 'traceId', 16)}/{_id(link, 'spanId', 8)}" for link in span.objects("links")],
        service=None if service is None else kept_text(service, 400),
        scope=None if scope is None else kept_text(scope, 400),
        place=span.place,
    )


def _event(event: Fields) -> SpanEvent | None:
    if not event:
        return None
    return SpanEvent(event.text("name") or "", _nanoseconds(event, "timeUnixNano"), _attributes(event))


def _record(record: Fields) -> LogRecord | None:
    """A log record that names an event, within a span; of others nobody knows whose they are."""
    attributes = _attributes(record)
    name = record.text("eventName") or attributes.get("event.name")
    trace, span = _id(record, "traceId", 16), _id(record, "spanId", 8)
    if not isinstance(name, str) or trace is None or span is None:
        if record:
            place, kind = record.place, "log records that name no event" if not isinstance(name, str) else OF_NO_SPAN
            record.report(Note(place.file, place.line, kind))
        return None
    time = _nanoseconds(record, "timeUnixNano") or _nanoseconds(record, "observedTimeUnixNano")
    event = SpanEvent(name, time, attributes, _any_value(record.raw("body")))
    return LogRecord(trace, span, event, record.place)


def _attributes(of: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in of.objects("attributes"):
        if (key := attribute.text("key")) is not None:
            found[key] = _any_value(attribute.raw("value"))
        elif attribute and attribute.raw("key") is None:
            attribute.problem("key", "is missing; the attribute is left out")
    return found


def _any_value(value: Any, depth: int = 0) -> Any:
    """A value of OTLP as JSON. What is no value of OTLP is taken as it is."""
    if not isinstance(value, dict) or len(value) != 1 or depth == _DEEPEST:
        return None if value == {} else value
    (kind, held), *_ = value.items()
    match kind:
        case "intValue":
            return int(held) if isinstance(held, str) and re.fullmatch(r"-?\d{1,19}", held) else held
        case "stringValue" | "boolValue" | "doubleValue" | "bytesValue":
            return held
        case "arrayValue":
            members = held.get("values") if isinstance(held, dict) else None
            return [_any_value(member, depth + 1) for member in members] if isinstance(members, list) else []
        case "kvlistValue":
            pairs = held.get("values") if isinstance(held, dict) else None
            return {
                str(pair.get("key")): _any_value(pair.get("value"), depth + 1)
                for pair in (pairs if isinstance(pairs, list) else [])
                if isinstance(pair, dict)
            }
        case _:
            return value


def _id(of: Fields, name: str, size: int) -> str | None:
    """An id as hexadecimal digits, also where it is written in base64. None where it is absent or all zeros."""
    text = of.text(name)
    if not text:
        return None
    found = text.lower() if len(text) == 2 * size and _HEX.fullmatch(text) else _from_base64(text, size)
    if found is None:
        of.problem(name, f"is {text[:40]!r}, not {2 * size} hexadecimal digits; left out")
        return None
    return found if found.strip("0") else None


def _from_base64(text: str, size: int) -> str | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == size else None


def _nanoseconds(of: Fields, name: str) -> int:
    value = of.raw(name)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        value = int(value)
    if value is None or value == "":
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < INT_LIMIT:
        of.problem(name, f"is {str(value)[:40]!r}, not a time in nanoseconds since 1970; left out")
        return 0
    return value


def _word(value: Any, prefix: str, names: dict[str, str]) -> str:
    """A member of an enumeration, by its number or by its name."""
    text = str(value or 0)
    return names.get(text) or text.removeprefix(prefix).lower()[:40]
