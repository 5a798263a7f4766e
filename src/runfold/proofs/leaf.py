"""What is sealed of an event: its leaf in the log of its tenant, and its envelope, as exact bytes.

Both are JSON in ASCII with sorted keys and no spaces. Whoever verifies hashes the bytes as they were handed over and reads
them; nobody has to write them again. They do not hang on how a database prints JSON, times or numbers.

The two digests of a leaf are taken over salts of their own, which follow from the event's salt. So an envelope can be shown,
with its salt, while the payload is kept back, and nobody can find out the payload by trying.

This module needs Python alone, so that a verifier without Runfold uses the same file.
"""

import hmac
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256 as _sha256
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple

VERSION = 1
MOST_DEPTH = 200
"""JSON beside an event that is nested deeper is not sealed: how deep Python goes by itself is another matter in each version."""
SALT_BYTES = 16
_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OF_PAYLOAD, _OF_ENVELOPE = b"runfold payload v1", b"runfold envelope v1"
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
_REST = 64 - SALT_BYTES
_INNER_PAYLOAD, _INNER_ENVELOPE = b"\x36" * _REST + _OF_PAYLOAD, b"\x36" * _REST + _OF_ENVELOPE
_OUTER_REST = b"\x5c" * _REST


class Leaf(NamedTuple):
    """What is sealed of an event. `seq` counts the events of the tenant, `thread_seq` those of the thread, from 1."""

    seq: int
    thread_seq: int
    stream: str
    version: int
    type: str
    schema_version: int
    position: int
    payload_sha256: str
    envelope_sha256: str

    def encoded(self) -> bytes:
        """Return the exact bytes that are hashed into the tree."""
        return entry(*self)

    def hash(self) -> bytes:
        """Return the hash by which the leaf stands in the tree, as RFC 6962 has it."""
        return _sha256(b"\0" + self.encoded()).digest()


class NotALeaf(ValueError):
    """These bytes are not what a leaf is written as."""


def entry(
    seq: int,
    thread_seq: int,
    stream: str,
    version: int,
    type_: str,
    schema_version: int,
    position: int,
    payload_sha256: str,
    envelope_sha256: str,
) -> bytes:
    """The exact bytes of a leaf, of which the two digests are in hexadecimal."""
    return (
        f'{{"envelope_sha256":"{envelope_sha256}","payload_sha256":"{payload_sha256}",'
        f'"position":"{position}","schema_version":"{schema_version}","seq":"{seq}",'
        f'"stream":{quoted(stream)},"thread_seq":"{thread_seq}","type":{quoted(type_)},'
        f'"v":{VERSION},"version":"{version}"}}'
    ).encode("ascii")


def salts(salt: bytes) -> tuple[bytes, bytes]:
    """The salts of an event's payload and of its envelope, from its own: HMAC with SHA-256 under it. Neither tells the other.

    Under a salt of the length that all have, HMAC is written out (RFC 2104), which takes half the time.
    """
    if len(salt) != SALT_BYTES:
        return hmac.digest(salt, _OF_PAYLOAD, "sha256"), hmac.digest(salt, _OF_ENVELOPE, "sha256")
    inner, outer = salt.translate(_INNER), salt.translate(_OUTER) + _OUTER_REST
    payload_salt = _sha256(outer + _sha256(inner + _INNER_PAYLOAD).digest()).digest()
    return payload_salt, _sha256(outer + _sha256(inner + _INNER_ENVELOPE).digest()).digest()


def payload_digest(payload_salt: bytes, state: bytes) -> str:
    """The digest of a payload as it is stored, in hexadecimal."""
    return _sha256(payload_salt + state).hexdigest()


def envelope_digest(envelope_salt: bytes, envelope: bytes) -> str:
    """The digest of an envelope, in hexadecimal."""
    return _sha256(envelope_salt + envelope).hexdigest()


def envelope(
    *,
    event_id: str,
    tenant_id: str,
    thread_id: str,
    recorded_at: datetime,
    context: str,
    metadata: str,
    key_id: str | None = None,
) -> bytes:
    """All that stands beside a payload and is not in the leaf itself, as exact bytes.

    `event_id` is a UUID, in its usual form or another; `context` and `metadata` are JSON, printed by whomever. The actor is
    in the metadata.
    """
    micros = (recorded_at - _BEGAN) // _MICROSECOND
    return written_envelope(event_id.replace("-", "").lower(), tenant_id, thread_id, micros, context, metadata, key_id)


