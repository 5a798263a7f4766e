"""What a client was told of events when they were recorded, as it is kept: where each stands, its salt and its digests.

It is JSON, which whoever appended keeps where they like. Later it is held against the log, or, without Runfold, against the
leaves of a bundle. Whoever has the salt and guesses a short text can find out by the digest whether they guessed right: a receipt
is as confidential as its events.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from runfold.proofs.leaf import Leaf
from runfold.proofs.stored import StoredEvent

VERSION = 1
MOST_BYTES = 64 * 1024 * 1024
"""A longer text is no receipt."""
_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)
_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_MOST = 1 << 63
_SALT, _DIGEST = 32, 64
_IN_LEAF = ("position", "stream", "version", "type", "schema_version", "payload_sha256", "envelope_sha256")


class ReceiptUnreadable(ValueError):
    """A text that is no receipt of an append."""


@dataclass(frozen=True)
class ToldEvent:
    """One event of a receipt, as it was told."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True, "use_attribute_docstrings": True}
    """How it is read as a part of a request."""

    position: int
    tenant_id: str
    thread_id: str
    stream: str
    version: int
    type: str
    schema_version: int
    event_id: str
    """Its UUID, in the usual form."""
    recorded_at: str
    """The time of the store, RFC 3339 in UTC with six digits of the second."""
    salt: str
    """In hexadecimal, as the digests are."""
    payload_sha256: str
    envelope_sha256: str

    def differs_from(self, other: "ToldEvent") -> list[str]:
        """Return the fields in which another is not the same."""
        return [name for name in _FIELDS if getattr(self, name) != getattr(other, name)]

    def differs_from_leaf(self, leaf: Leaf) -> list[str]:
        """Return the fields in which a leaf is not the same."""
        return [name for name in _IN_LEAF if getattr(self, name) != getattr(leaf, name)]


_FIELDS = {each.name: each.type for each in fields(ToldEvent)}


def told(event: StoredEvent) -> ToldEvent:
    """Return what is told of an event: its place, and the digests of it."""
    salt = event.salt or b""
    payload, envelope = event.digests(salt)
    return ToldEvent(
        event.position,
        event.tenant_id,
        event.thread_id,
        event.stream,
        event.version,
        event.type,
        event.schema_version,
        event.event_id,
        _written(event.recorded_at),
        salt.hex(),
        payload,
        envelope,
    )


def write_receipt(events: Iterable[ToldEvent]) -> str:
    """What was told of some events → the text that a client keeps."""
    return json.dumps(as_json(events), indent=1, sort_keys=True) + "\n"


def as_json(events: Iterable[ToldEvent]) -> dict[str, Any]:
    """The same as an object."""
    return {"events": [asdict(each) for each in events], "v": VERSION}


def read_receipt(text: str | bytes) -> tuple[ToldEvent, ...]:
    """The text of a receipt → what was told of each event. Raises ReceiptUnreadable."""
    if len(text) > MOST_BYTES:
        raise ReceiptUnreadable("it is too long")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise ReceiptUnreadable("it is no JSON") from None
    return from_json(said)


def from_json(said: Any) -> tuple[ToldEvent, ...]:
    """An object → what was told of each event; what else stands in it is not looked at. Raises ReceiptUnreadable."""
    if not isinstance(said, Mapping) or not isinstance(said.get("events"), Sequence) or isinstance(said["events"], str):
        raise ReceiptUnreadable("it has no list of events")
    if said.get("v") != VERSION or isinstance(said["v"], bool):
        raise ReceiptUnreadable(f"it is of a version that is not known here ({str(said.get('v'))[:20]!r}); take a newer Runfold")
    if not said["events"]:
        raise ReceiptUnreadable("it tells of no event")
    return tuple(_event(each, number) for number, each in enumerate(said["events"]))


def _event(said: Any, number: int) -> ToldEvent:
    where = f"events.{number}"
    if not isinstance(said, Mapping) or set(said) != set(_FIELDS):
        raise ReceiptUnreadable(f"{where} has not the fields that an event of a receipt has")
    for name, kind in _FIELDS.items():
        value = said[name]
        if kind is int and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST):
            raise ReceiptUnreadable(f"{where}.{name} is no number that can be")
        if kind is str and not isinstance(value, str):
            raise ReceiptUnreadable(f"{where}.{name} is no text")
    for name, length in {"salt": _SALT, "payload_sha256": _DIGEST, "envelope_sha256": _DIGEST}.items():
        if len(said[name]) != length or not _HEX.fullmatch(said[name]):
            raise ReceiptUnreadable(f"{where}.{name} is not {length} hexadecimal digits")
    if not re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", said["event_id"]):
        raise ReceiptUnreadable(f"{where}.event_id is no UUID")
    return ToldEvent(**said)


def _written(moment: datetime) -> str:
    utc = _BEGAN + timedelta(microseconds=(moment - _BEGAN) // timedelta(microseconds=1))
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")
