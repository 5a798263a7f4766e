"""What is still to be sent: rows that are added as the log is read, claimed by whoever sends, and removed once it has ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import class_row

from runfold.domain.recorded import Recorded
from runfold.store.datastore import Datastore
from runfold.store.queries import named_queries

MOST_AT_ONCE = 4
"""How much is on its way to one webhook at a time, at most: one that hangs holds up few."""
LONGEST_PAUSE = timedelta(days=2)
"""Nothing is put off for longer."""
KEPT = timedelta(days=30)
"""How long it is kept how attempts went."""
_QUERIES = named_queries("runfold.delivery", "outbox.sql")


@dataclass(frozen=True)
class Feed:
    """How far a webhook has taken the log in. `replay` is the command to send again that is being carried out."""

    tenant_id: str
    webhook_id: str
    position: int
    epoch: UUID
    own_position: int
    replay: int | None
    replay_after: int | None
    replay_up_to: int | None
    is_active: bool

    def replayed(self, position: int, epoch: UUID) -> "Feed":
        """Return the same, once events up to a position were added again."""
        if self.replay_up_to is None or position < self.replay_up_to:
            return replace(self, replay_after=position)
        return replace(self, epoch=epoch, own_position=self.replay or 0, replay=None, replay_after=None, replay_up_to=None)


@dataclass(frozen=True)
class Delivery:
    """Something to be sent, as whoever sends it has claimed it."""

    tenant_id: str
    webhook_id: str
    position: int
    event_id: UUID
    stream: str
    replay: int | None
    attempts: int
    claim: UUID

    @property
    def key(self) -> dict[str, Any]:
        """Return what names it in the table."""
        return {"tenant": self.tenant_id, "webhook": self.webhook_id, "position": self.position, "claim": self.claim}


class Outbox:
    """The tables of what is sent."""

    def __init__(self, datastore: Datastore, hold: timedelta) -> None:
        """`hold` is how long a claim lasts."""
        self._datastore, self._hold = datastore, hold

    def feeds(self) -> list[Feed]:
        """Return how far each webhook is."""
        with self._datastore.reading() as connection:
            return connection.cursor(row_factory=class_row(Feed)).execute(_QUERIES["feeds"]).fetchall()

    def add_feed(self, tenant_id: str, webhook_id: str, position: int, epoch: UUID) -> None:
        """Begin to follow the log for a webhook."""
        self._do("add feed", tenant=tenant_id, webhook=webhook_id, position=position, epoch=epoch)

    def waiting(self, feed: Feed, most: int) -> int:
        """Return how much waits for a webhook; no more than `most` is counted."""
        with self._datastore.reading() as connection:
            row = connection.execute(
                _QUERIES["waiting"], {"tenant": feed.tenant_id, "webhook": feed.webhook_id, "most": most}
            ).fetchone()
        return int(row["waiting"]) if row else 0

    def set_active(self, feed: Feed, *, active: bool) -> None:
        """Let what waits be sent, or not."""
        with self._datastore.reading() as connection, connection.transaction():
            facts = {"tenant": feed.tenant_id, "webhook": feed.webhook_id, "active": active}
            connection.execute(_QUERIES["set active"], facts)
            if active:
                connection.execute(_QUERIES["make due"], facts)

    def add(self, before: Feed, after: Feed, events: Sequence[Recorded], replay: int | None = None) -> bool:
        """Add events, and note how far the webhook is, in one transaction. False where another has moved it on meanwhile."""
        facts = {
            "tenant": after.tenant_id,
            "webhook": after.webhook_id,
            "position": after.position,
            "epoch": after.epoch,
            "own_position": after.own_position,
            "replay": after.replay,
            "replay_after": after.replay_after,
            "replay_up_to": after.replay_up_to,
            "from_position": before.position,
            "from_own": before.own_position,
            "from_replay": before.replay_after or 0,
        }
        rows = {
            "webhook": after.webhook_id,
            "replay": replay,
            "tenants": [each.tenant_id for each in events],
            "positions": [each.position for each in events],
            "event_ids": [each.event_id for each in events],
            "streams": [each.stream for each in events],
        }
        with self._datastore.reading() as connection, connection.transaction():
            if connection.execute(_QUERIES["move on"], facts).fetchone() is None:
                return False
            if events:
                connection.execute(_QUERIES["add"], rows)
        return True

    def claim(self) -> Delivery | None:
        """Claim what has been due for longest; None where nothing is due that may be sent now."""
        with self._datastore.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(Delivery))
            facts = {"claim": uuid4(), "hold": self._hold, "most": MOST_AT_ONCE}
            return cursor.execute(_QUERIES["claim"], facts).fetchone()

    def ended(self, delivery: Delivery, attempt: "Attempt | None") -> None:
        """Note the last attempt, and remove what has ended one way or the other."""
        with self._datastore.reading() as connection, connection.transaction():
            if attempt is not None:
                connection.execute(_QUERIES["note attempt"], attempt.facts(delivery))
            connection.execute(_QUERIES["remove"], delivery.key)

    def put_off(self, delivery: Delivery, attempt: "Attempt | None", pause: float) -> None:
        """Note an attempt that failed; without one, it was never sent. It is tried again after so many seconds."""
        facts = {**delivery.key, "stream": delivery.stream, "pause": timedelta(seconds=pause)}
        facts |= {"attempts": delivery.attempts + (attempt is not None), "error": attempt and attempt.error}
        with self._datastore.reading() as connection, connection.transaction():
            if attempt is not None:
                connection.execute(_QUERIES["note attempt"], attempt.facts(delivery))
            connection.execute(_QUERIES["put off"], facts)

    def forget_webhook(self, tenant_id: str, webhook_id: str) -> None:
        """Forget all of a webhook that was deleted."""
        self._do("forget webhook", tenant=tenant_id, webhook=webhook_id)

    def make_due_what_is_due_too_late(self) -> None:
        """Let be tried at once what a clock put off that has been put back since."""
        self._do("make due what is due too late", longest=LONGEST_PAUSE)

    def forget_attempts(self) -> None:
        """Forget how attempts went that are long over."""
        self._do("forget attempts", age=KEPT)

    def _do(self, query: str, **facts: Any) -> None:
        with self._datastore.reading() as connection:
            connection.execute(_QUERIES[query], facts)


@dataclass(frozen=True)
class Attempt:
    """How one attempt went."""

    milliseconds: int
    status_code: int | None
    error: str | None

    def facts(self, delivery: Delivery) -> dict[str, Any]:
        """Return the row for it."""
        return {
            **delivery.key,
            "event_id": delivery.event_id,
            "attempt": delivery.attempts + 1,
            "replay": delivery.replay,
            "milliseconds": self.milliseconds,
            "status_code": self.status_code,
            "error": self.error,
        }
