"""The log behind the `eventsourcing` library's recorder interface, so that its test cases run on it.

Subclassed for that interface: our table and append function, no table lock, no retry loops of its own, no DDL.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresSubscription

from runfold.errors import UnsafeDurability
from runfold.store import migrate
from runfold.store.codec import Row
from runfold.store.datastore import Datastore
from runfold.store.hint import CHANNEL
from runfold.store.reader import LATEST, Reader
from runfold.store.writer import Placed, Writer


class Recorder(PostgresApplicationRecorder):
    """The log: `writer` appends, `reader` reads, and the library's own methods do both in its words."""

    def __init__(self, datastore: Datastore) -> None:
        super().__init__(datastore, events_table_name="log")
        self.store = datastore
        self.channel_name = CHANNEL
        self.writer = Writer(datastore)
        self.reader = Reader(datastore)

    def close(self) -> None:
        """Give all connections back."""
        self.writer.close()
        self.datastore.close()

    def require_ready(self, *, unsafe_durability: bool = False) -> None:
        """Raise MigrationRefused for a schema of another time, UnsafeDurability for a server that may lose what it took."""
        migrate.check(self.reader)
        if not unsafe_durability and (unsafe := self.reader.unsafe_settings()):
            raise UnsafeDurability(unsafe)

    def create_table(self) -> None:
        """The migrations own the schema."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Append, and wake who listens. Raises the library's IntegrityError on a conflict."""
        rows = [
            Row(
                str(event.originator_id),
                event.originator_version,
                event.topic,
                1,
                event.state,
                None,
                "",
                "",
                uuid4().bytes,
                "{}",
                "{}",
            )
            for event in stored_events
        ]
        if not rows:
            return []
        answer = self.writer.append(rows)
        if not isinstance(answer, Placed):
            raise IntegrityError(f"these streams are at other versions: {answer}")
        with self.datastore.get_connection() as connection:
            connection.execute(f"NOTIFY {CHANNEL}")
        return [answer.first_position + offset for offset in range(len(rows))]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """A stream."""
        direction = "DESC" if desc else "ASC"
        query = (
            "SELECT originator_id, originator_version, topic, state FROM runfold.log WHERE originator_id = %b"
            " AND tenant_id = '' AND originator_version > %b AND originator_version <= %b"
            f" ORDER BY originator_version {direction} LIMIT %b"
        )
        bounds = [-1 if gt is None else gt, LATEST if lte is None else lte, LATEST if limit is None else limit]
        return [StoredEvent(*row) for row in self.reader.rows(query, [str(originator_id), *bounds])]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The log."""
        after = 0 if start is None else start - inclusive_of_start
        query = (
            "SELECT notification_id, originator_id, originator_version, topic, state FROM runfold.log"
            " WHERE notification_id > %b AND notification_id <= %b AND (%b OR topic = ANY(%b)) IS TRUE"
            " ORDER BY notification_id LIMIT %b"
        )
        bounds = [after, LATEST if stop is None else stop, not topics, list(topics), limit]
        return [
            Notification(id=position, originator_id=stream, originator_version=version, topic=topic, state=state)
            for position, stream, version, topic, state in self.reader.rows(query, bounds)
        ]

    def max_notification_id(self) -> int | None:
        """The last position, or None in an empty ledger."""
        return self.reader.head().position or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> PostgresSubscription:
        """The library's own subscription; Runfold's is `runfold.feed.subscription`."""
        return PostgresSubscription(recorder=self, gt=gt, topics=topics)
