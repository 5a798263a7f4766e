"""An event as it is stored, whoever has read it: what all digests of it are taken from."""

from datetime import datetime
from typing import NamedTuple

from runfold.proofs.leaf import envelope, envelope_digest, payload_digest, salts


class StoredEvent(NamedTuple):
    """An event with its place, its payload, and all that stands beside it."""

    position: int
    tenant_id: str
    thread_id: str
    stream: str
    version: int
    type: str
    schema_version: int
    state: bytes
    """The payload."""
    key_id: str | None
    event_id: str
    """A UUID, in the usual form."""
    recorded_at: datetime
    context: str
    metadata: str
    """JSON, as `context` is, printed by whomever."""
    salt: bytes | None
    """None of an event that is older than salts."""

    def envelope(self) -> bytes:
        """Return what stands beside the payload, as exact bytes."""
        return envelope(
            event_id=self.event_id,
            tenant_id=self.tenant_id,
            thread_id=self.thread_id,
            recorded_at=self.recorded_at,
            context=self.context,
            metadata=self.metadata,
            key_id=self.key_id,
        )

    def digests(self, salt: bytes) -> tuple[str, str]:
        """Return the digests of its payload and of its envelope under a salt, in hexadecimal."""
        payload_salt, envelope_salt = salts(salt)
        return payload_digest(payload_salt, self.state), envelope_digest(envelope_salt, self.envelope())
