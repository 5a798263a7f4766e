"""What was said: messages as some events tell of them, and what of them may not be shown."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from runfold.domain.event import Event
from runfold.domain.message import (
    FIRST,
    REDACTIONS,
    MessageAdded,
    MessagePartAppended,
    MessageRedacted,
    MessageRevised,
    MessageSealed,
)
from runfold.domain.parts import longer
from runfold.domain.recorded import Recorded
from runfold.history.views import Message
from runfold.store.reading.filter import Filter
from runfold.store.reading.tenant_reader import TenantReader


@dataclass(frozen=True)
class Said:
    """Messages by their ids, in the order in which they were added, and what of them may not be shown."""

    messages: dict[str, Message] = field(default_factory=dict)
    redacted: dict[str, list[MessageRedacted]] = field(default_factory=dict)

    def take_in(self, recorded: Recorded) -> None:
        """Take in one more event, if it is about messages."""
        event, found = recorded.event, self.messages
        match event:
            case MessageAdded():
                found[event.message_id] = Message.added(event, recorded)
            case MessageRevised() if event.message_id in found:
                found[event.message_id] = found[event.message_id].revised(event, recorded)
            case MessagePartAppended() if event.message_id in found:
                known = found[event.message_id]
                found[event.message_id] = known.model_copy(update={"content": longer(known.content, event.text)})
            case MessageSealed() if event.message_id in found:
                changes = {"streaming": False, "finish_reason": event.finish_reason}
                found[event.message_id] = found[event.message_id].model_copy(update=changes)
            case MessageRedacted():
                self.redacted.setdefault(event.message_id, []).append(event)
            case _:
                return

    def shown(self) -> list[Message]:
        """Return each message as it may be shown."""
        return [self.without_hidden(message) for message in self.messages.values()]

    def without_hidden(self, message: Message) -> Message:
        """Return a wording of a message without what may not be shown of it.

        All but the content was said when it was added, and is that of every wording.
        """
        for redaction in self.redacted.get(message.id, ()):
            if redaction.revision in {None, message.revision}:
                message = message.redacted(redaction.fields)
            elif redaction.revision == FIRST and (fields := tuple(name for name in redaction.fields if name != "content")):
                message = message.redacted(fields)
        return message

    def hides(self, event: Event) -> bool:
        """Return whether an event holds words of a message of which something may not be shown."""
        if not isinstance(event, MessageAdded | MessageRevised | MessagePartAppended):
            return False
        revision = event.revision if isinstance(event, MessageRevised) else FIRST
        return any(each.revision in {None, revision} for each in self.redacted.get(event.message_id, ()))


def redactions(reader: TenantReader, thread_id: str, runs: Collection[str], after: int = 0) -> Iterator[Recorded]:
    """What some runs of a thread redacted after a position, up to now."""
    wanted = Filter(thread_id=thread_id, tenant_id=reader.tenant, types=REDACTIONS)
    return (recorded for recorded in reader.present.events(wanted, after=after) if recorded.stream in runs)
