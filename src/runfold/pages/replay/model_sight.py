"""What a model had before it when it was called, as far as that is recorded."""

from typing import NamedTuple

from runfold.domain.recorded import Recorded
from runfold.domain.run import Run
from runfold.domain.step import ModelCallStarted
from runfold.domain.streams import is_id
from runfold.errors import UsageError
from runfold.history.compactions import Compaction
from runfold.history.views import Message, ToolCallView
from runfold.pages.asking import Past
from runfold.pages.replay.cutting import Cutter, named_values, outcome_words, part_words

MOST = 200
"""How many messages and calls are shown, the last ones."""


class Seen(NamedTuple):
    """A message or a tool call that the model had before it."""

    position: int
    message: Message | None
    call: ToolCallView | None
    is_named: bool
    """Whether the call itself names the message as its prompt."""


class ModelSight(NamedTuple):
    """What the model saw."""

    position: int
    run_id: str
    compaction: Compaction | None
    messages: int
    tool_calls: int
    left_out: int
    """Messages of the conversation that it no longer saw."""
    not_shown: int
    """What it saw, and stands before what is shown here."""
    seen: list[Seen]
    cutter: Cutter


def model_sight(asked: Past, recorded: Recorded) -> ModelSight:
    """What a run's model had before it when an event was recorded. Raises UsageError for an event that is no run's."""
    if not is_id(Run, recorded.stream):
        raise UsageError(f"position {recorded.position} is no event of a run, so no model saw anything for it")
    reading = asked.ledger.at(asked.position)
    before = max(1, recorded.version - 1)  # with its first event a run begins, in which nothing is said
    found = reading.context(run_id=recorded.stream, at_version=before)
    event = recorded.event
    named = set(event.prompt_message_ids) if isinstance(event, ModelCallStarted) else set()
    whole = [Seen(message.added_position, message, None, message.id in named) for message in found.messages]
    summary = whole[:1] if found.compaction and found.compaction.summary_message_id else []
    rest = [*whole[len(summary) :], *(Seen(call.requested_position, None, call, False) for call in found.tool_calls)]
    rest.sort(key=lambda each: each.position)
    shown = [*summary, *rest][-MOST:]
    texts = [part_words(part).text for each in shown if each.message for part in each.message.content]
    for each in shown:
        if each.call:
            texts += [words.text for words in (*named_values(each.call.arguments, ""), *outcome_words(each.call))]
    return ModelSight(
        position=recorded.position,
        run_id=recorded.stream,
        compaction=found.compaction,
        messages=len(found.messages),
        tool_calls=len(found.tool_calls),
        left_out=found.left_out,
        not_shown=len(summary) + len(rest) - len(shown),
        seen=shown,
        cutter=Cutter(texts),
    )
