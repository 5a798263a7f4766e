"""Keys of the service: made for somebody, listed, revoked.

A key belongs to no thread. Its stream's own id stands where other events have their thread's, so that all that goes thread by
thread (rebuilds, exports, indexes) meets it as a thread of its own, and nobody who asks for a real thread ever does.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.context import Context
from runfold.domain.durations import later, positive_duration
from runfold.domain.event import refusal
from runfold.domain.recorded import Recorded
from runfold.domain.security import (
    KeyCreated,
    KeyId,
    KeyRevoked,
    KeyStatus,
    Scope,
    Security,
    key_id_of,
    key_status,
    key_stream,
    key_text,
    secret_digest,
)
from runfold.domain.typed_actor import typed_actor
from runfold.domain.values import Actor
from runfold.errors import InvalidEvent, KeyNotFound
from runfold.handles.calling.arguments import checked
from runfold.handles.calling.local import CallerExecutor
from runfold.history.views import View
from runfold.store.reading.reader import LATEST, Reader


@dataclass(frozen=True)
class NewKey:
    """Holds a key that was made, and its text, which nobody can be shown again."""

    id: str
    text: str | None = field(repr=False)
    """What its owner sends; None where an earlier request made the key, for only that one was given it."""
    receipt: Receipt


class KeyView(View):
    """Shows a key as it stands, and nothing of what is kept of its secret."""

    id: str
    label: str
    owner: str
    """Who acts where it is used, as kind:id."""
    scopes: tuple[Scope, ...]
    status: KeyStatus
    created_at: datetime
    created_by: str
    created_position: int
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    reason: str | None = None
    """Why it was revoked."""


class Keyring:
    """Makes, lists and revokes the keys of one tenant, as one caller may."""

    def __init__(self, executor: CallerExecutor) -> None:
        self._executor = executor

    def create(
        self,
        *,
        owner: str | Actor,
        scopes: Iterable[Scope],
        label: str,
        expires_in: str | timedelta | None,
        key_id: str | None,
        envelope: Envelope,
    ) -> NewKey:
        """Make a key, as `TenantLedger.create_key` says. Raises InvalidEvent, DuplicateWithDifferentContent."""
        made_id = self._executor.new_id("key") if key_id is None else checked(KeyId, "key_id", key_id)
        secret, stream = secrets.token_urlsafe(32), key_stream(made_id)
        created = _created(owner, scopes, label, self._expiry(expires_in), secret)

        def decide(session: Session) -> None:
            key = session.new(Security, stream)
            session.begin(key, key.create(created), stream, Context())

        receipt: Receipt = self._executor.execute_plan(Plan(stream, decide, itself, envelope))
        first = next(self._executor.reader.stream(receipt.stream, up_to_version=1), None)
        is_ours = first is not None and getattr(first.event, "secret_digest", None) == created.secret_digest
        return NewKey(key_id_of(receipt.stream), key_text(made_id, secret) if is_ours else None, receipt)

    def revoke(self, id: str, reason: str | None, envelope: Envelope) -> Receipt:
        """End a key, as `TenantLedger.revoke_key` says. Raises KeyNotFound."""
        if not _is_key_id(id):
            raise KeyNotFound(id)

        def decide(session: Session) -> None:
            key = session.key(id)
            session.expect(key, envelope.get("expected_version"))
            session.record(key, key.revoke(reason))

        receipt: Receipt = self._executor.execute_plan(Plan(key_stream(id), decide, itself, envelope))
        self._executor.commands.revoked_keys.add((self._executor.tenant_id, key_stream(id)))
        return receipt

    def all(self, up_to: int = LATEST, moment: datetime | None = None) -> list[KeyView]:
        """Return all keys as of a position, those made first before the others; revoked ones too, and expired by a moment."""
        return key_views(self._executor.reader, self._executor.tenant_id, moment or self._executor.clock(), up_to)

    def _expiry(self, expires_in: str | timedelta | None) -> datetime | None:
        if expires_in is None:
            return None
        return later("expires_in", self._executor.clock(), positive_duration("expires_in", expires_in))


def key_views(reader: Reader, tenant_id: str | None, now: datetime, up_to: int = LATEST) -> list[KeyView]:
    """Return the keys of a tenant, or of all of them, as they stood at a position; `now` says which have expired."""
    views: dict[str, dict[str, Any]] = {}
    created: dict[str, KeyCreated] = {}
    for recorded in reader.keys(tenant_id, up_to):
        match recorded.event:
            case KeyCreated() as event:
                created[recorded.stream], views[recorded.stream] = event, _made(event, recorded)
            case KeyRevoked() as event:
                views[recorded.stream] |= {
                    "revoked_at": recorded.recorded_at,
                    "revoked_by": str(recorded.metadata.actor),
                    "reason": event.reason,
                }
    return [
        KeyView(**view, status=key_status(created[stream], revoked="revoked_at" in view, now=now))
        for stream, view in views.items()
    ]


def _created(owner: str | Actor, scopes: Iterable[Scope], label: str, expires_at: datetime | None, secret: str) -> KeyCreated:
    try:
        who = typed_actor(owner)
    except InvalidEvent as error:
        raise InvalidEvent("owner", error.reason) from None
    given: set[Any] = {scopes} if isinstance(scopes, str) else set(scopes)
    try:
        return KeyCreated(
            owner=who, scopes=tuple(sorted(given)), label=label, secret_digest=secret_digest(secret), expires_at=expires_at
        )
    except ValidationError as error:
        raise refusal(error) from None


def _is_key_id(id: str) -> bool:
    try:
        checked(KeyId, "key_id", id)
    except InvalidEvent:
        return False
    return True


def _made(event: KeyCreated, recorded: Recorded) -> dict[str, Any]:
    return {
        "id": key_id_of(recorded.stream),
        "label": event.label,
        "owner": str(event.owner),
        "scopes": event.scopes,
        "created_at": recorded.recorded_at,
        "created_by": str(recorded.metadata.actor),
        "created_position": recorded.position,
        "expires_at": event.expires_at,
    }
