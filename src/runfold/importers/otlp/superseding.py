"""Threads that were made of the same spans before, when less was known of them: once a thread holds all of one, it stands for it.

So it is with a trace whose conversation was not known yet, and with what was imported before the conventions of its spans were
read.
"""

from collections.abc import Iterable, Iterator

from runfold.errors import InvalidEvent, ThreadNotFound
from runfold.importers.acts.kinds import Name, Story
from runfold.importers.acts.recorder import record, thread_id
from runfold.importers.otlp.outcomes import traceparent
from runfold.importers.otlp.spans import Span
from runfold.importers.otlp.story import BY_OTHERS
from runfold.importers.recording import Recording

_OF_TRACE = "the trace belongs to a conversation, whose thread holds all of it"
_OF_CONVENTIONS = "the conventions of its spans were not all read, as in the thread that stands for it they are"


def record_all(story: Story, told: frozenset[str], traces: list[str], recording: Recording) -> None:
    """Record a conversation, and supersede the threads that its spans made before, where nothing of them is missing.

    Raises InvalidEvent where what it would stand for was deleted.
    """
    formers = list(_formers(story.key, traces))
    for key, reason in formers:
        if reason == _OF_CONVENTIONS and _is_deleted(recording, former := thread_id(story.format, key)):
            raise InvalidEvent("", f"made thread {former} before, which was deleted, and makes no other")
    record(story, recording)
    for key, reason in formers:
        former = thread_id(story.format, key)
        if _is_whole(recording, former, told):
            recording.batch.thread(former).supersede((recording.thread.id,), reason, actor=f"service:{story.format}")


def spans_told(spans: Iterable[Span]) -> frozenset[str]:
    """Return the contexts of spans, and of those that they are in."""
    return frozenset(traceparent((span.trace, each)) for span in spans for each in (span.id, span.parent) if each is not None)


def _formers(key: Name, traces: list[str]) -> Iterator[tuple[Name, str]]:
    """The keys of threads that a story may stand for, with why."""
    is_by_others = key[-1] == BY_OTHERS and len(key) > 2
    if is_by_others:
        yield key[:-1], _OF_CONVENTIONS
    if key[0] == "conversation":
        for trace in traces:
            yield ("trace", trace), _OF_TRACE
            if is_by_others:
                yield ("trace", trace, BY_OTHERS), _OF_TRACE


def _is_deleted(recording: Recording, thread: str) -> bool:
    try:
        return any(event.type == "thread.deleted" for event in recording.ledger.thread(thread).events())
    except ThreadNotFound:
        return False


def _is_whole(recording: Recording, thread: str, told: frozenset[str]) -> bool:
    """Whether a thread is there, and all that it says was said of spans that are told again."""
    try:
        parents = {event.metadata.traceparent for event in recording.ledger.thread(thread).events()}
    except ThreadNotFound:
        return False
    return all(parent in told for parent in parents if parent is not None)
