"""Spans of all files, set aside until their conversations are known: in a temporary file, with a small index in memory.

A conversation's spans may stand anywhere in any file, so all are read before the first is imported. Only one
conversation's are in memory at a time; the index holds a few numbers for each span.
"""

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from runfold.domain.values import digest
from runfold.importers.acts.kinds import Place
from runfold.importers.otlp.meaning import conversation_of, is_generative
from runfold.importers.otlp.spans import LogRecord, Span, SpanEvent
from runfold.importers.otlp.thread import by_key, conversations


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
        self._shares: dict[str, dict[str | None, list[int]]] = {}
        """By trace that names several conversations: which of its records are of each."""
        self._digest: tuple[list[str], str] | None = None
        """The traces of which a digest was asked last, and that."""
        self._generative: set[str] = set()
        self._end = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, item: Span | LogRecord, file: str) -> None:
        """Set one aside, which stands in a file."""
        said = dict(vars(item))
        place = vars(said.pop("place"))
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

    def digest(self, traces: Sequence[str]) -> str:
        """Return the digest of what traces are made of, whatever the order and however often it came.

        The conversations of one trace, which may be many, ask for the same one after the other.
        """
        if self._digest is None or self._digest[0] != traces:
            parts = (each for trace in traces for each in {part for _, _, part in self._places[trace]})
            self._digest = list(traces), digest(b"".join(sorted(parts)))
        return self._digest[1]

    def files(self, trace: str) -> Iterable[str]:
        """Return the names of the files that hold some of a trace."""
        return self._files[trace]

    def items(self, trace: str, conversation: str | None) -> tuple[list[Span], list[LogRecord], int]:
        """What a trace holds of a conversation, or all of it, in the order of its source, and how many bytes that is."""
        spans: list[Span] = []
        records: list[LogRecord] = []
        size = 0
        for number in self._numbers(trace, conversation):
            item, length = self._item(trace, number)
            size += length
            if isinstance(item, Span):
                spans.append(item)
            else:
                records.append(item)
        return spans, records, size

    def _numbers(self, trace: str, conversation: str | None) -> Iterable[int]:
        if len(self._names.get(trace, ())) < 2:
            return range(len(self._places[trace]))
        if trace not in self._shares:
            self._shares[trace] = self._shared(trace)
        return self._shares[trace].get(conversation, ())

    def _shared(self, trace: str) -> dict[str | None, list[int]]:
        """Tell apart what a trace holds of several conversations, once for all of them."""
        items = [self._item(trace, number)[0] for number in range(len(self._places[trace]))]
        found = conversations(by_key(item for item in items if isinstance(item, Span)))
        shares: dict[str | None, list[int]] = defaultdict(list)
        for number, item in enumerate(items):
            span_id = item.id if isinstance(item, Span) else item.span
            shares[found.get((trace, span_id), min(self._names[trace]))].append(number)
        return shares

    def _item(self, trace: str, number: int) -> tuple[Span | LogRecord, int]:
        start, length, _ = self._places[trace][number]
        self._file.seek(start)
        body, _, place_of = self._file.read(length).rpartition(b"\n")
        value, place = json.loads(body), Place(**json.loads(place_of))
        if "event" in value:
            return LogRecord(value["trace"], value["span"], SpanEvent(**value["event"]), place), length
        events = [SpanEvent(**event) for event in value.pop("events")]
        return Span(**value, events=events, place=place), length
