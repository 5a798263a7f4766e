"""A page of the log beside its leaves, and a tree that is verified page by page."""

import os
import random
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import pytest

from runfold.evidence.sealing.comparing import StoredTree
from runfold.evidence.verifying.pages import FEW, Page, Verified
from runfold.evidence.verifying.verified_tree import VerifiedTree
from runfold.proofs.leaf import Leaf, salts, written_envelope
from runfold.proofs.tiles import WIDTH, Growing, Tiles

CONTEXT, METADATA = '{"run_id": "run_1"}', '{"actor": {"id": "zoë", "kind": "human"}}'
MICROS = 1_795_923_000_123_456
AT = (MICROS - 946_684_800_000_000).to_bytes(8)
Row = tuple[Any, ...]


def row(position: int, tenant: str, seq: int, *, is_same: bool | None = True) -> Row:
    """An event beside its leaf, as they are read."""
    state, salt, event_id = f"payload {position}".encode(), position.to_bytes(2) * 8, os.urandom(16)
    payload_salt, envelope_salt = salts(salt)
    beside = written_envelope(event_id.hex(), tenant, "thread_1", MICROS, CONTEXT, METADATA, None)
    digests = sha256(payload_salt + state).digest(), sha256(envelope_salt + beside).digest()
    place = position, tenant, "thread_1", "run_1", seq, "message.added", 1
    return (*place, state, None, event_id, AT, CONTEXT, METADATA, salt, seq, seq, *digests, is_same, 0)


def hash_of(row: Row) -> bytes:
    """The hash of its leaf, as a leaf that was sealed has it."""
    position, _, _, stream, version, type_, schema_version = row[:7]
    seq, thread_seq, payload, envelope = row[14:18]
    return Leaf(seq, thread_seq, stream, version, type_, schema_version, position, payload.hex(), envelope.hex()).hash()


def page(rows: list[Row]) -> Page:
    """A page as it is read where the tree has the leaves of its rows, from the 250th of a tile on."""
    tenants = {row[1]: [hash_of(each) for each in rows if each[1] == row[1]] for row in rows}
    return Page(0, len(rows), rows, {tenant: (0, b"".join([bytes(32)] * 249 + hashes)) for tenant, hashes in tenants.items()})


TENANTS = ["acme", "zenith", "acme"] * 7
ROWS = [row(at, tenant, 250 + TENANTS[: at - 1].count(tenant)) for at, tenant in enumerate(TENANTS, 1)]


def test_the_leaves_of_a_page_are_made_from_its_events_for_each_tenant() -> None:
    parts = page(ROWS).parts()
    assert parts is not None
    for tenant, (first_seq, hashes) in parts.items():
        assert (first_seq, hashes) == (250, [hash_of(each) for each in ROWS if each[1] == tenant])


COLUMNS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "its thread": (2, lambda _: "thread_2"),
    "its stream": (3, lambda _: "run_2"),
    "its version": (4, lambda version: version + 1),
    "its type": (5, lambda _: "run.stuck"),
    "its shape": (6, lambda _: 2),
    "its payload": (7, lambda state: state + b" "),
    "the id of a key": (8, lambda _: "key_1"),
    "its id": (9, lambda _: bytes(16)),
    "its time": (10, lambda _: (MICROS - 946_684_800_000_001).to_bytes(8)),
    "its context": (11, lambda _: "{}"),
    "its metadata": (12, lambda metadata: metadata.replace("zoë", "zoe")),
    "its salt": (13, sha256),
    "no salt": (13, lambda _: None),
    "its number": (14, lambda seq: seq + 1),
    "its number in the thread": (15, lambda seq: seq + 1),
    "the digest of its payload": (16, lambda _: bytes(32)),
    "the digest of its envelope": (17, lambda _: bytes(32)),
    "not sealed": (18, lambda _: None),
    "sealed as another": (18, lambda _: False),
    "its position": (0, lambda position: position + 100),
}


