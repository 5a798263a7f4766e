"""Seals what follows in the log: leaves, tiles, counts of threads and signed checkpoints, in one transaction.

Whatever dies in it leaves nothing behind, and the next sealer makes the same leaves from the same events. Who appends never
waits for it: it reads what is committed, and writes tables of its own.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from runfold.errors import SealingRefused, event_at
from runfold.evidence.sealing.mapping import make_map
from runfold.evidence.sealing.signing import Signer
from runfold.failpoint import reach
from runfold.proofs.findings import read_object
from runfold.proofs.leaf import SALT_BYTES, Leaf
from runfold.proofs.note import Checkpoint
from runfold.proofs.stored import StoredEvent
from runfold.proofs.thread_map import key_of
from runfold.proofs.tiles import Growing, ReadTile
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries
from runfold.store.unread import UnreadRow

AT_ONCE = 2000
"""Events that one transaction seals."""
FEW = 250
"""Events that are sealed at a time, with a breath in between, where there is no hurry: some milliseconds of work."""
MOST_BYTES = 64 * 1024 * 1024
"""Payloads that one transaction reads, unless a single event has more."""
_STATE = 7
QUERIES = named_queries("runfold.evidence.sealing", "sealing.sql")


class Digested(NamedTuple):
    """An event of which the digests were taken."""

    event: StoredEvent
    payload_sha256: str
    envelope_sha256: str
    salt: bytes | None
    """Only of an event that had none."""


@dataclass
class Log:
    """The present tree of a tenant."""

    tenant_id: str
    generation: int
    origin: str
    size: int


@dataclass
class Sealed:
    """What one turn did."""

    position: int
    events: int = 0
    has_more: bool = False
    alarms: list[str] = field(default_factory=list)
    signed: list[Checkpoint] = field(default_factory=list)


def digested(row: tuple[Any, ...], kept_salt: bytes | None = None) -> Digested:
    """Take the digests of a stored event. `kept_salt` is that of an event that has none; else one is made."""
    event, made = StoredEvent._make(row), None
    if event.salt is None:
        made = kept_salt or os.urandom(SALT_BYTES)
    return Digested(event, *event.digests(event.salt or made or b""), made)


def seal(
    connection: Connection,
    signer: Callable[[bool], Signer],
    began: Callable[[Log], object] = lambda _: None,
    goes_on: Callable[[Log, ReadTile], object] = lambda _log, _read: None,
    *,
    breathe: Callable[[], object] | None = None,
) -> Sealed | None:
    """Seal what follows, or a part of it; None while another sealer is at it. Raises psycopg.Error, SealingRefused.

    `signer` returns the keys; it is told whether anything was sealed before. `began` is told of a tree that is begun, and
    raises where it may not be; `goes_on` of each that is to be signed, with how to read its tiles. With `breathe` a few events
    are sealed at a time, and it is called in between: the same is sealed, and neither this process nor the server is busy for
    long at a time.
    """
    with connection.transaction(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        begun = cursor.execute(QUERIES["begin"]).fetchone()
        if begun is None:
            return None
        sealed, grown = Sealed(begun[0]), dict[str, Log]()
        _require_the_end(*begun)
        _look_behind(cursor, sealed)
        for found in _parts_after(cursor, sealed, AT_ONCE if breathe is None else FEW):
            if sealed.events and breathe is not None:
                breathe()
            _look_for_holes(cursor, sealed, found)
            by_tenant: dict[str, list[Digested]] = {}
            for each in found:
                by_tenant.setdefault(each.event.tenant_id, []).append(each)
            for log in _logs(cursor, list(by_tenant), began):
                grow(cursor, log, by_tenant[log.tenant_id])
                grown[log.tenant_id] = log
            sealed.position, sealed.events = found[-1].event.position, sealed.events + len(found)
        if sealed.events:
            reach("leaves written")
        _Signing(cursor, goes_on, signer).sign(sealed, grown.values())
        reach("signed")
        cursor.execute(QUERIES["sealed up to"], [sealed.position])
    reach("sealed")
    return sealed


def _require_the_end(position: int, last: int) -> None:
    """Raise SealingRefused where the log ends before what is sealed: what comes next would be taken for sealed."""
    if position > last:
        fact = f"all is sealed up to position {position}, and the log ends at {last}: events were lost after they were sealed"
        raise SealingRefused(
            fact,
            "run `runfold verify --full`, and put them back from a backup; where they were lost on purpose,"
            " `runfold seal accept-loss --comment TEXT`",
        )


def _parts_after(cursor: Any, sealed: Sealed, size: int) -> Iterator[list[Digested]]:
    """Read and digest what follows what is sealed, some events at a time; note whether a transaction cannot hold all of it."""
    room, count = MOST_BYTES, 0
    while count < AT_ONCE and room > 0:
        rows, found = _digested_after(cursor, sealed.position, size, room)
        count += len(rows)
        room -= sum(len(row[_STATE]) for row in rows)
        if found:
            yield found
        if len(rows) < size and room > 0:
            return
    sealed.has_more = True


def _digested_after(cursor: Any, position: int, limit: int, room: int) -> tuple[list[tuple[Any, ...]], list[Digested]]:
    """Read and digest what follows. Raises SealingRefused for what nobody can read, as who changed the database can write."""
    try:
        rows = cursor.execute(QUERIES["events"], [position, limit, room]).fetchall()
    except UnreadRow as error:
        raise _refused(error.place, f"a time that cannot be read ({error})") from None
    return rows, [_digested(row) for row in rows]


def _digested(row: tuple[Any, ...]) -> Digested:
    try:
        return digested(row)
    except RecursionError:
        event = StoredEvent._make(row)
        where = event_at(event.position, event.version, event.stream)
        raise _refused(where, "JSON that cannot be read (it is nested too deeply)") from None


def _refused(where: str, what: str) -> SealingRefused:
    return SealingRefused(f"{where} holds {what}", "run `runfold check`, and put it right from a backup")


def _look_for_holes(cursor: Any, sealed: Sealed, found: Iterable[Digested]) -> None:
    expected = sealed.position + 1
    for each in found:
        event = each.event
        for position in range(expected, min(event.position, expected + 1000)):
            fact = f"position {position} is missing, and was never sealed"
            _alarm(cursor, sealed, event.tenant_id, "missing", position, fact)
        expected = event.position + 1


def _look_behind(cursor: Any, sealed: Sealed) -> None:
    for position, tenant, stream, version, type_ in cursor.execute(QUERIES["behind"]).fetchall():
        fact = f"{type_}, version {version} of {stream}, appeared at position {position}, behind what was sealed"
        _alarm(cursor, sealed, tenant, "inserted", position, fact)


def _alarm(cursor: Any, sealed: Sealed, tenant_id: str, kind: str, position: int, fact: str) -> None:
    if cursor.execute(QUERIES["alarm"], [tenant_id, kind, position, fact]).rowcount:
        sealed.alarms.append(fact)


def _logs(cursor: Any, tenants: list[str], began: Callable[[Log], object]) -> list[Log]:
    found = {row[0]: Log(*row) for row in cursor.execute(QUERIES["logs"], [tenants]).fetchall()}
    for tenant in tenants:
        if tenant not in found:
            found[tenant] = Log(tenant, 1, origin_of(cursor, tenant), 0)
            began(found[tenant])
            cursor.execute(QUERIES["new log"], [tenant, found[tenant].origin])
    return list(found.values())


def origin_of(cursor: Any, tenant_id: str, generation: int = 1) -> str:
    """The name of a tenant's tree: the same in every copy of the ledger, so that one that was put back shows."""
    (ledger,) = cursor.execute(QUERIES["ledger"]).fetchone()
    first = f"runfold/{hashlib.sha256(f'{ledger} {tenant_id}'.encode()).hexdigest()[:32]}"
    return first if generation == 1 else f"{first}-{generation}"


