"""Who may use the service: keys, made and revoked, and requests that were turned away; evidence handed over, and events lost.

A key's text is `rf_<id>_<secret>`. Of the secret only the SHA-256 is recorded: it is 256 random bits, which no dictionary
holds and nobody can try through, so a slow hash would only slow down every request.
"""

import hashlib
import hmac
import re
from datetime import datetime
from typing import Annotated, Literal, NamedTuple, NoReturn, assert_never, cast

from pydantic import Field

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.values import PATTERN_WORDS, Actor, Count, Digest, Id, Label, Text, Time
from runfold.errors import CommandRefused

Scope = Literal[
    "runs:write",
    "runs:read",
    "approvals:decide",
    "import",
    "events:read",
    "moments:create",
    "projections:rebuild",
    "webhooks:manage",
    "audit:read",
    "admin",
]
"""The scopes of a key. `admin` includes all."""

AUDITED = ("security.*",)
"""The event types that only `audit:read` shows, whatever other scopes a key has."""

Denied = Literal["no_key", "malformed", "unknown", "wrong_secret", "revoked", "expired", "scope_missing", "too_many"]
"""Why a request was refused. The caller is told less."""

KeyStatus = Literal["active", "revoked", "expired"]

_PART = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
_TEXT = re.compile(rf"rf_(key_{_PART})_([A-Za-z0-9_-]{{43}})")
_ID = f"^key_{_PART}$"
PATTERN_WORDS[_ID] = "is not a key id: key_ and up to 100 ASCII letters, digits, _ and -, the first a letter or digit"

KeyId = Annotated[str, Field(pattern=_ID)]


class Shown(NamedTuple):
    """A key's text, parsed: the id of the key, and the secret that proves it."""

    id: str
    secret: str


def key_text(id: str, secret: str) -> str:
    """Return the text that the owner of a key sends. `secret` is 32 random bytes in URL-safe base64."""
    return f"rf_{id}_{secret}"


def read_key(text: str) -> Shown | None:
    """Parse a key's text, or return None when it cannot be one."""
    found = _TEXT.fullmatch(text)
    return Shown(found[1], found[2]) if found else None


def secret_digest(secret: str) -> str:
    """Return the digest that is recorded of a secret."""
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


def key_stream(key_id: str) -> str:
    """Return the stream of a key."""
    return f"security_{key_id.removeprefix('key_')}"


def key_id_of(stream: str) -> str:
    """Return the key that a stream belongs to."""
    return f"key_{stream.removeprefix('security_')}"


class SecurityEvent(Event):
    """Something happened to a key, or to a request at the service, or events were handed over as evidence."""


class KeyCreated(SecurityEvent, type="security.key_created"):
    """A key was created. Its secret was shown once; only the secret's SHA-256 is kept."""

    undisclosed = {"secret_digest"}  # noqa: RUF012
    derived = frozenset({"secret_digest", "expires_at"})  # another one each time, the time because it is given as a duration

    owner: Actor
    scopes: tuple[Scope, ...] = Field(min_length=1)
    label: Label
    secret_digest: Digest | None = None
    """It is always recorded, and left out where the event is shown over HTTP."""
    expires_at: Time | None = None


class KeyRevoked(SecurityEvent, type="security.key_revoked"):
    """The key was revoked and gives no more access."""

    reason: Text | None = None


class AccessDenied(SecurityEvent, type="security.access_denied"):
    """A request was turned away. One stands for many: `left_out` more of the same came since the last that was recorded.

    `key_id` is there where the key is known, `client` is the address that asked, `route` the route as it is documented.
    Nothing that was sent is kept.
    """

    reason: Denied
    key_id: KeyId | None = None
    client: Label | None = None
    route: Label | None = None
    scope: Scope | None = None
    left_out: Count = 0


class LossAccepted(SecurityEvent, type="security.loss_accepted"):
    """Sealed events are lost, and somebody said why: what is left is sealed anew, in another tree.

    `origin` is the name of the new tree. `previous_checkpoint` is the last signed checkpoint of the one before: whoever holds
    what it covers can still show what was lost.
    """

    origin: Label
    previous_origin: Label
    previous_checkpoint: Text
    fact: Text
    """What the database does not go on from."""
    comment: Text
    """Why, in the words of who accepted it."""


MOST_THREADS_NAMED = 100
"""So many threads of a bundle are named by the event that tells of it."""


