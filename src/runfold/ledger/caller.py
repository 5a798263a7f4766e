"""Who asks, and what a command says of itself beside its content."""

from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from runfold.domain.event import Metadata
from runfold.domain.values import Actor
from runfold.ids import new_event_id, new_id, stable_event_id, stable_id


class Envelope(TypedDict, total=False):
    """What any command may say about itself, beside its content."""

    actor: str | Actor
    """Who does it, as `kind:id`; else the ledger's own actor."""
    occurred_at: datetime
    """When it happened by the producer's clock: an aware datetime."""
    causation_id: str
    correlation_id: str
    traceparent: str
    expected_version: int
    """The version that the stream must be at; otherwise VersionConflict, and no retry."""


class Caller(NamedTuple):
    """Who asks: whose threads they see, who acts when a command names nobody, and the key under which they may ask again."""

    tenant_id: str
    actor: Actor
    key: str | None = None
    """A command under a key that was carried out before is not carried out again: what was recorded then is the answer."""
    request: str | None = None
    """Digest of what is asked under the key: something else under the same key is refused."""

    def new_id(self, prefix: str, number: int) -> str:
        """An id for what a command creates; of a command under a key always the same."""
        return new_id(prefix) if self.key is None else stable_id(prefix, self.tenant_id, self.key, str(number))

    def event_id(self, number: int) -> bytes:
        """The id of the command's next event, which is unique in the log: so a key takes effect once, whoever asks."""
        return new_event_id() if self.key is None else stable_event_id(self.tenant_id, self.key, number)


def metadata_of(envelope: Envelope, caller: Caller) -> str:
    """The metadata that a command's events are stored with, as JSON. Raises pydantic.ValidationError."""
    said: dict[str, Any] = {key: value for key, value in envelope.items() if key != "expected_version"}
    said["actor"] = Actor.parse(envelope["actor"]) if "actor" in envelope else caller.actor
    said["request_digest"] = caller.request
    return Metadata(**said).model_dump_json(exclude_none=True)
