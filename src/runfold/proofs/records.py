"""The lines of a bundle's files: how they are written, and how they are read from somebody who must not be trusted."""

from typing import NamedTuple

from runfold.proofs.container import BundleUnreadable
from runfold.proofs.fields import coded, count_in, hex_in, object_in, raw_in, text_in
from runfold.proofs.leaf import canonical
from runfold.proofs.thread_map import MapEntry, MapProof


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


def write_event(shown: Shown) -> bytes:
    """An event → its line."""
    said = {"envelope": coded(shown.envelope), "envelope_salt": shown.envelope_salt.hex(), "seq": str(shown.seq)}
    if shown.payload is not None and shown.payload_salt is not None:
        said |= {"payload": coded(shown.payload), "payload_salt": shown.payload_salt.hex()}
    return canonical(said).encode() + b"\n"


def read_event(line: bytes) -> Shown:
    """A line → the event. Raises BundleUnreadable."""
    said = object_in(line, "events.jsonl")
    if set(said) not in ({"envelope", "envelope_salt", "seq"}, {"envelope", "envelope_salt", "seq", "payload", "payload_salt"}):
        raise BundleUnreadable("events.jsonl has an event with fields that none has")
    payload = raw_in(said["payload"], "events.jsonl") if "payload" in said else None
    salt = hex_in(said["payload_salt"], "events.jsonl") if "payload" in said else None
    envelope, envelope_salt = raw_in(said["envelope"], "events.jsonl"), hex_in(said["envelope_salt"], "events.jsonl")
    return Shown(count_in(said["seq"], "events.jsonl"), envelope, envelope_salt, payload, salt)


def write_proof(seq: int, hashes: list[bytes]) -> bytes:
    """A proof of inclusion → its line."""
    return canonical({"hashes": [coded(hash_) for hash_ in hashes], "seq": str(seq)}).encode() + b"\n"


def read_proof(line: bytes) -> tuple[int, list[bytes]]:
    """A line → a proof of inclusion. Raises BundleUnreadable."""
    said = object_in(line, "proofs.jsonl")
    hashes = said.get("hashes")
    if set(said) != {"hashes", "seq"} or not isinstance(hashes, list):
        raise BundleUnreadable("proofs.jsonl has a proof with fields that none has")
    return count_in(said["seq"], "proofs.jsonl"), [raw_in(hash_, "proofs.jsonl") for hash_ in hashes]


def write_thread(found: ThreadInMap) -> bytes:
    """What the map says of a thread → its line."""
    sides = [[str(bit), coded(hash_)] for bit, hash_ in found.proof.sides]
    said = {"events": str(found.events), "last_leaf": coded(found.last_leaf), "sides": sides, "thread": found.thread}
    return canonical(said).encode() + b"\n"


def read_thread(line: bytes) -> ThreadInMap:
    """A line → what the map says of a thread. Raises BundleUnreadable."""
    said, of = object_in(line, "map.jsonl"), "map.jsonl"
    if set(said) != {"events", "last_leaf", "sides", "thread"} or not isinstance(said["sides"], list):
        raise BundleUnreadable("map.jsonl has a thread with fields that none has")
    sides = []
    for side in said["sides"]:
        if not isinstance(side, list) or len(side) != 2:
            raise BundleUnreadable("map.jsonl has a way that is none")
        sides.append((count_in(side[0], of), raw_in(side[1], of)))
    return ThreadInMap(
        text_in(said["thread"], of), count_in(said["events"], of), raw_in(said["last_leaf"], of), MapProof(tuple(sides))
    )


def entry_of(found: ThreadInMap, key: bytes) -> MapEntry:
    """What the map holds by that under a key."""
    return MapEntry(key, found.events, found.last_leaf)
