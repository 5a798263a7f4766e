"""Where the memory of a run's model was cut: from there on it sees a summary in place of what came before."""

from typing import Literal

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.life import Life
from runfold.domain.values import Count, Id

CompactionTrigger = Literal["auto", "manual", "limit"]


class ContextCompacted(Event, type="context.compacted"):
    """The model's memory was cut. Afterwards it saw the summary, what was kept, and what came later; the log keeps everything."""

    compaction_id: Id
    trigger: CompactionTrigger
    """auto: by the harness, near the limit; manual: a person asked for it; limit: the model's context was exceeded."""
    tokens_before: Count | None = None
    tokens_after: Count | None = None
    summary_message_id: Id | None = None
    """The message that stands for what was cut; it may be added later."""
    kept_from_message_id: Id | None = None
    """The first message that was kept as it was; null where nothing was kept but the summary."""


class Compactions:
    """The compactions of one run."""

    def __init__(self, run: Life) -> None:
        self.run = run
        self.by_id: dict[str, int] = {}
        """The version at which each was recorded."""

    def record(self, compacted: ContextCompacted) -> Events:
        """Record a compaction, once under an id."""
        if recorded_at := self.by_id.get(compacted.compaction_id):
            raise AlreadyRecorded("compaction", compacted.compaction_id, self.run.id, recorded_at, compacted)
        self.run.require_open("record_compaction")
        return [compacted]

    def evolve(self, event: ContextCompacted) -> None:
        """Update the state by one event."""
        self.by_id[event.compaction_id] = self.run.version
