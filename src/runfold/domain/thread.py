"""A thread: its title, whether it is still open, and its named heads."""

from typing import Literal, NoReturn, assert_never, cast

from pydantic import Field

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.values import Count, Digest, JsonObject, Label, RunId, Text, ThreadId, Value
from runfold.errors import CommandRefused, InvalidEvent, shortened

MAIN = "main"
MOST_HEADS = 1_000
"""Each new run looks through the heads of its thread, for those that follow it."""


class ThreadEvent(Event):
    """Something happened to a thread."""


class ThreadCreated(ThreadEvent, type="thread.created"):
    """A conversation began. `external_ref` is its id in the system it comes from."""

    agent_id: Label | None = None
    user_id: Label | None = None
    title: Text | None = None
    metadata: JsonObject = Field(default_factory=dict)
    external_ref: Text | None = None


class ThreadRenamed(ThreadEvent, type="thread.renamed"):
    """The thread has another title."""

    title: Text


class ThreadArchived(ThreadEvent, type="thread.archived"):
    """The thread was put away. It takes no new runs until it is restored."""

    reason: Text | None = None


class ThreadRestored(ThreadEvent, type="thread.restored"):
    """The thread was taken out again."""


class ThreadDeleted(ThreadEvent, type="thread.deleted"):
    """The thread was deleted: from here on only auditors read it. Nothing is erased."""

    reason: Text


class HeadNamed(ThreadEvent, type="thread.head_named"):
    """A name now points at a run of the thread, and follows the runs that continue it."""

    name: Label
    run_id: RunId


class HeadMoved(ThreadEvent, type="thread.head_moved"):
    """A name was pointed at another run by hand."""

    name: Label
    from_run_id: RunId | None = None
    to_run_id: RunId
    reason: Literal["checked_out", "rewound"]


class ImportedFile(Value):
    """A file that a thread was made from, as it was handed over."""

    name: Text
    """Without folders."""
    digest: Digest
    """Of its bytes, packed where it was packed."""
    unpacked_digest: Digest | None = None
    """Of its bytes unpacked; null where it was not packed, or is an archive."""


class ThreadImported(ThreadEvent, type="thread.imported"):
    """A source was imported whole into the thread. `source_digest` tells whether it has changed since."""

    format: Label
    source_digest: Digest
    source_ids: tuple[Text, ...] = ()
    importer_version: Count = 1
    """The version of the importer that read it: a newer one may read the same source otherwise."""
    times_judged_by: Literal["producer"] | None = None
    """Whose clock said what came in time, and what too late: the producer's; null in older events, where nothing was late."""
    source_files: tuple[ImportedFile, ...] = ()
    """The files that hold it, each once; none in older events, and none that changed while it was read."""
    source_file_count: Count | None = None
    """How many files hold it, where not all are named."""


class ThreadSuperseded(ThreadEvent, type="thread.superseded"):
    """Other threads now stand for what the thread holds: lists and totals leave it out, unless they are asked for it."""

    by_thread_ids: tuple[ThreadId, ...] = Field(min_length=1)
    reason: Text


AnyThreadEvent = (
    ThreadCreated
    | ThreadRenamed
    | ThreadArchived
    | ThreadRestored
    | ThreadDeleted
    | HeadNamed
    | HeadMoved
    | ThreadImported
    | ThreadSuperseded
)


