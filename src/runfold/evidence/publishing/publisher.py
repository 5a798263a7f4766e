"""Gives each place the last checkpoints that it lacks, beside the sealer: one that is slow holds up no other, and no sealing.

What a place holds is read before anything is written there. Where the database does not go on from it, the sealer is told, which
seals nothing more then. How each place does is noted in the database, for those who look after the ledger.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runfold.errors import LedgerError, LedgerUnavailable, SealingRefused
from runfold.evidence.publishing.places import Place, PlaceFailed
from runfold.evidence.sealing.comparing import StoredTree, compare, stored_trees, tile_reader
from runfold.evidence.sealing.signing import require_signed
from runfold.failpoint import reach
from runfold.logs import logger
from runfold.proofs.note import Checkpoint, NoteRefused, read_note
from runfold.store.datastore import Connection, Datastore
from runfold.store.queries import named_queries

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
"""A place that failed is left alone for a while, longer each time."""
_COMPARE_SECONDS = 2.0
"""So long a sealer that starts waits for what places hold; with all else that it waits for, no event waits five seconds."""
_TELL_SECONDS, _FORGET_SECONDS = 30.0, 300.0
"""How each place does is noted when that changes, and so often; what was not noted for so long is forgotten."""
_QUERIES = named_queries("runfold.evidence.publishing", "publisher.sql")


@dataclass
class _AtPlace:
    """How it stands with one place. All of it is looked at and changed by one thread at a time."""

    place: Place
    published: dict[str, str] = field(default_factory=dict)
    """What it was given last, by the tree's name."""
    due_at: float = 0.0
    pause: float = _FIRST_PAUSE
    """How long it is left alone when it fails next."""
    error: str | None = None
    """Why it could not be given what it lacks."""
    refused: SealingRefused | None = None
    """What is wrong with what it holds, until it is found to be right."""
    is_busy: bool = False
    told: tuple[float, str | None] | None = None
    """When the database was told of it, and what."""

    def lacks(self, notes: Mapping[str, str]) -> dict[str, str]:
        """Return those of some notes that it was not given."""
        return {origin: note for origin, note in notes.items() if self.published.get(origin) != note}