def not_own(cursor: Any, tenant_id: str, generation: int, origin: str) -> str | None:
    """Return why a tree cannot be this ledger's: it has another name, or was begun after a loss that nobody has accepted.

    Whoever can write to the database could have an altered log sealed under a name of which nothing was published.
    """
    expected = origin_of(cursor, tenant_id, generation)
    if origin != expected:
        return f"the tree of {tenant_id} is named {origin} in the database, and its name is {expected}"
    if generation == 1:
        return None
    accepted = cursor.execute(QUERIES["losses accepted"], [tenant_id]).fetchall()
    if any(read_object(state).get("origin") == origin for (state,) in accepted):
        return None
    return f"{origin} was begun as after a loss, and nobody has accepted one (no event security.loss_accepted names it)"


@dataclass
class _Signing:
    """Signs trees as they are now."""

    cursor: Any
    goes_on: Callable[[Log, ReadTile], object]
    signer: Callable[[bool], Signer]

    def sign(self, sealed: Sealed, grown: Iterable[Log]) -> None:
        """Sign those that have grown. Once nothing waits, it is said of each thread how many events it has, too."""
        if sealed.has_more:
            sealed.signed += [self._checkpoint(log, None) for log in grown]
            return
        for tenant_id, generation, origin, size, map_size in self.cursor.execute(QUERIES["without map"]).fetchall():
            log = Log(tenant_id, generation, origin, size)
            sealed.signed.append(self._checkpoint(log, make_map(self.cursor, tenant_id, generation, map_size)))

    def _checkpoint(self, log: Log, map_root: bytes | None) -> Checkpoint:
        whose = [log.tenant_id, log.generation]
        if fact := not_own(self.cursor, log.tenant_id, log.generation, log.origin):
            raise SealingRefused(fact, "somebody changed the sealed log in the database; put it back from a backup")
        read = cache(lambda level, number: _tile(self.cursor, log, level, number))
        self.goes_on(log, read)
        signed = Checkpoint(log.origin, log.size, Growing(log.size, read).root(), map_root)
        (position,) = self.cursor.execute(QUERIES["last position"], [*whose, log.size]).fetchone()
        signer = self.signer(self.cursor.execute(QUERIES["was signed"]).fetchone() == (True,))
        stored = [*whose, log.size, position, signed.root, map_root, signer.sign(signed)]
        self.cursor.execute(QUERIES["store checkpoint"], stored)
        return signed


