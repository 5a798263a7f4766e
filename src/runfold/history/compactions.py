"""Where the memory of a run's model was cut along a path, and what the model saw after the last cut."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self

from runfold.domain.compaction import CompactionTrigger, ContextCompacted
from runfold.domain.recorded import Recorded
from runfold.history.views import Message, ToolCallView, View


class Compaction(View):
    """A cut of the model's memory."""

    id: str
    run_id: str
    trigger: CompactionTrigger
    tokens_before: int | None
    tokens_after: int | None
    summary_message_id: str | None
    """The message that stands for what was cut; null where nobody said which."""
    kept_from_message_id: str | None
    """The first message that was kept as it was; null where none was."""
    compacted_at: datetime
    position: int

    @classmethod
    def of(cls, event: ContextCompacted, recorded: Recorded) -> Self:
        """A cut as it was recorded."""
        return cls(
            id=event.compaction_id,
            run_id=recorded.stream,
            trigger=event.trigger,
            tokens_before=event.tokens_before,
            tokens_after=event.tokens_after,
            summary_message_id=event.summary_message_id,
            kept_from_message_id=event.kept_from_message_id,
            compacted_at=recorded.happened_at,
            position=recorded.position,
        )


class ModelContext(View):
    """What a run's model saw, as far as it is recorded: the whole conversation, or what its last cut left and what followed."""

    compaction: Compaction | None
    """The last cut; null where there was none, and the model saw everything."""
    messages: tuple[Message, ...]
    """The summary, what was kept, and what came later. No summary is here where the cut names none that is recorded."""
    tool_calls: tuple[ToolCallView, ...]
    left_out: int
    """How many messages of the conversation the model no longer saw."""


def fold_compactions(events: Iterable[Recorded]) -> list[Compaction]:
    """The cuts that events along a path tell of, oldest first."""
    return [Compaction.of(recorded.event, recorded) for recorded in events if isinstance(recorded.event, ContextCompacted)]


def model_context(
    compactions: Sequence[Compaction], messages: Sequence[Message], tool_calls: Sequence[ToolCallView]
) -> ModelContext:
    """What the model saw at the end of a path, whose cuts, messages and tool calls these are, each in their order."""
    if not compactions:
        return ModelContext(compaction=None, messages=tuple(messages), tool_calls=tuple(tool_calls), left_out=0)
    last = compactions[-1]
    summary = [message for message in messages if message.id == last.summary_message_id]
    rest = [message for message in messages if message.id != last.summary_message_id]
    start = next((message.added_position for message in rest if message.id == last.kept_from_message_id), last.position)
    seen = [message for message in rest if message.added_position >= start]
    return ModelContext(
        compaction=last,
        messages=(*summary, *seen),
        tool_calls=tuple(call for call in tool_calls if call.requested_position >= start),
        left_out=len(rest) - len(seen),
    )
