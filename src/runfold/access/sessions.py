"""Sessions of browsers: each shows a random text, and is good for what the API key is good for that it began with.

All processes of a server know them, for they lie in the database: the SHA-256 of each text, and nothing to sign in with.
"""

import contextlib
import hashlib
import secrets
from datetime import timedelta
from typing import Any, NamedTuple

from runfold.errors import LedgerUnavailable
from runfold.store.datastore import Datastore
from runfold.store.queries import named_queries

SIGN_IN_LASTING = timedelta(minutes=10)
"""How long a sign-in address is good for; it is good once."""
IDLE = timedelta(hours=12)
"""After so long without a request a session has ended."""
_NOTED_EVERY = timedelta(minutes=1)
_QUERIES = named_queries("runfold.access", "sessions.sql")


class SignedIn(NamedTuple):
    """The key that a session began with: whoever has the session may do what the key may, while the key is good."""

    tenant_id: str
    key_id: str


class BrowserSessions:
    """The sessions of all tenants. Thread-safe."""

    def __init__(self, datastore: Datastore) -> None:
        self._datastore = datastore

    def sign_in_token(self, key: SignedIn) -> str:
        """Return a text that begins one session, within ten minutes. Raises LedgerUnavailable."""
        return self._begin(key, once=True)

    def begin(self, key: SignedIn) -> str:
        """Begin a session and return the text that its browser shows. Raises LedgerUnavailable."""
        self._rows("sweep", {"idle": IDLE, "lasting": SIGN_IN_LASTING})
        return self._begin(key, once=False)

    def redeem(self, token: str) -> SignedIn | None:
        """Take a sign-in token, which is good no more then; None where it is none, was used, or is too old."""
        return _signed_in(self._rows("redeem", {"digest": _digest(token), "lasting": SIGN_IN_LASTING}))

    def find(self, text: str) -> SignedIn | None:
        """Return what a session is good for, and note that it is in use; None where there is none, or none any more."""
        asked = {"digest": _digest(text), "idle": IDLE, "noted": _NOTED_EVERY}
        found = self._rows("find", asked)
        if found and found[0]["is_to_note"]:
            with contextlib.suppress(LedgerUnavailable):  # a standby: only its primary notes anything
                self._rows("note", asked)
        return _signed_in(found)

    def end(self, text: str) -> None:
        """Sign out."""
        self._rows("end", {"digest": _digest(text)})

    def _begin(self, key: SignedIn, *, once: bool) -> str:
        text = secrets.token_urlsafe(32)
        self._rows("begin", {"digest": _digest(text), "tenant": key.tenant_id, "key": key.key_id, "once": once})
        return text

    def _rows(self, query: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
        with self._datastore.reading() as connection:
            cursor = connection.execute(_QUERIES[query], facts)
            return cursor.fetchall() if cursor.description is not None else []


def _signed_in(rows: list[dict[str, Any]]) -> SignedIn | None:
    return SignedIn(rows[0]["tenant_id"], rows[0]["key_id"]) if rows else None


def _digest(text: str) -> bytes:
    """It is 256 random bits, which nobody can try through, so one round of SHA-256 is enough."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
