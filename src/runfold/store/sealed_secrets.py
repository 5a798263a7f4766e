"""Signing secrets of webhooks: made when they are first asked for, and kept encrypted with a key that is in no database.

The file holds Fernet keys, one a line: secrets are encrypted with the first, and read with any. To change the key, put a new
one on the first line; workers encrypt all secrets anew when they start; then remove the old line. Who has only the database,
or a backup of it, can sign nothing.
"""

import base64
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runfold.durable_files import write_whole
from runfold.errors import SecretSealed, UsageError
from runfold.file_errors import why
from runfold.logs import logger
from runfold.store.datastore import Datastore
from runfold.store.queries import named_queries

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

SECRET_BYTES = 32
PREFIX = "whsec_"
"""Stands before the secret's base64, as Standard Webhooks has it."""
_QUERIES = named_queries("runfold.store", "sealed_secrets.sql")


class SealedSecrets:
    """The signing secrets of all webhooks. Thread-safe."""

    def __init__(self, key_file: Path, datastore: Datastore) -> None:
        self._key_file, self._datastore = key_file, datastore

    def require_keys(self) -> None:
        """Raise SecretSealed or UsageError where no secret can be made or read here."""
        self._keys()

    def secret(self, tenant_id: str, webhook_id: str, generation: int) -> str:
        """Return the nth secret of a webhook. Raises SecretSealed, UsageError, LedgerUnavailable."""
        asked = {"tenant": tenant_id, "webhook": webhook_id, "generation": generation}
        sealed = self._sealed(asked)
        if sealed is None:
            made = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
            self._rows("add", {**asked, "sealed": self._keys()[0].encrypt(made.encode())})
            sealed = self._sealed(asked)  # another may have been quicker
        return self._opened(webhook_id, sealed or b"")

    def encrypt_anew(self) -> int:
        """Encrypt every secret with the first key that is not; return how many were. One that no key reads stays as it is."""
        changed = 0
        for row in self._rows("all", {}):
            first, every = self._keys()
            if not _reads(first, row["sealed"]) and _reads(every, row["sealed"]):
                self._rows("replace", {**row, "anew": every.rotate(row["sealed"])})
                changed += 1
        return changed

    def _opened(self, webhook_id: str, sealed: bytes) -> str:
        from cryptography.fernet import InvalidToken  # noqa: PLC0415  who sends nothing need not have it

        try:
            return self._keys()[1].decrypt(sealed).decode()
        except InvalidToken:
            raise SecretSealed(webhook_id, str(self._key_file)) from None

    def _sealed(self, asked: dict[str, Any]) -> bytes | None:
        found = self._rows("one", asked)
        return bytes(found[0]["sealed"]) if found else None

    def _keys(self) -> "tuple[Fernet, MultiFernet]":
        """Return the first key, and all. Where there are none, one is made, unless secrets were encrypted with others."""
        try:
            from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415
        except ModuleNotFoundError:
            raise UsageError("webhooks need more libraries; install `runfold[webhooks]`") from None
        if not self._key_file.exists():
            if found := self._rows("all", {}):
                raise SecretSealed(found[0]["webhook_id"], str(self._key_file))
            self._key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if write_whole(self._key_file, Fernet.generate_key() + b"\n", over=False):
                step = "give all machines the same file, and keep a copy apart from the database: no secret is read without it"
                logger().warning("the key of signing secrets was made", file=str(self._key_file), next_step=step)
        try:
            keys = [Fernet(line.strip()) for line in self._key_file.read_bytes().splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise UsageError(
                f"the keys in {self._key_file} cannot be read ({why(error)}); put one Fernet key on each line"
            ) from None
        if not keys:
            raise UsageError(f"{self._key_file} holds no key; put one Fernet key on each line")
        return keys[0], MultiFernet(keys)

    def _rows(self, query: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
        with self._datastore.reading() as connection:
            cursor = connection.execute(_QUERIES[query], facts)
            return cursor.fetchall() if cursor.description is not None else []


def _reads(key: "Fernet | MultiFernet", sealed: bytes) -> bool:
    from cryptography.fernet import InvalidToken  # noqa: PLC0415

    try:
        key.decrypt(sealed)
    except InvalidToken:
        return False
    return True
