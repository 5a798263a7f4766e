"""The stored map of threads: made up to the last leaf of a tree, and read for proofs.

Whoever reads it does so in one snapshot of the database, and as of the last checkpoint, where that has a map.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from runfold.proofs.thread_map import EMPTY_MAP, MapEntry, ReadParts, bucket_of, changed_parts, hash_of, keys_in
from runfold.store.queries import named_queries

_QUERIES = named_queries("runfold.evidence.sealing", "sealing.sql")
_AT_ONCE = 1000
"""Buckets whose threads are read at once."""


def make_map(cursor: Any, tenant_id: str, generation: int, after: int) -> bytes:
    """Take in the threads that have leaves after one, and return the root. Memory is bounded by the number of buckets."""
    whose = [tenant_id, generation]
    buckets = {bucket_of(key) for (key,) in cursor.execute(_QUERIES["changed threads"], [*whose, after])}
    hashes: dict[int, bytes | None] = {}
    wanted = sorted(buckets)
    for begin in range(0, len(wanted), _AT_ONCE):
        found = entries_in(cursor, tenant_id, generation, wanted[begin : begin + _AT_ONCE])
        hashes |= {bucket: hash_of(found.get(bucket, [])) for bucket in wanted[begin : begin + _AT_ONCE]}
    parts = changed_parts(hashes, part_reader(cursor, tenant_id, generation))
    if parts:
        cursor.execute(_QUERIES["store parts"], [*whose, list(parts), list(parts.values())])
    cursor.execute(_QUERIES["mapped"], whose)
    return parts.get(1, EMPTY_MAP)


def part_reader(cursor: Any, tenant_id: str, generation: int) -> ReadParts:
    """Read stored parts of a map."""

    def read(numbers: Sequence[int]) -> Mapping[int, bytes]:
        return dict(cursor.execute(_QUERIES["parts"], [tenant_id, generation, list(numbers)]).fetchall())

    return read


def entries_in(cursor: Any, tenant_id: str, generation: int, buckets: Sequence[int]) -> dict[int, list[MapEntry]]:
    """What the map holds of the threads of some buckets."""
    firsts, lasts = zip(*map(keys_in, buckets), strict=True) if buckets else ((), ())
    found: dict[int, list[MapEntry]] = {}
    for row in cursor.execute(_QUERIES["entries"], [list(firsts), list(lasts), tenant_id, generation]):
        found.setdefault(bucket_of(row[0]), []).append(MapEntry(*row))
    return found
