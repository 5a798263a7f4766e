"""The wordings of messages: what each run added or revised, and where in the log the words are.

Nothing is copied from run to run. The conversation as of a run is read by walking the path root → run (`conversation`):
for each message the nearest run's last wording counts, of each ancestor only what it had said when its child left it.
That is why each wording has a row of its own: of a message that its run revises after a child left, the child goes on
seeing the wording before.

A redaction holds for all who read, whenever their run left. One of all wordings has a row of its own, revision 0.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from runfold.domain.message import (
    FIRST,
    Content,
    MessageAdded,
    MessagePartAppended,
    MessageRedacted,
    MessageRevised,
    MessageSealed,
    Role,
)
from runfold.domain.parts import TextPart
from runfold.domain.recorded import Recorded
from runfold.projections.projection import Key, Projection, Row

ALL = 0
"""The revision under which it is kept what may be shown in no wording of a message."""


class MessageRow(Row):
    """One wording of a message, or what may be shown in none of them."""

    run_id: str
    """The run that added or revised it."""
    message_id: str
    """The message; the same one in every run that revises it."""
    revision: int
    """1 as added, from 2 as revised; 0 for a redaction of all wordings."""
    thread_id: str = ""
    """The thread of the run."""
    role: Role | None = None
    """Who speaks; said where the message was added, null in other rows."""
    name: str | None = None
    """The speaker's name, where the message was added with one that was not redacted."""
    author: str | None = None
    """The author, where the message was added with one that was not redacted."""
    tool_call_id: str | None = None
    """The tool call that it answers."""
    activity_type: str | None = None
    """What kind of activity it shows."""
    content_position: int | None = None
    """The event that holds the wording; the parts appended to it follow in the same stream. Null in row 0."""
    content_version: int | None = None
    """That event's version in the run's stream: a child that left before it does not see this wording."""
    happened_at: datetime | None = None
    """When it was worded so, by the producer's clock where it gave one."""
    part_types: tuple[str, ...] = ()
    """The kinds of its content's parts, each once: text, reasoning, file, source, data."""
    characters: int = 0
    """Characters of its text so far; of a message that its past left streaming, those appended here."""
    streaming: bool = False
    """Whether more text may follow, in this run."""
    appended: int = 0
    """How many parts of text were appended to it."""
    last_appended_position: int | None = None
    """The event that appended the last of them."""
    sealed_version: int | None = None
    """The version at which it was complete, of a streamed one; a child that left before sees it streaming."""
    finish_reason: str | None = None
    """Why the model stopped there, if it said so."""
    redacted: tuple[str, ...] = ()
    """Its fields that may no longer be shown."""


_TEXT = ("text",)
_BLANK = MessageRow(run_id="", message_id="", revision=ALL)


