"""The log read beside its leaves, in pages; and of a page, whether all in it is as it was sealed.

That is found out for a whole page at once: each leaf is made anew, from the event as it stands in the log. Where anything is not
as it should be, the page is halved until it is known which few events that is about. What it is, is found out event by event.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.proofs.leaf import entry, salts, written_envelope
from runfold.proofs.tiles import WIDTH
from runfold.proofs.tree import HASH_BYTES
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

QUERIES = named_queries("runfold.evidence.verifying", "verifying.sql")

PAGE = 2000
MOST_BYTES = 16 * 1024 * 1024
"""Payloads that a page holds, unless a single event has more."""
FEW = 8
"""Events that are not halved any more: it takes no longer to look at each of them."""
MOST_WRONG = 20
"""Stretches of a page that are not right; of one with more of them, each event is looked at."""
_SINCE_2000 = 946_684_800_000_000
"""Microseconds from 1970 to where PostgreSQL counts from."""
_TENANT, _STATE, _SEQ, _BEFORE = 1, 7, 14, 19

Ask = Callable[[str, Any], list[tuple[Any, ...]]]
"""Ask a query by its name."""


class Part(NamedTuple):
    """A tenant's leaves that follow one another, made from the events."""

    first_seq: int
    hashes: list[bytes]


class Page(NamedTuple):
    """What stands after a position, up to another."""

    after: int
    until: int
    rows: list[tuple[Any, ...]]
    """Events beside their leaves."""
    tiles: Mapping[str, tuple[int, bytes]]
    """By tenant the number of the first tile that has the leaves, and the stored hashes from there on."""

    def verified(self) -> "list[Verified]":
        """Return what is found, in stretches that follow one another: one, where all is as it was sealed."""
        found: list[Verified] = []
        for is_right, stretches in groupby(self._halved(), key=lambda each: each.parts is not None):
            alike = list(stretches)
            found += alike if is_right else [_joined(alike)]
        return found if sum(each.parts is None for each in found) <= MOST_WRONG else [_joined(found)]

    def _halved(self) -> "Iterator[Verified]":
        parts, half = self.parts(), len(self.rows) // 2
        while 0 < half < len(self.rows) and self.rows[half][0] == self.rows[half - 1][0]:  # two leaves of one position
            half += 1
        if parts is not None or len(self.rows) <= FEW or half == len(self.rows):
            yield Verified(self.after, self.until, len(self.rows), parts)
            return
        middle = self.rows[half - 1][0]
        yield from Page(self.after, middle, self.rows[:half], self.tiles)._halved()
        yield from Page(middle, self.until, self.rows[half:], self.tiles)._halved()

    def parts(self) -> dict[str, Part] | None:
        """Return the leaves by tenant, each made from its event; None where something is not as it was sealed."""
        try:
            made = self._made()
        except RecursionError:  # nobody has recorded JSON as deep as that
            return None
        is_right = made is not None and all(self._is_in_tree(tenant_id, part) for tenant_id, part in made.items())
        return made if is_right else None

    def _made(self) -> dict[str, Part] | None:
        made: dict[str, Part] = {}
        for (
            position,
            tenant_id,
            thread_id,
            stream,
            version,
            type_,
            schema_version,
            state,
            key_id,
            event_id,
            recorded_at,
            context,
            metadata,
            salt,
            seq,
            thread_seq,
            payload,
            envelope,
            is_same,
            _,
        ) in self.rows:
            if not is_same or salt is None:
                return None
            payload_salt, envelope_salt = salts(salt)
            micros = int.from_bytes(recorded_at, signed=True) + _SINCE_2000
            beside = written_envelope(event_id.hex(), tenant_id, thread_id, micros, context, metadata, key_id)
            if sha256(payload_salt + state).digest() != payload or sha256(envelope_salt + beside).digest() != envelope:
                return None
            if tenant_id not in made:
                made[tenant_id] = Part(seq, [])
            first_seq, hashes = made[tenant_id]
            if seq != first_seq + len(hashes):
                return None
            leaf = entry(seq, thread_seq, stream, version, type_, schema_version, position, payload.hex(), envelope.hex())
            hashes.append(sha256(b"\0" + leaf).digest())
        return made

    def _is_in_tree(self, tenant_id: str, part: Part) -> bool:
        """Whether the tree has these leaves where they say that they are."""
        first_tile, stored = self.tiles[tenant_id]
        begin = (part.first_seq - 1 - first_tile * WIDTH) * HASH_BYTES
        hashes = b"".join(part.hashes)
        return begin >= 0 and stored[begin : begin + len(hashes)] == hashes


class Verified(NamedTuple):
    """What was found of what stands after a position, up to another."""

    after: int
    until: int
    events: int
    parts: Mapping[str, Part] | None
    """The leaves by tenant, which are those of the tree; None where something is not as it was sealed."""


def _joined(found: list[Verified]) -> Verified:
    return Verified(found[0].after, found[-1].until, sum(each.events for each in found), None)


def asking(connection: Connection) -> Ask:
    """Ask over a connection."""

    def ask(query: str, parameters: Any) -> list[tuple[Any, ...]]:
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            return cursor.execute(QUERIES[query], parameters, prepare=True).fetchall()

    return ask


def verified_pages(ask: Ask, generations: Mapping[str, int], after: int, up_to: int) -> Iterator[Verified]:
    """Yield what is found after a position and up to another, the next page read while one is looked at."""
    with ThreadPoolExecutor(1, thread_name_prefix="runfold-verifying") as thread:
        ahead = thread.submit(_page, ask, generations, after, up_to) if after < up_to else None
        while ahead is not None:
            page = ahead.result()
            ahead = thread.submit(_page, ask, generations, page.until, up_to) if page.until < up_to else None
            yield from page.verified()


def _page(ask: Ask, generations: Mapping[str, int], after: int, up_to: int) -> Page:
    until = min(after + PAGE, up_to)
    rows = ask("page", {"after": after, "until": until, "bytes": MOST_BYTES})
    rows.sort(key=itemgetter(0))
    last = next((row for row in reversed(rows) if row[_STATE] is not None), None)
    if last is not None and last[_BEFORE] + len(last[_STATE]) >= MOST_BYTES:
        until = last[0]
        rows = [row for row in rows if row[0] <= until]
    ends = {row[_TENANT]: row[_SEQ] for row in rows}
    begins = {row[_TENANT]: row[_SEQ] for row in reversed(rows)}
    tiles: dict[str, tuple[int, bytes]] = {}
    for tenant_id, first in begins.items():
        if first is None or ends[tenant_id] is None or tenant_id not in generations:
            tiles[tenant_id] = 0, b""
            continue
        numbers = (first - 1) // WIDTH, (ends[tenant_id] - 1) // WIDTH
        found: dict[int, bytes] = dict(ask("tiles", [tenant_id, generations[tenant_id], *numbers]))
        hashes = (found.get(number, b"").ljust(WIDTH * HASH_BYTES) for number in range(numbers[0], numbers[1] + 1))
        tiles[tenant_id] = numbers[0], b"".join(hashes)
    return Page(after, until, rows, tiles)
