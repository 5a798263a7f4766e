"""What is kept of each read model's progress: how far it is, who may move it on, what was applied, what is wrong with it.

A claim is a worker's name and a token in the read model's checkpoint. No clock decides who lives: a worker counts its
beats, and who sees the same count for long enough by their own watch takes it for dead. It may only be asleep; when it
wakes, its token is old, and what it would write is refused together with its step of the checkpoint.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from runfold.domain.recorded import Recorded
from runfold.errors import BrokenCheckpoint, PoisonEvent, ProjectionStopped
from runfold.store.datastore import Connection
from runfold.store.queries import named_queries

QUERIES = named_queries("runfold.projector", "checkpoints.sql")

GenerationState = Literal["filling", "building", "live", "previous"]


@dataclass(frozen=True)
class ReadModel:
    """A generation of a read model, as the database knows it."""

    name: str
    generation: int
    version: int
    fingerprint: str
    depends_on: str
    source: str
    state: GenerationState
    position: int | None
    epoch: UUID | None
    token: int | None
    worker: str | None
    moved_at: datetime | None
    trouble: Literal["retrying", "stopped"] | None
    trouble_position: int | None
    event_type: str | None
    error: str | None
    message: str | None
    attempts: int | None
    since: datetime | None


@dataclass(frozen=True)
class Peer:
    """Somebody who folds."""

    worker: str
    beat: int
    host: str
    pid: int
    names: list[str]
    started_at: datetime


class Claim(NamedTuple):
    """The right to move a read model on."""

    name: str
    generation: int
    token: int
    position: int
    epoch: UUID
    indexes: int = 0
    """How many its table had beside the key when it was claimed."""


class Applied(NamedTuple):
    """What a page of the log was for a read model: how many events it looked at, and the digest over their ids."""

    claim: Claim
    events: int
    digest: int


class ClaimsLost(Exception):
    """Others have claimed these generations of read models since."""

    def __init__(self, lost: Iterable[tuple[str, int]]) -> None:
        self.lost = frozenset(lost)
        super().__init__(f"others have claimed {', '.join(name for name, _ in sorted(self.lost))}")


def read_models(connection: Connection) -> list[ReadModel]:
    """All generations of all read models."""
    return connection.cursor(row_factory=class_row(ReadModel)).execute(QUERIES["read models"]).fetchall()


def beat(connection: Connection, worker: str, host: str, pid: int, names: Iterable[str]) -> list[Peer]:
    """Say that a worker lives, and learn of all workers."""
    connection.execute(QUERIES["beat"], {"worker": worker, "host": host, "pid": pid, "names": sorted(names)})
    return peers(connection)


def peers(connection: Connection) -> list[Peer]:
    """All workers that have not said goodbye."""
    return connection.cursor(row_factory=class_row(Peer)).execute(QUERIES["workers"]).fetchall()


def remove_worker(connection: Connection, worker: str, beat: int | None = None) -> None:
    """Strike a worker off, if it has not beaten again."""
    connection.execute(QUERIES["remove worker"], {"worker": worker, "beat": beat})


def assigned(name: str, workers: Iterable[Peer]) -> str | None:
    """Return who should fold a read model: everybody who knows the same workers comes to the same answer, and when one goes, only
    what it had moves (rendezvous hashing; Thaler and Ravishankar, 1996)."""
    able = [peer.worker for peer in workers if name in peer.names]
    return max(able, key=lambda worker: hashlib.sha256(f"{worker} {name}".encode()).digest(), default=None)


def claim(connection: Connection, model: ReadModel, worker: str) -> Claim | None:
    """Take a read model as it was seen; None where another was first. Raises BrokenCheckpoint."""
    asked = {
        "worker": worker,
        "name": model.name,
        "generation": model.generation,
        "token": model.token,
        "holder": model.worker,
    }
    with connection.transaction():
        found = connection.execute(QUERIES["claim"], asked).fetchone()
        if found is None:
            return None
        require_whole(connection, model.name, model.generation, found["position"])
    return Claim(model.name, model.generation, found["token"], found["position"], found["epoch"], found["indexes"])


def adopt(connection: Connection, model: ReadModel, epoch: UUID) -> None:
    """Say of a checkpoint, as it was seen, that its position is one of another history too."""
    seen = {"name": model.name, "generation": model.generation, "position": model.position, "before": model.epoch}
    connection.execute(QUERIES["adopt"], {**seen, "epoch": epoch})


def release(connection: Connection, held: Claim | ReadModel) -> None:
    """Give a read model back."""
    connection.execute(QUERIES["release"], {"name": held.name, "generation": held.generation, "token": held.token})


def require_whole(connection: Connection, name: str, generation: int, position: int) -> None:
    """Raise BrokenCheckpoint unless every position up to the checkpoint was applied once."""
    found = connection.execute(QUERIES["receipts"], {"name": name, "generation": generation}).fetchall()
    spans = [(row["first_position"], row["last_position"]) for row in found]
    if spans != ([(1, position)] if position else []):
        said = ", ".join(f"{first} to {last}" for first, last in spans) or "nothing"
        raise BrokenCheckpoint(name, f"has a checkpoint at position {position}, and receipts for {said}")


def advance(connection: Connection, claims: list[Claim], after: int, up_to: int, epoch: UUID) -> None:
    """Move read models on together, in the caller's transaction. Raises ClaimsLost."""
    moved = connection.execute(
        QUERIES["advance"],
        {
            "names": [held.name for held in claims],
            "generations": [held.generation for held in claims],
            "tokens": [held.token for held in claims],
            "after": after,
            "up_to": up_to,
            "epoch": epoch,
        },
    ).fetchall()
    if lost := {(held.name, held.generation) for held in claims} - {(row["name"], row["generation"]) for row in moved}:
        raise ClaimsLost(lost)


def acknowledge(connection: Connection, applied: list[Applied], after: int, up_to: int) -> None:
    """Note what was applied, in the caller's transaction."""
    connection.execute(
        QUERIES["acknowledge"],
        {
            "names": [each.claim.name for each in applied],
            "generations": [each.claim.generation for each in applied],
            "counts": [each.events for each in applied],
            "digests": [each.digest for each in applied],
            "after": after,
            "up_to": up_to,
        },
    )


def digest_of(events: Iterable[Recorded]) -> int:
    """Return what a receipt holds of the events that were applied: additive, so that receipts merge."""
    ids = b"".join([recorded.event_id_bytes for recorded in events])
    halves: tuple[int, ...] = struct.unpack(f">{len(ids) // 8}Q", ids)
    return sum(halves[1::2]) % 2**64


def note_trouble(
    connection: Connection,
    held: Claim | ReadModel,
    error: ProjectionStopped,
    state: Literal["retrying", "stopped"],
    attempts: int,
) -> None:
    """Say what is wrong with a read model."""
    poison = error if isinstance(error, PoisonEvent) else None
    facts: dict[str, Any] = {
        "name": held.name,
        "generation": held.generation,
        "token": held.token,
        "state": state,
        "attempts": attempts,
        "position": poison.position if poison else held.position or 0,
        "event_type": poison.event_type if poison else None,
        "error": type(error).__name__,
        "message": str(error),
    }
    connection.execute(QUERIES["trouble"], facts)


def end_trouble(connection: Connection, name: str, generation: int) -> bool:
    """Say that nothing is wrong any more; whether something was."""
    return connection.execute(QUERIES["end trouble"], {"name": name, "generation": generation}).rowcount > 0