class BundleMade(SecurityEvent, type="security.bundle_made"):
    """A bundle of evidence was made: whoever has it can read these events.

    It is recorded before anybody has the bundle. `size` is how many events the log had at the checkpoint of the bundle,
    `manifest_digest` is of the bytes of its MANIFEST, which has the digest of each other file.
    """

    origin: Label
    """The name of the tree, as its checkpoints have it."""
    size: Count
    manifest_digest: Digest
    events: Count
    whole_log: bool = False
    threads: tuple[Id, ...] = Field(default=(), max_length=MOST_THREADS_NAMED)
    """The first of the threads that are in it whole."""
    thread_count: Count = 0
    absent_type: Label | None = None
    """The event type that it is to show absent."""
    read_model: Label | None = None
    """The read model whose rows it is to show to follow from the events."""
    row_key: tuple[Text, ...] = ()
    """What the keys of these rows are, or begin with."""
    seed: Text | None = None
    """What the sample was drawn by, where it is of one."""
    left_out: tuple[Label, ...] = ()
    """Types of the events whose payloads are left out."""


AnySecurityEvent = KeyCreated | KeyRevoked | AccessDenied | LossAccepted | BundleMade


class Security:
    """What a stream `security_…` holds: the life of one key, one denial, one loss, or one bundle. Empty at version 0."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self.key: KeyCreated | None = None
        self.revoked: KeyRevoked | None = None
        self.loss: LossAccepted | None = None
        self.bundle: BundleMade | None = None

    @property
    def exists(self) -> bool:
        """Tell whether anything was recorded here."""
        return self.version > 0

    def describe(self) -> str:
        """Describe the state in words."""
        if self.key is None:
            what = "a loss" if self.loss else "a bundle" if self.bundle else "a denial"
            return what if self.exists else "not created"
        return f"{'revoked' if self.revoked else 'active'} at version {self.version}"

    def refuse(self, command: str, rule: str) -> NoReturn:
        """Raise CommandRefused with this stream's state."""
        raise CommandRefused(command, self.id, rule, self.describe())

    def create(self, created: KeyCreated) -> Events:
        """Create the key. Repeating the same key under the same id records nothing."""
        if self.key is not None:
            raise AlreadyRecorded("key", key_id_of(self.id), self.id, 1, created)
        if self.exists:
            self.refuse("create_key", "the id is already used; use another")
        return [created]

    def revoke(self, reason: str | None = None) -> Events:
        """Revoke the key. Revoking it again changes nothing."""
        if self.key is None:
            self.refuse("revoke_key", "only a key can be revoked")
        return [] if self.revoked else [KeyRevoked(reason=reason)]

    def accept_loss(self, accepted: LossAccepted) -> Events:
        """Say why sealed events are lost. Repeating it in the same words records nothing."""
        if self.loss is not None:
            raise AlreadyRecorded("loss", self.id, self.id, 1, accepted)
        if self.exists:
            self.refuse("accept_loss", "the id is already used")
        return [accepted]

    def status(self, now: datetime) -> KeyStatus:
        """Return the status of a created key. Expiry needs no event: its time was recorded at creation."""
        return key_status(self.key, revoked=self.revoked is not None, now=now)

    def fault(self, secret: str, now: datetime) -> Denied | None:
        """Return why a secret gives no access, or None when it does. An unknown key takes as long to judge."""
        if not self.proves(secret):
            return "unknown" if self.key is None else "wrong_secret"
        status = self.status(now)
        return None if status == "active" else status

    def proves(self, secret: str) -> bool:
        """Return whether a secret is the key's, valid or not any more. An unknown key takes as long to judge."""
        kept = (self.key.secret_digest if self.key else None) or _NO_DIGEST
        return hmac.compare_digest(kept, secret_digest(secret)) and self.key is not None

    def allows(self, scope: Scope) -> bool:
        """Return whether the key has the scope."""
        return self.key is not None and (scope in self.key.scopes or "admin" in self.key.scopes)

    def evolve(self, event: Event) -> None:
        """Update the state by one event."""
        self.version += 1
        match cast("AnySecurityEvent", event):
            case KeyCreated() as created:
                self.key = created
            case KeyRevoked() as revoked:
                self.revoked = revoked
            case LossAccepted() as accepted:
                self.loss = accepted
            case BundleMade() as made:
                self.bundle = made
            case AccessDenied():
                pass
            case never:
                assert_never(never)


_NO_DIGEST = f"sha256:{'0' * 64}"


def key_status(key: KeyCreated | None, *, revoked: bool, now: datetime) -> KeyStatus:
    """Return the status of a key at a time."""
    if revoked:
        return "revoked"
    expires_at = key.expires_at if key else None
    return "expired" if expires_at is not None and now >= expires_at else "active"