def written_envelope(
    event_id: str, tenant_id: str, thread_id: str, micros: int, context: str, metadata: str, key_id: str | None
) -> bytes:
    """The same of an id in 32 hexadecimal digits and of a time in microseconds since 1970, for who has many to write."""
    kept = "null" if key_id is None else quoted(key_id)
    return (
        f'{{"context":{_canonical_text(context)},"event_id":"{event_id}","key_id":{kept},'
        f'"metadata":{_canonical_text(metadata)},"recorded_at":"{micros}","tenant_id":{quoted(tenant_id)},'
        f'"thread_id":{quoted(thread_id)},"v":{VERSION}}}'
    ).encode("ascii")


def canonical(value: Any) -> str:
    """JSON values → ASCII text with sorted keys and no spaces, and each number in its shortest plain form."""
    match value:
        case str():
            return str(quoted(value))
        case None | bool():
            return "null" if value is None else "true" if value else "false"
        case Mapping():
            return f"{{{','.join(f'{quoted(key)}:{canonical(member)}' for key, member in sorted(value.items()))}}}"
        case list() | tuple():
            return f"[{','.join(map(canonical, value))}]"
        case int() | Decimal():
            return _number(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no exact form; read JSON with `values`")


def values(text: str | bytes) -> Any:
    """JSON text → values whose numbers are kept exactly. Raises ValueError for what is no JSON."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refused)


def canonical_values(text: str | bytes) -> Any:
    """JSON text as `canonical` writes numbers → its values. Raises ValueError for a power of ten, which it never writes.

    A few characters of such a power stand for as many digits as somebody likes, and would take as much memory.
    """
    return json.loads(text, parse_float=_written_out, parse_int=Decimal, parse_constant=_refused)


def decoded(entry: bytes) -> Leaf:
    """The bytes of a leaf → what they say. Raises NotALeaf for any that `Leaf.encoded` would not have written."""
    try:
        said = values(entry.decode("ascii"))
        leaf = Leaf(**{name: _kinds[name](said[name]) for name in Leaf._fields})
        is_written_so = leaf.encoded() == entry
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise NotALeaf(f"it cannot be read ({type(error).__name__})") from None
    if not is_written_so:
        raise NotALeaf("it is not written as leaves are")
    return leaf


def _whole(text: Any) -> int:
    if not isinstance(text, str) or not text.isdecimal() or len(text) > 19:
        raise ValueError("no number")
    return int(text)


def _text(text: Any) -> str:
    if not isinstance(text, str) or has_half(text):
        raise TypeError("no text")
    return text


def has_half(text: str) -> bool:
    """Return whether a text holds half a character, which JSON can name and nothing can be written with."""
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


_kinds: dict[str, Any] = {name: _whole if kind is int else _text for name, kind in Leaf.__annotations__.items()}


def _number(number: int | Decimal) -> str:
    text = f"{Decimal(number):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _written_out(text: str) -> Decimal:
    if "e" in text.lower():
        raise ValueError("a number is not written out")
    return Decimal(text)


def _inexact(text: str) -> Any:
    raise ValueError(f"{text} is not whole: a float would not keep each of its digits")


@lru_cache(maxsize=8192)
def _canonical_text(text: str) -> str:
    """JSON text → the same as `canonical` writes it, remembered: most events of a run have the same actor and agent.

    JSON without fractions is written by Python's own encoder, several times as fast. Raises RecursionError past MOST_DEPTH.
    """
    try:
        read, is_whole = json.loads(text, parse_float=_inexact, parse_constant=_refused), True
    except ValueError:
        read, is_whole = values(text), False
    if text.count("[") + text.count("{") > MOST_DEPTH:
        _require_shallow(read)
    return json.dumps(read, ensure_ascii=True, sort_keys=True, separators=(",", ":")) if is_whole else canonical(read)


def _require_shallow(value: Any) -> None:
    layer = _containers([value])
    for _ in range(MOST_DEPTH):
        layer = _containers(member for each in layer for member in (each.values() if isinstance(each, dict) else each))
    if layer:
        raise RecursionError(f"it is nested more than {MOST_DEPTH} deep")


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]
