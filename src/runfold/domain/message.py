"""Messages of a run: added whole or streamed, revised, redacted. One message id has one content at a time."""

from dataclasses import dataclass
from typing import Literal, NoReturn, assert_never, get_args

from pydantic import Field

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.life import Life
from runfold.domain.parts import Part, TextPart
from runfold.domain.values import Count, Id, Label, Text, is_plain, known_valid, same

Role = Literal["system", "developer", "user", "assistant", "tool", "reasoning", "activity"]
Content = tuple[Part, ...]
FIRST = 1
"""The revision that a message has when it is added. Parts are appended to it alone, and it alone is sealed."""


class MessageEvent(Event):
    """Something happened to a message."""


class MessageAdded(MessageEvent, type="message.added"):
    """A message became part of the conversation. With `streaming`, its text follows in parts until it is sealed."""

    message_id: Id
    role: Role
    content: Content
    name: Label | None = None
    tool_call_id: Id | None = None
    author: Label | None = None
    activity_type: Label | None = None
    encrypted_value: Text | None = None
    streaming: bool = False


class MessageRevised(MessageEvent, type="message.revised"):
    """The message now reads otherwise; the earlier wording stays in the log. The first revision is number 2."""

    derived = frozenset({"revision"})

    message_id: Id
    revision: Count
    content: Content
    reason: Text | None = None


class MessagePartAppended(MessageEvent, type="message.part_appended"):
    """More text of a streamed message, several deltas in one. `offset` counts the characters before it."""

    message_id: Id
    offset: Count
    text: Text


class MessageSealed(MessageEvent, type="message.sealed"):
    """A streamed message is complete. `length` counts its characters."""

    derived = frozenset({"length"})

    message_id: Id
    finish_reason: Label | None = None
    length: Count


class MessageRedacted(MessageEvent, type="message.redacted"):
    """Some of a message may no longer be shown: named fields of one revision, or of all."""

    message_id: Id
    revision: Count | None = None
    fields: tuple[Literal["content", "name", "author", "encrypted_value"], ...] = Field(min_length=1)
    legal_basis: Label


REDACTIONS = (MessageRedacted.type,)
"""The events that say what may not be shown any more, which any run of a thread may record."""


AnyMessageEvent = MessageAdded | MessageRevised | MessagePartAppended | MessageSealed | MessageRedacted


@dataclass(slots=True)
class MessageState:
    """The state of one message that the rules need."""

    role: Role | None
    """None for a message of the run's past that this run has revised, or gone on to stream."""
    revision: int
    added_at: int
    length: int = 0
    streaming: bool = False
    revised: Content | None = None
    hidden: frozenset[tuple[int | None, str]] = frozenset()
    """The redacted fields, each with its revision, or None for all revisions."""


_ROLES: tuple[Role, ...] = get_args(Role)
_NUMBERS = {role: number for number, role in enumerate(_ROLES)}

_PLAIN = {name: field.default for name, field in MessageAdded.model_fields.items()}
_PLAIN_GIVEN, _PLAIN_PART_GIVEN = {"message_id", "role", "content", "streaming"}, {"type", "text"}


def plain_message(message_id: str, role: Role, text: object, *, streaming: bool) -> MessageAdded | None:
    """Return a message of one text that is valid at first sight, as most are; None for one that must be validated.

    That takes a tenth of all that a command does. `message_id` is an id that was made, and not given.
    """
    if not (is_plain(text) and type(role) is str and role in _NUMBERS and type(streaming) is bool):
        return None
    part = known_valid(TextPart, {"type": "text", "text": text}, _PLAIN_PART_GIVEN)
    fields = {**_PLAIN, "message_id": message_id, "role": role, "content": (part,), "streaming": streaming}
    return known_valid(MessageAdded, fields, _PLAIN_GIVEN)


class MessageStates:
    """The states of a run's messages by their ids.

    Of a message that was added and is as it was, which most are, one number is kept: a run of many messages takes less memory,
    and none of that is for the collector to look through.
    """

    def __init__(self) -> None:
        self._as_added: dict[str, int] = {}
        self._others: dict[str, MessageState] = {}

    def __len__(self) -> int:
        return len(self._as_added) + len(self._others)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._as_added or message_id in self._others

    def __getitem__(self, message_id: str) -> MessageState:
        if (found := self.get(message_id)) is None:
            raise KeyError(message_id)
        return found

    def get(self, message_id: str) -> MessageState | None:
        """Return how a message is, to be looked at."""
        added = self._as_added.get(message_id)
        return self._others.get(message_id) if added is None else _as_added(added)

    def add(self, message_id: str, role: Role, version: int) -> None:
        """Take in a message that was added whole."""
        self._as_added[message_id] = version * len(_ROLES) + _NUMBERS[role]

    def change(self, message_id: str, otherwise: MessageState) -> MessageState:
        """Return how a message is, to be changed; where it is not known, it is now what is given otherwise."""
        added = self._as_added.pop(message_id, None)
        return self._others.setdefault(message_id, otherwise if added is None else _as_added(added))


