"""Spans of all files, set aside until their conversations are known: in a temporary file, with a small index in memory.

A conversation's spans may stand anywhere in any file, so all are read before the first is imported. Only one
conversation's are in memory at a time; the index holds a few numbers for each span.
"""

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import IO

from runfold.importers.acts.kinds import Place
from runfold.importers.otlp.meaning import conversation_of, is_generative
from runfold.importers.otlp.spans import LogRecord, Span, SpanEvent


class Spool:
    """Spans and log records on disk, by trace."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file or tempfile.TemporaryFile()  # noqa: SIM115  closed by __exit__
        self._places: dict[str, list[tuple[int, int, bytes]]] = defaultdict(list)
        """By trace: where its records stand, and the digest of each, wherever it came from."""
        self._names: dict[str, set[str]] = defaultdict(set)
        """By trace: the conversations that its spans name."""
        self._files: dict[str, dict[str, None]] = defaultdict(dict)
        """By trace: the names of the files that hold some of it."""
        self._generative: set[str] = set()
        self._end = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, item: Span | LogRecord, file: str) -> None:
        """Set one aside, which stands in a file."""
        said = dict(vars(item))
        place = vars(said.pop("place")) if isinstance(item, Span) else None
        if isinstance(item, Span):
            said["events"] = [vars(event) for event in item.events]
        else:
            said["event"] = vars(item.event)
        body = json.dumps(said, default=str).encode()
        raw = body + b"\n" + json.dumps(place).encode()
        self._file.seek(self._end)
        self._file.write(raw)
        self._places[item.trace].append((self._end, len(raw), hashlib.sha256(body).digest()))
        self._end += len(raw)
        self._files[item.trace][file] = None
        if isinstance(item, Span):
            if (name := conversation_of(item)) is not None:
                self._names[item.trace].add(name)
            if is_generative(item):
                self._generative.add(item.trace)

    def threads(self) -> Iterator[tuple[str | None, list[str]]]:
        """Conversations with the traces that name them, and each other trace alone, under None."""
        conversations: dict[str, list[str]] = defaultdict(list)
        for trace in self._places:
            for name in self._names.get(trace, ()):
                conversations[name].append(trace)
        yield from sorted(conversations.items())
        yield from ((None, [trace]) for trace in sorted(self._places) if trace not in self._names)

    def is_generative(self, trace: str) -> bool:
        """Whether a trace tells of models, agents or their tools."""
        return trace in self._generative

    def digests(self, trace: str) -> set[bytes]:
        """What a trace is made of, whatever the order and however often it came."""
        return {digest for _, _, digest in self._places[trace]}

    def files(self, trace: str) -> Iterable[str]:
        """Return the names of the files that hold some of a trace."""
        return self._files[trace]

    def items(self, trace: str) -> tuple[list[Span], list[LogRecord], int]:
        """All of a trace, in the order of its source, and how many bytes that is."""
        spans: list[Span] = []
        records: list[LogRecord] = []
        size = 0
        for start, length, _ in self._places[trace]:
            self._file.seek(start)
            body, _, place_of = self._file.read(length).rpartition(b"\n")
            value = json.loads(body)
            size += length
            if "event" in value:
                records.append(LogRecord(value["trace"], value["span"], SpanEvent(**value["event"])))
                continue
            events = [SpanEvent(**event) for event in value.pop("events")]
            place = Place(**json.loads(place_of))
            spans.append(Span(**value, events=events, place=place))
        return spans, records, size