class Messages(Projection[MessageRow]):
    """One row per wording of a message: whose, in which run, where its words are in the log, what of it is redacted."""

    name, version, row, key = "messages", 3, MessageRow, ("run_id", "message_id", "revision")
    partition = "thread"
    events = (MessageAdded, MessageRevised, MessagePartAppended, MessageSealed, MessageRedacted)
    indexes = (("thread_id", "content_position"), ("tool_call_id",), ("message_id",))

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The wording that it is, or is about. Who speaks stands in the first one, which a redaction of all thus reaches too."""
        run_id, event = recorded.stream, recorded.event
        match event:
            case MessageAdded() | MessagePartAppended() | MessageSealed():
                return ((run_id, event.message_id, FIRST),)
            case MessageRevised():
                return ((run_id, event.message_id, event.revision),)
            case MessageRedacted(revision=None):
                return ((run_id, event.message_id, ALL), (run_id, event.message_id, FIRST))
            case MessageRedacted():
                return ((run_id, event.message_id, event.revision),)
            case _:
                return ()

    def initial(self, key: Key) -> MessageRow:
        """The same as by the class, and quicker: nearly every event of a message is its first."""
        run_id, message_id, revision = key
        return _BLANK.but(run_id=run_id, message_id=message_id, revision=revision)

    def evolve(self, row: MessageRow, recorded: Recorded) -> MessageRow:
        """Only a redaction changes a wording that stands."""
        event = recorded.event
        match event:
            case MessageAdded():
                return row.but(_added(event, recorded))
            case MessagePartAppended():
                return row.but(
                    _gone_on(row, recorded),
                    characters=row.characters + len(event.text),
                    appended=row.appended + 1,
                    last_appended_position=recorded.position,
                )
            case MessageSealed():
                sealed = {"sealed_version": recorded.version, "finish_reason": event.finish_reason}
                return row.but(_gone_on(row, recorded), **sealed, streaming=False)
            case MessageRevised():
                return row.but(_wording(event.content, recorded))
            case MessageRedacted():
                return _redacted(row, event, recorded)
            case _:
                return row


def _added(added: MessageAdded, recorded: Recorded) -> dict[str, Any]:
    changes = _wording(added.content, recorded)
    changes["role"], changes["name"], changes["author"] = added.role, added.name, added.author
    changes["tool_call_id"], changes["activity_type"] = added.tool_call_id, added.activity_type
    changes["streaming"] = added.streaming
    return changes


def _gone_on(row: MessageRow, recorded: Recorded) -> dict[str, Any]:
    """Return where the run is that goes on with a message which its past left streaming; its row has no wording of its own."""
    return {"thread_id": recorded.thread_id, "streaming": True} if row.content_position is None else {}


def _wording(content: Content, recorded: Recorded) -> dict[str, Any]:
    kinds, characters = _shape(content)
    return {
        "thread_id": recorded.thread_id,
        "content_position": recorded.position,
        "content_version": recorded.version,
        "happened_at": recorded.happened_at,
        "part_types": kinds,
        "characters": characters,
    }


def _shape(content: Content) -> tuple[tuple[str, ...], int]:
    if len(content) == 1 and type(only := content[0]) is TextPart:  # as nearly all are
        return _TEXT, len(only.text)
    kinds = tuple(dict.fromkeys(part.type for part in content))
    return kinds, sum(len(part.text) for part in content if isinstance(part, TextPart))


def _redacted(row: MessageRow, redacted: MessageRedacted, recorded: Recorded) -> MessageRow:
    if row.revision == FIRST and row.content_position is None and redacted.revision is None:
        return row  # an ancestor's message, revised here: this run has no first wording of it
    fields = (*row.redacted, *(field for field in redacted.fields if field not in row.redacted))
    return row.but(
        thread_id=recorded.thread_id,
        redacted=fields,
        name=None if "name" in fields else row.name,
        author=None if "author" in fields else row.author,
    )


class Shown(NamedTuple):
    """A message of a conversation: the row where it was added, the wording that counts, and what of it is not shown."""

    added: MessageRow
    wording: MessageRow
    streaming: bool
    redacted: frozenset[str]


def conversation(path: Sequence[tuple[str, int]], rows: Iterable[MessageRow]) -> list[Shown]:
    """The conversation along a path: runs, root first, each with the version up to which it counts, and the rows of them all.

    In the order in which the messages were added. Of a message that streams where its run was left, the row knows how
    many characters there are by now; those of that moment are the parts up to that version.
    """
    by_run: dict[str, list[MessageRow]] = {}
    hidden: dict[tuple[str, int], set[str]] = {}
    for row in rows:
        by_run.setdefault(row.run_id, []).append(row)
        hidden.setdefault((row.message_id, row.revision), set()).update(row.redacted)
    found: dict[str, Shown] = {}
    for run_id, up_to_version in path:
        worded = [(row.content_version, row) for row in by_run.get(run_id, ()) if row.content_version is not None]
        for version, row in sorted(worded, key=lambda each: each[0]):
            if version <= up_to_version:
                _take_in(found, row, up_to_version)
        for row in by_run.get(run_id, ()):
            if row.content_version is None and row.sealed_version is not None and row.message_id in found:
                found[row.message_id] = _sealed(found[row.message_id], row, up_to_version)
    return [_without(shown, hidden) for shown in found.values()]


def _take_in(found: dict[str, Shown], row: MessageRow, up_to_version: int) -> None:
    known = found.get(row.message_id)
    if row.role is not None:
        streaming = row.streaming or (row.sealed_version or 0) > up_to_version
        found[row.message_id] = Shown(row, row, streaming, frozenset())
    elif known is not None:
        found[row.message_id] = known._replace(wording=row)


def _sealed(shown: Shown, row: MessageRow, up_to_version: int) -> Shown:
    """Return a message that an ancestor left streaming, after a run that went on with it."""
    if (row.sealed_version or 0) > up_to_version:
        return shown
    return shown._replace(streaming=False, added=shown.added.but(finish_reason=row.finish_reason))


def _without(shown: Shown, hidden: dict[tuple[str, int], set[str]]) -> Shown:
    message_id, revision = shown.wording.message_id, shown.wording.revision
    fields = hidden.get((message_id, ALL), set()) | hidden.get((message_id, revision), set())
    return shown._replace(redacted=frozenset(fields))