def _as_added(number: int) -> MessageState:
    version, role = divmod(number, len(_ROLES))
    return MessageState(_ROLES[role], 1, version)


class Messages:
    """The messages that one run added or revised, and those that its past left streaming and it went on with."""

    def __init__(self, run: Life) -> None:
        self.run = run
        self.by_id = MessageStates()
        self.past: dict[str, MessageState] = {}
        """Messages of the run's past that were looked up, as they were when the run began."""

    def add(self, message: MessageAdded) -> Events:
        """Add a message. Repeating the same id with the same content adds nothing."""
        if known := self.by_id.get(message.message_id):
            raise AlreadyRecorded("message", message.message_id, self.run.id, known.added_at, message)
        self.run.require_open("add_message")
        if message.role == "tool" and message.streaming:
            self.run.refuse("add_message", "a tool message is the result of its call and cannot be streamed")
        return [message]

    def revise(
        self, message_id: str, content: Content, reason: str | None = None, inherited: MessageState | None = None
    ) -> Events:
        """Revise a message. Repeating the wording of its last revision adds nothing.

        `inherited` is the message as an ancestor run left it, if it is not this run's own.
        """
        known = self.by_id.get(message_id) or inherited
        if known is None:
            self._unknown("revise_message", message_id)
        self.run.require_open("revise_message")
        if known.streaming:
            self.run.refuse("revise_message", f"message {message_id} is still streaming; `seal()` it first")
        revised = MessageRevised(message_id=message_id, revision=known.revision + 1, content=content, reason=reason)
        return [] if known.revised is not None and same(known.revised, revised.content) else [revised]

    def append_text(self, message_id: str, text: str, offset: int | None = None) -> Events:
        """Append text to a message that streams, also of the past. An `offset` that is stored already adds nothing."""
        known = self._known("append_text", message_id)
        if offset is not None and 0 <= offset <= known.length - len(text):
            return []
        self.run.require_open("append_text")
        if not known.streaming:
            self.run.refuse("append_text", f"message {message_id} is not streaming; `revise()` it instead")
        if offset not in {None, known.length}:
            self.run.refuse(
                "append_text",
                f"message {message_id} has {known.length} characters, so offset {offset} would leave a gap or overlap",
            )
        return [MessagePartAppended(message_id=message_id, offset=known.length, text=text)] if text else []

    def seal(self, message_id: str, finish_reason: str | None = None) -> Events:
        """Seal a streamed message, which is then complete. Also allowed after the run's end. Sealing it again changes nothing."""
        known = self._known("seal_message", message_id)
        if not known.streaming:
            return []
        return [MessageSealed(message_id=message_id, finish_reason=finish_reason, length=known.length)]

    def redact(self, message_id: str, fields: tuple[str, ...], legal_basis: str, revision: int | None = None) -> Events:
        """Stop showing some fields of a message. This is also allowed after the run has ended."""
        known = self._own("redact_message", message_id)
        if revision is not None and not 1 <= revision <= known.revision:
            self.run.refuse("redact_message", f"message {message_id} has revisions 1 to {known.revision}, not {revision}")
        redacted = MessageRedacted(message_id=message_id, revision=revision, fields=fields, legal_basis=legal_basis)  # type: ignore[arg-type]  # checked by the model
        shown = [name for name in redacted.fields if not {(None, name), (revision, name)} & known.hidden]
        return [redacted] if shown else []

    def evolve(self, event: AnyMessageEvent) -> None:
        """Update the state by one event."""
        match event:
            case MessageAdded():
                if event.streaming:
                    length = sum(len(part.text) for part in event.content if isinstance(part, TextPart))
                    self.by_id.change(event.message_id, MessageState(event.role, 1, self.run.version, length, streaming=True))
                else:
                    self.by_id.add(event.message_id, event.role, self.run.version)
            case MessageRevised():
                known = self.by_id.change(event.message_id, MessageState(None, 1, self.run.version))
                known.revision, known.revised = event.revision, event.content
            case MessagePartAppended():
                known = self.by_id.change(event.message_id, MessageState(None, 1, self.run.version, streaming=True))
                known.length = event.offset + len(event.text)
            case MessageSealed():
                known = self.by_id.change(event.message_id, MessageState(None, 1, self.run.version, event.length))
                known.streaming = False
            case MessageRedacted():
                known = self.by_id.change(event.message_id, self.by_id[event.message_id])
                known.hidden |= {(event.revision, name) for name in event.fields}
            case _:
                assert_never(event)

    def role_of(self, message_id: str) -> Role | None:
        """Return the role of a message of this run or, where that was looked up, of its past."""
        known = self.by_id.get(message_id)
        if known is None or known.role is None:
            known = self.past.get(message_id)
        return known.role if known else None

    def _known(self, command: str, message_id: str) -> MessageState:
        return self.by_id.get(message_id) or self.past.get(message_id) or self._unknown(command, message_id)

    def _own(self, command: str, message_id: str) -> MessageState:
        return self.by_id.get(message_id) or self._unknown(command, message_id)

    def _unknown(self, command: str, message_id: str) -> NoReturn:
        self.run.refuse(command, f"this run has no message {message_id!r}")
