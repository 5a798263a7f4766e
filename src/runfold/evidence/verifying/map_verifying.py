"""The map of threads made anew from the leaves, and held against what is stored of it and against checkpoints.

Leaves do not change, so what the map was at any size follows from them, whatever is sealed meanwhile. Threads are taken in the
order of their places in the map: of those before, only the hashes of its parts are kept, of which there is a fixed number.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.maintenance.checking import Finding
from runfold.proofs.leaf import Leaf
from runfold.proofs.note import NoteRefused, read_note
from runfold.proofs.thread_map import EMPTY_MAP, FIRST_BUCKET, MapEntry, bucket_of, changed_parts, hash_of, key_of
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

PAGE = 1000
NEXT_STEP = "the leaves are those that were sealed: compare what is stored of the thread with a backup of before"
_WHOLE = (1 << 63) - 1
_QUERIES = named_queries("runfold.evidence.verifying", "map_verifying.sql")


class SealedMap(NamedTuple):
    """A root of a map that was signed, of which size of the tree, and where."""

    size: int
    root: bytes
    where: str


class _Stored(NamedTuple):
    """What is stored of a thread, beside what its leaves are."""

    thread_id: str
    key: bytes
    events: int
    last_seq: int
    last_leaf: bytes
    leaves: int
    numbers: int

    def fault(self, last: tuple[int, MapEntry] | None) -> str | None:
        """Return how it differs from the leaves, of which the last is given."""
        if self.key != key_of(self.thread_id):
            return "it stands in another thread's place"
        if last is None:
            return f"{self.events} events are stored of it, and it has no leaf"
        if self.leaves != self.numbers or self.leaves != last[1].events:
            return f"its {self.leaves} leaves are not numbered from 1 to {self.leaves}"
        if self.events != self.leaves:
            return f"{self.events} events are stored of it, and it has {self.leaves} leaves"
        if (self.last_seq, self.last_leaf) != (last[0], last[1].last_leaf):
            return f"leaf {self.last_seq} is stored as its last, and that is leaf {last[0]}, or one of another hash"
        return None


@dataclass
class _Map:
    """The map as of a size, as far as it was made anew."""

    events: int = 0
    buckets: dict[int, bytes | None] = field(default_factory=dict)
    _bucket: list[MapEntry] = field(default_factory=list)

    def add(self, entry: MapEntry) -> None:
        """Take the next thread in, in the order of places."""
        if self._bucket and bucket_of(self._bucket[0].key) != bucket_of(entry.key):
            self._close()
        self._bucket.append(entry)
        self.events += entry.events

    def parts(self) -> dict[int, bytes]:
        """Return the hashes of all its parts."""
        if self._bucket:
            self._close()
        return changed_parts(self.buckets, lambda _: {})

    def _close(self) -> None:
        self.buckets[bucket_of(self._bucket[0].key)] = hash_of(self._bucket)
        self._bucket = []


class MapVerification:
    """One reading of a tree's leaves by threads. The leaves are known to be those of the tree."""

    def __init__(self, connection: Connection, tenant_id: str, generation: int, origin: str) -> None:
        self._connection = connection
        self._tree = {"tenant": tenant_id, "generation": generation}
        self._origin = origin
        self._maps: dict[int, _Map] = {}

    def findings(self, size: int, sealed: Iterable[SealedMap]) -> Iterator[Finding]:
        """Every thread of which something else is stored than follows from its leaves, and maps that are not of the leaves.

        `size` is that of the tree, and `sealed` holds what checkpoints say that are kept elsewhere.
        """
        with self._moment():
            stored = self._rows("stored map", [*self._tree.values()])
            parts = dict(self._rows("parts", [*self._tree.values()])) if stored else {}
        own = [SealedMap(at, _map_root(note), "the database") for at, note in stored]
        signed = {*sealed, *own}
        self._maps = {at: _Map() for at in {size, *(each.size for each in signed)}}
        is_right = True
        for fact, thread_id in self._threads():
            is_right = False
            yield self._finding(f"the map of {self._origin} is not that of its leaves: {thread_id}: {fact}", thread_id)
        if not is_right or self._maps[size].events != size:
            is_right = False
            for (thread_id,) in self._rows("threads without a place", [*self._tree.values()]):
                yield self._finding(f"{thread_id} has leaves in {self._origin}, and no place in its map", thread_id)
        if is_right:  # else it is known why the rest differs
            yield from self._of_roots(sorted(signed))
            for each in own:
                yield from self._of_parts(parts, self._maps[each.size].parts())

    @contextlib.contextmanager
    def _moment(self) -> Iterator[None]:
        """See what is stored at one moment, whatever is sealed meanwhile."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def _threads(self) -> Iterator[tuple[str, str]]:
        after = b""
        while True:
            with self._moment():
                page = [_Stored(*row) for row in self._rows("threads", {**self._tree, "after": after, "limit": PAGE})]
                last = self._last_leaves([each.thread_id for each in page])
            if not page:
                return
            after = page[-1].key
            for each in page:
                if (fault := each.fault(last.get((_WHOLE, each.thread_id)))) is not None:
                    yield fault, each.thread_id
                    continue
                for size, made in self._maps.items():
                    if (found := last.get((size, each.thread_id))) is not None:
                        made.add(found[1])

    def _last_leaves(self, threads: list[str]) -> dict[tuple[int, str], tuple[int, MapEntry]]:
        rows = self._rows("last leaves", {**self._tree, "threads": threads, "sizes": [*self._maps, _WHOLE]})
        return {(size, thread_id): _entry(thread_id, *leaf) for size, thread_id, *leaf in rows}

    def _of_roots(self, signed: Iterable[SealedMap]) -> Iterator[Finding]:
        for each in signed:
            if self._maps[each.size].parts().get(1, EMPTY_MAP) != each.root:
                what = f"the map that it seals with {each.size} events of {self._origin}"
                yield self._finding(f"{each.where}: {what} is not that of their leaves", None)

    def _of_parts(self, stored: Mapping[int, bytes], made: Mapping[int, bytes]) -> Iterator[Finding]:
        wrong = sorted(part for part in stored.keys() | made.keys() if stored.get(part) != made.get(part))
        if wrong:
            lowest = [part for part in wrong if part >= FIRST_BUCKET] or wrong
            what = f"{len(wrong)} stored parts of the map of {self._origin} are not those of its leaves"
            fact = f"{what}, the first of them part {lowest[0]}"
            yield self._finding(fact, None)

    def _finding(self, fact: str, thread_id: str | None) -> Finding:
        return Finding("altered", fact, NEXT_STEP, stream=thread_id, field="map")

    def _rows(self, query: str, parameters: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            return cursor.execute(_QUERIES[query], parameters, prepare=True).fetchall()


def _entry(thread_id: str, *leaf: Any) -> tuple[int, MapEntry]:
    """Return the number of a leaf in its tree, and what the map holds of a thread that ends with it."""
    *place, payload, envelope = leaf
    hash_ = Leaf._make((*place, payload.hex(), envelope.hex())).hash()
    return place[0], MapEntry(key_of(thread_id), place[1], hash_)


def _map_root(note: str) -> bytes:
    """Return the root of the map that a checkpoint says; of one that says none, what is no root."""
    try:
        return read_note(note).checkpoint().map_root or b""
    except NoteRefused:
        return b""
