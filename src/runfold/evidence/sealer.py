"""The reactor that seals the log: claimed by one process at a time, and harmless where two act, as one waits for the other.

Before it goes on from where it was, it compares the database with what was published last. A database that was put back, or
that has another past, is not sealed: what was published stays, and everybody is told.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from psycopg.errors import InsufficientPrivilege
from psycopg.rows import tuple_row

from runfold.delivery.reactor import Claim, Reacted
from runfold.errors import LedgerError, LedgerUnavailable, SealingRefused
from runfold.evidence.publishing.places import places
from runfold.evidence.publishing.publisher import Publisher
from runfold.evidence.publishing.witnessing import Witnessing
from runfold.evidence.sealing.comparing import StoredTree, compare, stored_trees
from runfold.evidence.sealing.sealing import QUERIES, Log, Sealed, seal
from runfold.evidence.sealing.signing import Signer, known_publics, read_signer
from runfold.ledger import Ledger
from runfold.logs import logger
from runfold.proofs.note import Checkpoint
from runfold.proofs.tiles import ReadTile
from runfold.store.datastore import Connection, Datastore

NAME = "sealer"
HOLD_SECONDS = 2.0
"""After that long another process takes over from one that died: with the time until it looks, and that from one checkpoint to
the next, no event waits five seconds. One that is only slow loses nothing by it, as the database lets one at a time seal."""
_LOOK_SECONDS = 0.05
BREATH_SECONDS = 0.02
"""Between a few events and the next few. A client that appends meanwhile is not held up by all of them at once."""
HURRY_SECONDS = 1.0
"""Who could not seal all that there was for so much longer than it pauses, draws no breath: a long backlog, or a high load."""
_MAY = "SELECT has_table_privilege('runfold.sealed_position', 'UPDATE')"
_MAY_NOT = (
    "as an administrator: GRANT runfold_sealer to the login of RUNFOLD_DATABASE_URL, or set RUNFOLD_SEALER_URL; or let nobody"
    " seal here, with --no-seal"
)


class Sealer:
    """Seals what follows, signs it and publishes it."""

    name = NAME
    hold_seconds = HOLD_SECONDS

    def __init__(self, ledger: Ledger) -> None:
        settings = ledger.settings
        self.pause = settings.seal_every
        self.datastore: Datastore = ledger.database.sealing(settings.connect_timeout)
        self._key_file = settings.seal_key_file
        self.places = places(settings.seal_publish, settings.home)
        beside = ledger.database.sealing(settings.connect_timeout)  # so that the sealer's own session stays the same
        self._witnessing = Witnessing(settings.witnesses, beside)
        self._publisher = Publisher(self.places, beside, lambda: self._keys(was_sealed=True).public_keys)
        self._backend: int | None = None
        """The session over which everything was compared."""
        self._signer: Signer | None = None
        self._keys_are_kept = True
        """Whether they were in their file when they were last used."""
        self._signed: dict[str, Checkpoint] = {}
        """What this process signed last, by the names of trees."""
        self._all_sealed_at = -math.inf
        """When there was nothing more to seal, by the clock of this process."""

    @property
    def unpublished(self) -> dict[str, str]:
        """Return the places that lack a checkpoint, as they could not be read or written, each with why."""
        return self._publisher.unpublished

    def may_seal(self) -> bool:
        """Return whether the role may seal. Raises LedgerUnavailable."""
        with self.datastore.reading() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(_MAY).fetchone() == (True,)

    def react(self, _: Claim | None = None, /) -> Reacted:
        """Seal a part of what follows, without haste unless much waits. Raises LedgerUnavailable, SealingRefused."""
        is_behind = time.monotonic() - self._all_sealed_at > self.pause + HURRY_SECONDS
        return self._sealed(None if is_behind else lambda: time.sleep(BREATH_SECONDS))

    def _sealed(self, breathe: Callable[[], object] | None) -> Reacted:
        try:
            with self._compared() as connection:
                sealed = seal(connection, self._keys, self._require_new, self._require_gone_on, breathe=breathe)
                if sealed is not None:
                    self._tell(sealed)
                    self._signed |= {each.origin: each for each in sealed.signed}
                waits_since: datetime | None = self._one(connection, "waiting")
                if sealed is None or not sealed.has_more:
                    self._all_sealed_at = time.monotonic()
                    self._publish(connection)
        except LedgerUnavailable as error:
            self._backend = None  # so that the next turn compares again
            if isinstance(error.__cause__, InsufficientPrivilege):
                raise SealingRefused("this role may not seal", _MAY_NOT) from None
            raise
        except BaseException:
            self._backend = None
            raise
        done = {"sealed": sealed.events} if sealed is not None and sealed.events else {}
        return Reacted(done, due_since=waits_since, has_more=sealed is not None and sealed.has_more)

    def seal_all(self) -> int:
        """Seal all that is there now, publish it everywhere, and return how many events that were.

        Places that cannot be reached are in `unpublished` then. Raises LedgerUnavailable, SealingRefused.
        """
        with self._compared() as connection:
            last = self._one(connection, "last event")
        count = 0
        while True:
            done = self._sealed(None).done.get("sealed", 0)
            count += done
            with self._compared() as connection:
                if self._one(connection, "sealed position") >= last:
                    self._publish_all(connection)
                    return count
            if not done:
                time.sleep(_LOOK_SECONDS)  # another is at it

    def _publish_all(self, connection: Connection) -> None:
        """Publish everywhere what is sealed now, once witnesses have signed it or had their time."""
        self._publish_at_once(connection)
        while self._witnessing.is_waiting:
            time.sleep(_LOOK_SECONDS)
            self._publish(connection)
        self._publish_at_once(connection)

    def _publish_at_once(self, connection: Connection) -> None:
        self._publisher.wait(connection)
        self._publisher.hurry()
        self._publish(connection)
        self._publisher.wait(connection)

    @contextlib.contextmanager
    def _compared(self) -> Iterator[Connection]:
        """Give a connection; over a new one everything is compared first, for the database may be another one by now."""
        with self.datastore.reading() as connection:
            if self._backend != connection.info.backend_pid:
                self._publisher.forget()
                self._witnessing.forget()
                self._publisher.require_consistent(stored_trees(connection))
                self._backend = connection.info.backend_pid
            yield connection

    def _keys(self, was_sealed: bool) -> Signer:
        if self._signer is None:
            self._signer = read_signer(self._key_file, may_make=not was_sealed)
        are_kept = self._signer.public_keys[0] in (known_publics(self._key_file) or ())
        if self._keys_are_kept and not are_kept:
            step = "put the file back from its copy, for this process has them in memory alone; after a rotation, start it again"
            logger().error("the keys that are signed with are not in their file", file=str(self._key_file), next_step=step)
        self._keys_are_kept = are_kept
        return self._signer

    def _tell(self, sealed: Sealed) -> None:
        for fact in sealed.alarms:
            logger().error("the log was changed", fact=fact, next_step="run `runfold verify --full`")

    @staticmethod
    def _one(connection: Connection, query: str) -> Any:
        with connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(QUERIES[query]).fetchone()
        return found[0] if found else None

    def _publish(self, connection: Connection) -> None:
        """Give each place the last checkpoints that it lacks, as far as it may be asked now and witnesses are not waited for."""
        notes: dict[str, str] = {}
        for tree in stored_trees(connection) if self._publisher.is_due else ():
            if (note := self._witnessing.publishable(connection, tree)) is not None:
                notes[tree.origin] = note
        self._publisher.publish(connection, notes)

    def _require_gone_on(self, log: Log, read: ReadTile) -> None:
        """Raise SealingRefused for a tree that does not go on from what this process signed last of it."""
        if (before := self._signed.get(log.origin)) is None:
            return
        found = compare(before, log.origin, log.size, read)
        if found.verdict != "consistent":
            step = "nothing more is signed; run `runfold verify --full`, and see that it is the right database"
            raise SealingRefused(f"{found.verdict}: of the checkpoint that was signed here last, {found.fact}", step)

    def _require_new(self, log: Log) -> None:
        """Raise SealingRefused where a place holds checkpoints of a tree that is only begun: the database was put back."""
        self._publisher.require_consistent([StoredTree(log.tenant_id, log.generation, log.origin, log.size, None)])


def sealers(ledger: Ledger) -> list[Sealer]:
    """Return the sealer of a ledger, unless its role may not seal, which is said once. Raises UsageError."""
    sealer = Sealer(ledger)
    with contextlib.suppress(LedgerError):  # a database that is away is waited for
        if not sealer.may_seal():
            logger().warning("nobody seals the log here", fact="the role has no right to", next_step=_MAY_NOT)
            return []
    return [sealer]
