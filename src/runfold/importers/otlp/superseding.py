"""A trace that was imported before its conversation was known: once the conversation holds all of it, that stands for it."""

from runfold.errors import ThreadNotFound
from runfold.importers.acts.kinds import Story
from runfold.importers.acts.recorder import record, thread_id
from runfold.importers.recording import Recording

_REASON = "the trace belongs to a conversation, whose thread holds all of it"


def record_conversation(story: Story, traces: list[str], recording: Recording) -> None:
    """Record a conversation, and supersede the threads that its traces made alone, where nothing of them is missing."""
    record(story, recording)
    told = {act.traceparent for act in story.acts}
    for trace in traces:
        former = thread_id(story.format, ("trace", trace))
        try:
            events = recording.ledger.thread(former).events()
            is_missing = any(
                parent is not None and parent not in told for parent in (event.metadata.traceparent for event in events)
            )
        except ThreadNotFound:
            continue
        if not is_missing:
            recording.batch.thread(former).supersede((recording.thread.id,), _REASON, actor=f"service:{story.format}")