class Thread:
    """The state of a thread after its events. At version 0 it has not been created."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self.created: ThreadCreated | None = None
        self.title: str | None = None
        self.archived = False
        self.deleted = False
        self.heads: dict[str, str | None] = {MAIN: None}
        """Each head, and the run it was last put at by hand; since then it may have followed that run."""
        self.imported: dict[str, ThreadImported] = {}
        """The last import of each format."""
        self.superseded_by: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Tell whether the thread was created."""
        return self.created is not None

    def describe(self) -> str:
        """Describe the thread's state in words."""
        if not self.exists:
            return "not created"
        state = "deleted" if self.deleted else "archived" if self.archived else "open"
        return f"{state} at version {self.version}"

    def refuse(self, command: str, rule: str) -> NoReturn:
        """Raise CommandRefused with this thread's state."""
        raise CommandRefused(command, self.id, rule, self.describe())

    def require_open(self, command: str) -> None:
        """Raise CommandRefused when the thread is archived or deleted."""
        if self.deleted:
            self.refuse(command, "a deleted thread accepts no more commands")
        if self.archived:
            self.refuse(command, "restore it first")

    def create(self, created: ThreadCreated) -> Events:
        """Create the thread. Repeating the same content under the same id records nothing."""
        if self.created is not None:
            raise AlreadyRecorded("thread", self.id, self.id, 1, created)
        return [created]

    def rename(self, title: str) -> Events:
        """Rename the thread."""
        if self.title == title:
            return []
        self.require_open("rename")
        return [ThreadRenamed(title=title)]

    def archive(self, reason: str | None = None) -> Events:
        """Archive the thread."""
        if self.archived:
            return []
        self.require_open("archive")
        return [ThreadArchived(reason=reason)]

    def restore(self) -> Events:
        """Restore an archived thread. A deleted thread stays deleted."""
        if self.deleted:
            self.refuse("restore", "a deleted thread stays deleted")
        return [ThreadRestored()] if self.archived else []

    def delete(self, reason: str) -> Events:
        """Delete the thread. Nothing is erased."""
        return [] if self.deleted else [ThreadDeleted(reason=reason)]

    def name_head(self, name: str, run_id: str) -> Events:
        """Name a head. Repeating it records nothing; to point an existing head elsewhere, move it."""
        if self.heads.get(name) == run_id:
            return []
        self.require_open("name_head")
        if name in self.heads:
            self.refuse("name_head", f"head {name!r} already exists; move it (`move_head`)")
        if name.startswith("run_"):
            raise InvalidEvent(
                "name", f"{shortened(repr(name))} would be taken for a run; choose one that does not begin with run_"
            )
        if "/" in name or name in {".", ".."}:
            raise InvalidEvent(
                "name", f"{shortened(repr(name))} cannot stand in an address; choose one without /, and not . or .."
            )
        if len(self.heads) >= MOST_HEADS:
            self.refuse("name_head", f"a thread has {MOST_HEADS:,} heads at most; move one that it has (`move_head`)")
        return [HeadNamed(name=name, run_id=run_id)]

    def move_head(
        self,
        name: str,
        to_run_id: str,
        current: str | None,
        reason: Literal["checked_out", "rewound"] = "checked_out",
        expected: str | None = None,
    ) -> Events:
        """Point a head at another run; `current` is where it is, `expected` where the caller believes it is."""
        self.require_open("move_head")
        if name not in self.heads:
            self.refuse("move_head", f"head {name!r} does not exist; name it first (`name_head`)")
        if current == to_run_id:
            return []
        if expected is not None and expected != current:
            self.refuse("move_head", f"head {name!r} is at {current or 'no run'}, not {expected}")
        return [HeadMoved(name=name, from_run_id=current, to_run_id=to_run_id, reason=reason)]

    def put_head(self, name: str, run_id: str, current: str | None, expected: str | None = None) -> Events:
        """Name a head, or move the head of that name if it exists."""
        if name in self.heads:
            return self.move_head(name, run_id, current, expected=expected)
        if expected is not None and expected != current:
            self.refuse("put_head", f"head {name!r} does not exist yet, so it is not at {expected}")
        return self.name_head(name, run_id)

    def record_import(self, imported: ThreadImported) -> Events:
        """Record that a source was imported whole. Repeating it by the same importer records nothing."""
        last = self.imported.get(imported.format)
        if last is not None and _read(last) == _read(imported):
            return []
        return [imported]

    def supersede(self, by_thread_ids: tuple[str, ...], reason: str) -> Events:
        """Record that other threads stand for this one. Naming those that already do records nothing."""
        if self.id in by_thread_ids:
            self.refuse("supersede", "a thread cannot stand for itself; name the threads that were made in its place")
        added = tuple(thread_id for thread_id in dict.fromkeys(by_thread_ids) if thread_id not in self.superseded_by)
        return [ThreadSuperseded(by_thread_ids=added, reason=reason)] if added else []

    def evolve(self, event: Event) -> None:
        """Update the state by one event."""
        self.version += 1
        match cast("AnyThreadEvent", event):
            case ThreadCreated() as created:
                self.created, self.title = created, created.title
            case ThreadRenamed() as renamed:
                self.title = renamed.title
            case ThreadArchived():
                self.archived = True
            case ThreadRestored():
                self.archived = False
            case ThreadDeleted():
                self.deleted = True
            case HeadNamed() as named:
                self.heads[named.name] = named.run_id
            case HeadMoved() as moved:
                self.heads[moved.name] = moved.to_run_id
            case ThreadImported() as imported:
                self.imported[imported.format] = imported
            case ThreadSuperseded() as superseded:
                self.superseded_by = tuple(dict.fromkeys((*self.superseded_by, *superseded.by_thread_ids)))
            case never:
                assert_never(never)


def _read(imported: ThreadImported) -> tuple[str, int]:
    """What was read, and by which version."""
    return imported.source_digest, imported.importer_version