@pytest.mark.parametrize("changed", COLUMNS)
def test_a_page_in_which_anything_is_not_as_it_was_sealed_is_not_taken_for_right(changed: str) -> None:
    column, change = COLUMNS[changed]
    value = change(ROWS[6][column])
    other = (*ROWS[6][:column], value.digest() if changed == "its salt" else value, *ROWS[6][column + 1 :])
    right = page(ROWS)
    assert right._replace(rows=[*ROWS[:6], other, *ROWS[7:]]).parts() is None
    assert right._replace(rows=[*ROWS[:6], *ROWS[7:]]).parts() is None, "one is gone"
    assert right._replace(rows=[*ROWS[:5], ROWS[6], ROWS[5], *ROWS[7:]]).parts() is None, "two are swapped"
    assert right._replace(tiles={**right.tiles, "acme": (0, bytes(64 * 1024))}).parts() is None, "the tree has others"


LONG = [row(at, tenant, 250 + (at - 1) // 2) for at, tenant in enumerate(["acme", "zenith"] * 200, 1)]
RIGHT = page(LONG)
HASHES = {each[0]: hash_of(each) for each in LONG}


def with_changed(places: Iterable[int]) -> Page:
    """A long page, some events of which have another payload."""
    rows = LONG.copy()
    for place in places:
        rows[place] = (*rows[place][:7], b"other", *rows[place][8:])
    return RIGHT._replace(rows=rows)


@pytest.mark.parametrize("seed", range(20))
def test_of_a_page_little_more_than_what_was_changed_is_not_taken_for_right(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  the same each time
    places = set(chance.sample(range(len(LONG)), chance.randint(0, 12)))
    found = with_changed(places).verified()
    assert [each.after for each in found] == [0, *(each.until for each in found[:-1])]
    assert (found[-1].until, sum(each.events for each in found)) == (len(LONG), len(LONG))
    wrong = [each for each in found if each.parts is None]
    assert all(any(each.after <= place < each.until for each in wrong) for place in places)
    assert sum(each.events for each in wrong) <= FEW * len(places)
    for each in found:
        for tenant, part in (each.parts or {}).items():
            own = [one for one in LONG[each.after : each.until] if one[1] == tenant]
            assert (part.first_seq, part.hashes) == (own[0][14], [HASHES[one[0]] for one in own])


def test_a_page_of_which_much_was_changed_is_looked_at_as_a_whole() -> None:
    assert with_changed(range(0, len(LONG), 18)).verified() == [Verified(0, len(LONG), len(LONG), None)]
    assert with_changed(range(len(LONG))).verified() == [Verified(0, len(LONG), len(LONG), None)]


def test_two_leaves_of_one_position_are_never_parted() -> None:
    for at in range(1, len(LONG) - 1, 37):
        rows = LONG.copy()
        rows[at] = (rows[at - 1][0], *rows[at][1:14], *rows[at][14:18], None, 0)
        (wrong,) = [each for each in RIGHT._replace(rows=rows).verified() if each.parts is None]
        assert wrong.after < rows[at][0] <= wrong.until


def test_each_tile_of_a_tree_is_compared_with_that_of_its_leaves() -> None:
    leaves = [sha256(str(number).encode()).digest() for number in range(66_100)]
    growing = Growing(0, lambda _level, _number: b"")
    growing.extend(leaves)
    stored = dict(growing.changed)

    def altered(change: tuple[int, int] | None) -> list[tuple[int, int]]:
        def read(level: int, number: int) -> bytes:
            tile = stored[level, number]
            return bytes(32) + tile[32:] if (level, number) == change else tile

        tree = VerifiedTree(StoredTree("acme", 1, "runfold/acme", len(leaves), None), Tiles(read), read, Growing(0, read), 0)
        for first in range(0, len(leaves), 2000):
            page = leaves[first : first + 2000]
            assert tree.goes_on_with(first + 1)
            tree.grow(page, first + len(page))
        tree.end()
        assert tree.growing is not None
        assert tree.growing.root() == growing.root()
        return tree.altered

    assert len(leaves) > WIDTH * WIDTH
    assert altered(None) == []
    for place in ((1, 0), (1, 1), (2, 0)):
        assert altered(place) == [place]
