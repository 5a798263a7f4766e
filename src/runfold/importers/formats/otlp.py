"""OTLP files with traces of generative AI: JSON, JSON lines and protobuf.

By OpenTelemetry's conventions, and those of Traceloop, OpenInference, the AI SDK and Pydantic AI. A conversation
(`gen_ai.conversation.id`, of OpenInference `session.id`) is a thread, and so is each trace that names none. An agent's span
is a run, within another's spawned by it; what no agent is around belongs to the run of the topmost span. Ids are made of the
spans', so the same spans in other files, or another order, add nothing. A span in a file has ended, unless it has no end: one
without a status ended without an error. That a person typed a user's words is not stated, and not claimed. Spans of other
kinds are counted. `otlp/` reads, `acts/` records.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from runfold.errors import shortened
from runfold.importers.acts.kinds import Place
from runfold.importers.acts.recorder import thread_id
from runfold.importers.format import Format, SourceThread
from runfold.importers.otlp.meaning import label_of
from runfold.importers.otlp.spans import OF_NO_SPAN, LogRecord, Span, items
from runfold.importers.otlp.spool import Spool
from runfold.importers.otlp.story import story_of
from runfold.importers.otlp.superseding import record_all, spans_told
from runfold.importers.otlp.wire import batches
from runfold.importers.sources import OF_A_RECORD, Report, SourceFile, why
from runfold.importers.tally import Note, Problem

_ENDINGS = (".json", ".jsonl", ".ndjson", ".pb", ".binpb", ".bin", ".proto", ".otlp")


def read(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
    """The conversations in files, one at a time, after all files are read."""
    with Spool() as spool:
        for file in files:
            try:
                for batch, place in batches(file, report):
                    _set_aside(batch, place, spool, report)
            except OF_A_RECORD as error:
                report(Problem(file.name, None, why(error)))
        named = {file.name: file for file in files}
        for conversation, traces in spool.threads():
            thread = _thread(conversation, traces, spool, named, report)
            if thread is not None:
                yield thread


def _set_aside(batch: dict[str, Any], place: Place, spool: Spool, report: Report) -> None:
    is_empty = "resourceMetrics" not in batch
    for item in items(batch, place, report):
        spool.add(item, place.file)
        is_empty = False
    if is_empty:
        report(Note(place.file, place.line, "batches without spans and without logged events"))


def _thread(
    conversation: str | None, traces: list[str], spool: Spool, files: Mapping[str, SourceFile], report: Report
) -> SourceThread | None:
    spans: list[Span] = []
    records: list[LogRecord] = []
    size = 0
    for trace in traces:
        more_spans, more_records, more_size = spool.items(trace, conversation)
        spans += more_spans
        records += more_records
        size += more_size
    known = {(span.trace, span.id) for span in spans}
    for logged in (each for each in records if (each.trace, each.span) not in known):
        report(Note(logged.place.file, logged.place.line, OF_NO_SPAN))
    if not any(spool.is_generative(trace) for trace in traces):
        for span in spans:
            report(Note(span.place.file, span.place.line, label_of(span)))
        return None
    source = spool.digest(traces)
    try:
        story = story_of(conversation, spans, records, report)
    except Exception as error:  # whatever one conversation holds, the others go in
        place = spans[0].place if spans else None
        file, line = (place.file, place.line) if place else ("otlp", None)
        report(Problem(file, line, f"trace {traces[0]} cannot be read ({shortened(repr(error))}); it is left out"))
        return None
    if story is None:
        return None
    ours = thread_id(story.format, story.key)
    give = partial(record_all, story, spans_told(spans), traces)
    holding = tuple(files[name] for name in dict.fromkeys(name for trace in traces for name in spool.files(trace)))
    return SourceThread(ours, story.title or ours, source, tuple(traces), size, give, files=holding)


FORMAT = Format(wants=lambda name: name.removesuffix(".zst").endswith(_ENDINGS), read=read)
