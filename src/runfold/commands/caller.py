"""Who asks, and what a command says of itself beside its content."""

from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypedDict

from runfold.domain.context import Metadata
from runfold.domain.security import Scope
from runfold.domain.values import Actor
from runfold.errors import ScopeMissing
from runfold.ids import new_event_id, new_id, stable_event_id, stable_id, tenant_event_id


class Envelope(TypedDict, total=False):
    """Holds what any command may say about itself, beside its content."""

    actor: str | Actor
    """Who does it, as `kind:id`; else the ledger's own actor."""
    occurred_at: datetime
    """When it happened by the producer's clock: an aware datetime."""
    causation_id: str
    correlation_id: str
    traceparent: str
    expected_version: int
    """The version that the stream must be at; otherwise VersionConflict, and no retry."""


class TimedEnvelope(Envelope, total=False):
    """Holds what a command may say about itself whose rules ask what time it is."""

    times_judged_by: Literal["producer"]
    """Says that it is history: whether it came in time is judged by its `occurred_at`. Needs the scope `import`."""


class Caller(NamedTuple):
    """Says who asks: whose threads they see, who acts when a command names nobody, the key under which they may ask again.

    An idempotency key is its caller's: the same key of another actor, or of the same actor on behalf of somebody else, is
    another key. Which API key was shown says nothing, so a new one for the same owner changes nothing.
    """

    tenant_id: str
    actor: Actor
    key: str | None = None
    """A command under a key that was carried out before is not carried out again: what was recorded then is the answer."""
    request: str | None = None
    """Digest of what is asked under the key: something else under the same key is refused."""
    key_of: Literal["caller", "server", "tenant"] = "caller"
    """Whose key it is. The server's own names are no client's keys, whatever those are; `tenant` is the rule of before, when
    all callers of a tenant shared their keys: nothing new is recorded by it."""

    scopes: frozenset[Scope] | None = None
    """What the API key that was shown is for; None where no key was asked for, as in the program's own process."""
    api_key: str | None = None
    """The id of the API key that was shown, if one was."""
    source: str | None = None
    """The import that gives the commands: it stands beside the events of each stream that these begin."""

    def may(self, scope: Scope) -> bool:
        """Return whether the caller is let do what a scope is for."""
        return self.scopes is None or scope in self.scopes or "admin" in self.scopes

    def require(self, scope: Scope) -> None:
        """Raise ScopeMissing unless the caller is let do what a scope is for."""
        if not self.may(scope):
            raise ScopeMissing(self.api_key or "", scope)

    def acting(self, envelope: Envelope) -> "Caller":
        """Return the same caller as whoever a command says that it is done by. Raises InvalidEvent, pydantic.ValidationError."""
        return self._replace(actor=Actor.parse(envelope["actor"])) if "actor" in envelope else self

    def new_id(self, prefix: str, number: int) -> str:
        """Return an id for what a command creates; of a client's command under a key always the same."""
        if self.key is None or self.key_of == "server":  # what the server makes has an id that nobody can take before it
            return new_id(prefix)
        if self.key_of == "tenant":
            return stable_id(prefix, self.tenant_id, self.key, str(number))
        return stable_id(prefix, *self.identity, self.key, str(number))

    def event_id(self, number: int) -> bytes:
        """Return the id of the command's next event.

        It is unique in the log, so that a key takes effect once, however long after.
        """
        if self.key is None:
            return new_event_id()
        if self.key_of == "tenant":
            return tenant_event_id(self.tenant_id, self.key, number)
        return stable_event_id(*self.identity, self.key, str(number))

    @property
    def identity(self) -> tuple[str, ...]:
        """Return whose keys these are."""
        if self.key_of != "caller":
            return self.key_of, self.tenant_id
        for_whom = () if self.actor.on_behalf_of is None else (self.actor.on_behalf_of,)
        return self.key_of, self.tenant_id, self.actor.kind, self.actor.id, *for_whom


def metadata_of(envelope: Envelope, caller: Caller) -> str:
    """Return the metadata that a command's events are stored with, as JSON. Raises pydantic.ValidationError."""
    said = tuple(envelope.items())
    try:
        return _written_once(said, caller.actor, caller.request)
    except TypeError:  # something that is given has no hash, and so is none of what a field takes
        return _written(said, caller.actor, caller.request)


def _written(said: tuple[tuple[str, Any], ...], actor: Actor, request: str | None) -> str:
    facts: dict[str, Any] = {key: value for key, value in said if key not in {"expected_version", "times_judged_by"}}
    facts["actor"] = Actor.parse(facts.get("actor", actor))
    facts["request_digest"] = request
    return Metadata(**facts).model_dump_json(exclude_none=True)


_written_once = lru_cache(maxsize=1024)(_written)
"""One after the other, commands are mostly of the same actor and the same moment."""