class Publisher:
    """Publishes for one sealer, whose thread alone calls it; each place is asked in a thread of its own."""

    def __init__(self, places: Sequence[Place], datastore: Datastore, public_keys: Callable[[], Iterable[bytes]]) -> None:
        """`datastore` is asked beside the sealer's own session; `public_keys` are those that sign here."""
        self._datastore, self._public_keys = datastore, public_keys
        self._at = [_AtPlace(place) for place in places]
        self._turn = threading.Condition()
        self._failed: LedgerError | None = None
        """Why what a place holds could not be compared, though it was read."""

    @property
    def unpublished(self) -> dict[str, str]:
        """Return the places that lack a checkpoint, as they could not be read or written, each with why."""
        with self._turn:
            return {at.place.name: at.error for at in self._at if at.error is not None}

    @property
    def is_due(self) -> bool:
        """Return whether a place may be given something now."""
        with self._turn:
            return any(_may_be_asked(at) for at in self._at)

    def forget(self) -> None:
        """Believe nothing of what was published: the database may be another one by now."""
        with self._turn:
            for at in self._at:
                at.published.clear()

    def hurry(self) -> None:
        """Leave no place alone any longer."""
        with self._turn:
            for at in self._at:
                at.due_at = 0.0

    def require_consistent(self, trees: Sequence[StoredTree]) -> None:
        """Hold trees against what all places have of them. Raises SealingRefused, LedgerUnavailable.

        All places are read at once. One that cannot be read is told of, and keeps nobody from sealing; one that does not answer
        soon is waited for no longer, unless it was wrong before: what it says then is raised by who publishes.
        """
        threads = [(at, threading.Thread(target=self._compare, args=[at, trees], daemon=True)) for at in self._at if trees]
        ends = time.monotonic() + _COMPARE_SECONDS
        for _, thread in threads:
            thread.start()
        for at, thread in threads:
            thread.join(None if at.refused else max(0.0, ends - time.monotonic()))
        self._require_sound()

    def publish(self, connection: Connection, notes: Mapping[str, str]) -> None:
        """Give the places what they lack of some notes, by the names of their trees, as far as they may be asked now.

        Raises SealingRefused where one of them was found to hold what the database does not go on from, psycopg.Error.
        """
        self._require_sound()
        with self._turn:
            due = [(at, lacking) for at in self._at if _may_be_asked(at) and (lacking := at.lacks(notes))]
            for at, _ in due:
                at.is_busy = True
        for at, lacking in due:
            threading.Thread(target=self._publish, args=[at, lacking], name=f"runfold-place {at.place.name}", daemon=True).start()
        self._tell(connection)

    def wait(self, connection: Connection) -> None:
        """Wait until no place is being asked any more. Raises SealingRefused, psycopg.Error."""
        with self._turn:
            self._turn.wait_for(lambda: not any(at.is_busy for at in self._at))
        self._require_sound()
        self._tell(connection)

    def _require_sound(self) -> None:
        with self._turn:
            failed, self._failed = self._failed, None
            refused = next((at.refused for at in self._at if at.refused is not None), None)
        problem = refused or failed
        if problem is not None:
            raise problem

    def _tell(self, connection: Connection) -> None:
        now, changed = time.monotonic(), list[tuple[str, str | None]]()
        with self._turn:
            for at in self._at:
                is_known = bool(at.published) or at.error is not None
                if is_known and (at.told is None or at.told[1] != at.error or now - at.told[0] > _TELL_SECONDS):
                    at.told = now, at.error
                    changed.append((at.place.name, at.error))
        for name, error in changed:
            connection.execute(_QUERIES["told"], [name, error])
        if changed:
            connection.execute(_QUERIES["forget"], [_FORGET_SECONDS])

    # In the threads of the places

    def _compare(self, at: _AtPlace, trees: Iterable[StoredTree]) -> None:
        failed: LedgerError | None = None
        refused = at.refused
        try:
            held = [(tree, self._held(at.place, tree.origin)) for tree in trees]
            with self._datastore.reading() as connection:
                for tree, checkpoint in held:
                    _require_gone_on(connection, at.place, checkpoint, tree)
            refused = None
        except PlaceFailed as error:
            logger().warning("what was published cannot be compared", place=at.place.name, error=str(error))
        except SealingRefused as error:
            refused = error
        except LedgerError as error:
            failed = error
        with self._turn:
            at.refused, self._failed = refused, failed or self._failed

    def _publish(self, at: _AtPlace, lacking: Mapping[str, str]) -> None:
        failed: str | None = None
        refused: SealingRefused | None = None
        try:
            for origin, note in lacking.items():
                self._give(at.place, origin, note)
                with self._turn:
                    at.published[origin] = note
                reach("published")
        except SealingRefused as error:
            refused = error
        except Exception as error:  # whatever a place does, it is tried again and told of
            failed = str(error) if isinstance(error, PlaceFailed | LedgerUnavailable) else f"{type(error).__name__}: {error}"
            logger().warning("a checkpoint was not published, and is tried again", place=at.place.name, error=failed)
        with self._turn:
            at.is_busy, at.error, at.refused = False, failed, refused or at.refused
            at.due_at = time.monotonic() + max(at.place.every, at.pause if failed is not None else 0.0)
            at.pause = _FIRST_PAUSE if failed is None else min(2 * at.pause, _LONGEST_PAUSE)
            self._turn.notify_all()

    def _give(self, place: Place, origin: str, note: str) -> None:
        """Put a note in its place, unless a later one is there by now. Raises PlaceFailed, SealingRefused, LedgerUnavailable."""
        held = self._held(place, origin)
        with self._datastore.reading() as connection:
            tree = next((tree for tree in stored_trees(connection) if tree.origin == origin), None)
            if tree is None:
                return  # another was begun meanwhile
            _require_gone_on(connection, place, held, tree)
        if held is None or held.size <= read_note(note).checkpoint().size:
            place.write(origin, note)

    def _held(self, place: Place, origin: str) -> Checkpoint | None:
        """Return the checkpoint that a place holds of a tree; None where there is none. Raises PlaceFailed, SealingRefused."""
        text = place.read(origin)
        if text is None:
            return None
        try:
            return require_signed(read_note(text), self._public_keys())
        except NoteRefused as error:
            fact = f"what {place.name} holds of {origin} is not a checkpoint of ours: {error}"
            raise SealingRefused(
                fact, "find out who wrote it; where the key was changed, see `runfold seal rotate --help`"
            ) from None


def _require_gone_on(connection: Connection, place: Place, held: Checkpoint | None, tree: StoredTree) -> None:
    """Raise SealingRefused where a place holds a checkpoint that the database does not go on from."""
    if held is None:
        return
    found = compare(held, tree.origin, tree.size, tile_reader(connection, tree.tenant_id, tree.generation))
    if found.verdict != "consistent":
        raise SealingRefused(
            f"{found.verdict}: of the checkpoint that {place.name} holds, {found.fact}",
            "the log is not sealed further; run `runfold verify --full`, and where events were lost on purpose, as by"
            " restoring a backup, `runfold seal accept-loss --comment TEXT`",
        )


def _may_be_asked(at: _AtPlace) -> bool:
    return not at.is_busy and time.monotonic() >= at.due_at
