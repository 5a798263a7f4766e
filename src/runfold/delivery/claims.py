"""Who carries a reactor out: one process at a time, by a row that is renewed. Whoever dies or stands still is taken over from."""

import os
import platform
import secrets
from datetime import timedelta
from typing import Any

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from runfold.delivery.reactor import HOLD_SECONDS, Claim, Reacted
from runfold.store.datastore import Datastore
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.delivery", "claims.sql")


class Claims:
    """The claims of one process, each under the name of its reactor."""

    def __init__(self, datastore: Datastore, hold_seconds: float = HOLD_SECONDS) -> None:
        self.worker = f"{platform.node()[:100] or 'localhost'}:{os.getpid()}:{secrets.token_hex(4)}"
        self.hold_seconds = hold_seconds
        self._datastore = datastore

    def take(self, name: str, hold_seconds: float | None = None) -> Claim | None:
        """Claim a reactor, or renew the claim; None while another has it. All who claim it hold it equally long.

        Raises LedgerUnavailable.
        """
        hold = hold_seconds or self.hold_seconds
        asked = {"name": name, "worker": self.worker, "hold": timedelta(seconds=hold)}
        if self._rows("is free", asked) != [(True,)]:
            return None
        found = self._rows("take", asked)
        return Claim(name, *found[0])._replace(hold_seconds=hold) if found else None

    def note(self, claim: Claim, reacted: Reacted) -> bool:
        """Note what was done under a claim, and renew it; False where another has claimed the reactor since."""
        facts = {
            "position": reacted.position,
            "epoch": reacted.epoch,
            "done": Jsonb(dict(reacted.done)),
            "due_since": reacted.due_since,
            "hold": timedelta(seconds=claim.hold_seconds),
        }
        return bool(self._rows("note", {**facts, "name": claim.name, "token": claim.token}))

    def fail(self, claim: Claim, error: str) -> None:
        """Note why a reactor cannot go on."""
        self._rows("fail", {"name": claim.name, "token": claim.token, "error": error})

    def release(self, claim: Claim) -> None:
        """Give a reactor back."""
        self._rows("release", {"name": claim.name, "token": claim.token})

    def _rows(self, query: str, facts: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._datastore.reading() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(_QUERIES[query], facts)
            return cursor.fetchall() if cursor.description is not None else []