def grow(cursor: Any, log: Log, events: list[Digested]) -> None:
    """Add leaves to a tree."""
    keys = {thread_id: key_of(thread_id) for thread_id in {each.event.thread_id for each in events}}
    stored = cursor.execute(QUERIES["threads"], [log.tenant_id, log.generation, list(keys.values())]).fetchall()
    counts = dict(stored)
    counts = {thread_id: counts.get(key, 0) for thread_id, key in keys.items()}
    last: dict[str, tuple[int, bytes]] = {}
    hashes: list[bytes] = []
    rows: list[tuple[Any, ...]] = []
    for seq, (event, payload, envelope, made) in enumerate(events, log.size + 1):
        counts[event.thread_id] += 1
        count, place = counts[event.thread_id], (event.stream, event.version, event.type, event.schema_version)
        hashes.append(Leaf(seq, count, *place, event.position, payload, envelope).hash())
        last[event.thread_id] = seq, hashes[-1]
        rows.append((seq, event.position, event.thread_id, count, *place, bytes.fromhex(payload), bytes.fromhex(envelope), made))
    whose = [log.tenant_id, log.generation]
    cursor.execute(QUERIES["store events"], [*whose, *map(list, zip(*rows, strict=True))])
    tree = Growing(log.size, lambda level, number: _tile(cursor, log, level, number))
    tree.extend(hashes)
    tiles = [(level, number, tile) for (level, number), tile in tree.changed.items()]
    cursor.execute(QUERIES["store tiles"], [*whose, *map(list, zip(*tiles, strict=True))])
    threads = [(thread_id, keys[thread_id], counts[thread_id], seq, hash_) for thread_id, (seq, hash_) in last.items()]
    cursor.execute(QUERIES["store threads"], [*whose, *map(list, zip(*threads, strict=True))])
    cursor.execute(QUERIES["grown"], [tree.size, *whose])
    log.size = tree.size


def _tile(cursor: Any, log: Log, level: int, number: int) -> bytes:
    found = cursor.execute(QUERIES["tile"], [log.tenant_id, log.generation, level, number]).fetchone()
    return found[0] if found else b""
