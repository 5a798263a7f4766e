"""The map of threads: one root for what it holds, whoever builds it, and each key in one place under it."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold.proofs.thread_map import (
    EMPTY_MAP,
    FIRST_BUCKET,
    MapEntry,
    MapProof,
    bucket_of,
    changed_parts,
    hash_of,
    key_of,
    keys_in,
    prove,
    prove_among,
    root_of,
    verify_absent,
    verify_present,
)
from runfold.proofs.tree import ProofFailed


def entry(name: str, events: int = 1) -> MapEntry:
    return MapEntry(key_of(name), events, hashlib.sha256(f"{name} {events}".encode()).digest())


class Stored:
    """A map as a database keeps it: by buckets, and the parts above them."""

    def __init__(self) -> None:
        self.entries: dict[bytes, MapEntry] = {}
        self.parts: dict[int, bytes] = {}

    def put(self, *entries: MapEntry) -> None:
        self.entries |= {each.key: each for each in entries}
        buckets = {bucket_of(each.key) for each in entries}
        self.parts |= changed_parts({bucket: hash_of(self.within(bucket)) for bucket in buckets}, self.read)

    def within(self, bucket: int) -> list[MapEntry]:
        first, last = keys_in(bucket)
        return [each for each in self.entries.values() if first <= each.key <= last]

    def read(self, numbers: object) -> dict[int, bytes]:
        return {number: self.parts[number] for number in numbers if number in self.parts}  # type: ignore[attr-defined]

    def prove(self, key: bytes) -> MapProof:
        return prove(key, self.read, self.within)


@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=8), max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_map_stored_in_parts_has_the_root_and_the_proofs_of_one_made_at_once(
    turns: list[list[tuple[int, int]]],
) -> None:
    stored = Stored()
    for turn in turns:
        stored.put(*(entry(str(thread), events) for thread, events in turn))
    root = root_of(stored.entries.values())
    assert stored.parts.get(1, EMPTY_MAP) == root
    for number in range(42):
        key = key_of(str(number))
        proof = stored.prove(key)
        assert proof == prove_among(key, stored.entries.values())
        if key in stored.entries:
            verify_present(stored.entries[key], proof, root)
            with pytest.raises(ProofFailed):
                verify_absent(key, proof, root)
            with pytest.raises(ProofFailed):
                verify_present(stored.entries[key]._replace(events=99), proof, root)
        else:
            verify_absent(key, proof, root)
            with pytest.raises(ProofFailed):
                verify_present(entry(str(number)), proof._replace(other=None), root)


def test_a_way_that_leads_to_somebody_elses_place_proves_nothing() -> None:
    entries = [entry(str(number)) for number in range(30)]
    root = root_of(entries)
    absent = key_of("absent")
    proof = prove_among(absent, entries)
    assert proof.other is not None
    verify_absent(absent, proof, root)
    for each in entries:
        if each != proof.other:
            with pytest.raises(ProofFailed):
                verify_absent(absent, prove_among(each.key, entries)._replace(other=each), root)
    for sides in (proof.sides[1:], proof.sides[::-1], (*proof.sides, proof.sides[-1])):
        with pytest.raises(ProofFailed):
            verify_absent(absent, MapProof(sides, proof.other), root)


def test_an_empty_map_holds_nobody_and_another_is_not_empty() -> None:
    verify_absent(key_of("a"), MapProof(()), EMPTY_MAP)
    with pytest.raises(ProofFailed):
        verify_absent(key_of("a"), MapProof(()), root_of([entry("b")]))


def test_keys_that_share_all_bits_of_a_bucket_part_below_it() -> None:
    shared = b"\0" * 31
    low, high = MapEntry(shared + b"\0", 1, shared + b"l"), MapEntry(shared + b"\1", 2, shared + b"h")
    stored = Stored()
    stored.put(low, high)
    assert bucket_of(low.key) == bucket_of(high.key) == FIRST_BUCKET
    assert [bit for bit, _ in stored.prove(high.key).sides] == [255]
    verify_present(high, stored.prove(high.key), stored.parts[1])
