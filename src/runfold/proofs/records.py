"""The lines of a bundle's files: how they are written, and how they are read from somebody who must not be trusted."""

import base64
import binascii
from typing import Any, NamedTuple

from runfold.proofs.container import BundleUnreadable
from runfold.proofs.leaf import canonical, values
from runfold.proofs.thread_map import MapEntry, MapProof

_MOST_COUNT = 1 << 63


class Absence(NamedTuple):
    """What a bundle shows that there is not: an event of a type in a thread, of one tool call where it is named."""

    thread: str
    type: str
    call: str | None = None


class Claims(NamedTuple):
    """What a bundle is to show."""

    threads: tuple[str, ...]
    """Those of which it holds everything."""
    log: bool = False
    """Whether it holds every leaf of the log."""
    absence: Absence | None = None


class Shown(NamedTuple):
    """An event as a bundle shows it; `payload` is None where it is left out, with its salt."""

    seq: int
    envelope: bytes
    envelope_salt: bytes
    payload: bytes | None = None
    payload_salt: bytes | None = None


class ThreadInMap(NamedTuple):
    """What the map of the checkpoint says of a thread, and its way up to the root."""

    thread: str
    events: int
    last_leaf: bytes
    proof: MapProof


def write_claims(claims: Claims) -> str:
    """What a bundle is to show → the text of its claims."""
    said: dict[str, Any] = {"log": claims.log, "threads": list(claims.threads), "v": 1}
    if claims.absence is not None:
        said["absence"] = {name: value for name, value in claims.absence._asdict().items() if value is not None}
    return canonical(said) + "\n"


def read_claims(text: str) -> Claims:
    """The text of claims → what a bundle is to show. Raises BundleUnreadable."""
    said = _object(text.removesuffix("\n").encode(), "claims.json")
    if said.get("v") != 1:
        raise BundleUnreadable("claims.json is of a version that this verifier does not know; take a newer one")
    threads, log, absent = said.get("threads"), said.get("log"), said.get("absence")
    if set(said) - {"v", "threads", "log", "absence"} or not isinstance(log, bool) or not isinstance(threads, list):
        raise BundleUnreadable("claims.json says what this verifier does not know")
    absence = None
    if absent is not None:
        if not isinstance(absent, dict) or set(absent) - set(Absence._fields) or not {"thread", "type"} <= set(absent):
            raise BundleUnreadable("claims.json does not say what is absent")
        absence = Absence(**{name: _text(value, "claims.json") for name, value in absent.items()})
    return Claims(tuple(_text(thread, "claims.json") for thread in threads), log, absence)


def write_event(shown: Shown) -> bytes:
    """An event → its line."""
    said = {"envelope": _coded(shown.envelope), "envelope_salt": shown.envelope_salt.hex(), "seq": str(shown.seq)}
    if shown.payload is not None and shown.payload_salt is not None:
        said |= {"payload": _coded(shown.payload), "payload_salt": shown.payload_salt.hex()}
    return canonical(said).encode() + b"\n"


def read_event(line: bytes) -> Shown:
    """A line → the event. Raises BundleUnreadable."""
    said = _object(line, "events.jsonl")
    if set(said) not in ({"envelope", "envelope_salt", "seq"}, {"envelope", "envelope_salt", "seq", "payload", "payload_salt"}):
        raise BundleUnreadable("events.jsonl has an event with fields that none has")
    payload = _raw(said["payload"], "events.jsonl") if "payload" in said else None
    salt = _hex(said["payload_salt"], "events.jsonl") if "payload" in said else None
    envelope, envelope_salt = _raw(said["envelope"], "events.jsonl"), _hex(said["envelope_salt"], "events.jsonl")
    return Shown(_count(said["seq"], "events.jsonl"), envelope, envelope_salt, payload, salt)


def write_proof(seq: int, hashes: list[bytes]) -> bytes:
    """A proof of inclusion → its line."""
    return canonical({"hashes": [_coded(hash_) for hash_ in hashes], "seq": str(seq)}).encode() + b"\n"


def read_proof(line: bytes) -> tuple[int, list[bytes]]:
    """A line → a proof of inclusion. Raises BundleUnreadable."""
    said = _object(line, "proofs.jsonl")
    hashes = said.get("hashes")
    if set(said) != {"hashes", "seq"} or not isinstance(hashes, list):
        raise BundleUnreadable("proofs.jsonl has a proof with fields that none has")
    return _count(said["seq"], "proofs.jsonl"), [_raw(hash_, "proofs.jsonl") for hash_ in hashes]


def write_thread(found: ThreadInMap) -> bytes:
    """What the map says of a thread → its line."""
    sides = [[str(bit), _coded(hash_)] for bit, hash_ in found.proof.sides]
    said = {"events": str(found.events), "last_leaf": _coded(found.last_leaf), "sides": sides, "thread": found.thread}
    return canonical(said).encode() + b"\n"


def read_thread(line: bytes) -> ThreadInMap:
    """A line → what the map says of a thread. Raises BundleUnreadable."""
    said, of = _object(line, "map.jsonl"), "map.jsonl"
    if set(said) != {"events", "last_leaf", "sides", "thread"} or not isinstance(said["sides"], list):
        raise BundleUnreadable("map.jsonl has a thread with fields that none has")
    sides = []
    for side in said["sides"]:
        if not isinstance(side, list) or len(side) != 2:
            raise BundleUnreadable("map.jsonl has a way that is none")
        sides.append((_count(side[0], of), _raw(side[1], of)))
    return ThreadInMap(_text(said["thread"], of), _count(said["events"], of), _raw(said["last_leaf"], of), MapProof(tuple(sides)))


def entry_of(found: ThreadInMap, key: bytes) -> MapEntry:
    """What the map holds by that under a key."""
    return MapEntry(key, found.events, found.last_leaf)


def _object(line: bytes, name: str) -> dict[str, Any]:
    try:
        said = values(line)
        is_canonical = canonical(said).encode() == line
    except (ValueError, ArithmeticError, RecursionError):
        said, is_canonical = None, False
    if not isinstance(said, dict) or not is_canonical:
        raise BundleUnreadable(f"{name} has a line that is not written as those of a bundle are")
    return said


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BundleUnreadable(f"{name} has a value of another kind than it should be")
    return value


def _count(value: Any, name: str) -> int:
    text = _text(value, name)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < _MOST_COUNT):
        raise BundleUnreadable(f"{name} has a number that is none")
    return int(text)


def _hex(value: Any, name: str) -> bytes:
    try:
        return bytes.fromhex(_text(value, name))
    except ValueError:
        raise BundleUnreadable(f"{name} has a salt that is none") from None


def _coded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _raw(value: Any, name: str) -> bytes:
    try:
        raw = base64.b64decode(_text(value, name), validate=True)
    except (binascii.Error, ValueError):
        raise BundleUnreadable(f"{name} has bytes that are no base64") from None
    if _coded(raw) != value:
        raise BundleUnreadable(f"{name} has bytes that are not written as base64 is")
    return raw
