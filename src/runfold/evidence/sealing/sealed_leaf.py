"""A leaf as it is stored, and how an event differs from it."""

from typing import NamedTuple

from runfold.evidence.sealing.sealing import Digested
from runfold.proofs.leaf import Leaf

_FIELDS = ("payload", "envelope", "stream", "version", "type", "schema_version", "thread", "tenant")
"""What is compared, as it is told. The envelope is the time, the actor and whatever else stands beside an event."""


class SealedLeaf(NamedTuple):
    """A leaf as it is stored."""

    position: int
    tenant_id: str
    generation: int
    seq: int
    thread_id: str
    thread_seq: int
    stream: str
    version: int
    type: str
    schema_version: int
    payload_sha256: bytes
    envelope_sha256: bytes
    salt: bytes | None

    def named(self) -> str:
        """Return which event it is of, in words."""
        return f"{self.type}, version {self.version} of {self.stream}, at position {self.position}"

    def leaf(self) -> Leaf:
        """Return what is hashed into the tree."""
        return Leaf(
            self.seq,
            self.thread_seq,
            self.stream,
            self.version,
            self.type,
            self.schema_version,
            self.position,
            self.payload_sha256.hex(),
            self.envelope_sha256.hex(),
        )

    def changed(self, found: Digested) -> list[str]:
        """Return what of an event is not as it was sealed."""
        sealed = (
            self.payload_sha256.hex(),
            self.envelope_sha256.hex(),
            self.stream,
            self.version,
            self.type,
            self.schema_version,
            self.thread_id,
            self.tenant_id,
        )
        event = found.event
        now = (
            found.payload_sha256,
            found.envelope_sha256,
            event.stream,
            event.version,
            event.type,
            event.schema_version,
            event.thread_id,
            event.tenant_id,
        )
        return [] if now == sealed else [name for name, one, other in zip(_FIELDS, now, sealed, strict=True) if one != other]
