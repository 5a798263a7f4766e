"""Who folds what: this worker among the others, and the read models that fall to it.

Everybody who knows the same workers comes to the same division, so nobody has to give orders. It need not be right at
every moment: a token in each checkpoint keeps two workers from both writing.
"""

import os
import platform
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from runfold.errors import BrokenCheckpoint, ProjectionChanged, ProjectionStopped
from runfold.failpoint import reach
from runfold.logs import debug, logger
from runfold.projections.projection import AnyProjection
from runfold.projector import checkpoints
from runfold.projector.checkpoints import Claim, Peer, ReadModel
from runfold.projector.folding.marks import Marks
from runfold.projector.folding.shard import Shard
from runfold.projector.tables import generations
from runfold.projector.tables.table import fingerprint
from runfold.store.datastore import Connection
from runfold.store.epochs import lineage_over
from runfold.store.reading.reader import Head

BEAT_SECONDS = 1.0
WATCH_BEATS = 1.5
"""For how many beats who only reads watches a worker elsewhere."""
TAKE_OVER_SECONDS = 5.0
"""How long another worker's beat must stand still before its read models are taken over."""


class Team:
    """A worker's place among the others. `shards` are the read models that it has claimed."""

    def __init__(
        self,
        projections: Mapping[str, AnyProjection],
        take_over_seconds: float = TAKE_OVER_SECONDS,
        marks: Marks | None = None,
    ) -> None:
        self.name = f"{_host()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.shards: dict[tuple[str, int], Shard] = {}
        self.models: list[ReadModel] = []
        self._projections = projections
        self._marks = marks or Marks()
        self._take_over_seconds = take_over_seconds
        self._seen: dict[str, tuple[int, float]] = {}
        self._refused: set[str] = set()
        self._views_are_whole = False
        self._next_beat = 0.0

    def beat_if_due(self, connection: Connection) -> None:
        """Once a second: say that this worker lives, and look again what falls to it."""
        if self.next_beat_in() > 0:
            return
        self._next_beat = time.monotonic() + BEAT_SECONDS
        names = [_folding(projection) for projection in self._projections.values()]
        living = self._living(connection, checkpoints.beat(connection, self.name, _host(), os.getpid(), names))
        self.models = checkpoints.read_models(connection)
        self._views_are_whole = self._views_are_whole or generations.bring_up_to_date(connection)
        self._begin_generations(connection, [peer for peer in living if peer.worker != self.name])
        self._forgive(connection)
        for model in self.models:
            self._look_after(connection, model, living)
        for gone in self.shards.keys() - {(model.name, model.generation) for model in self.models}:
            del self.shards[gone]

    def next_beat_in(self) -> float:
        """Return the seconds until the next beat."""
        return max(0.0, self._next_beat - time.monotonic())

    def look_again(self, within: float = 0.0) -> None:
        """Let the next beat come earlier."""
        self._next_beat = min(self._next_beat, time.monotonic() + within)

    def is_ours(self, model: ReadModel) -> bool:
        """Return whether the projections of this worker are what a generation is folded by."""
        projection = self._projections.get(model.name)
        return projection is not None and model.state in {"building", "live"} and generations.fits(projection, model)

    def drop(self, shard: Shard) -> None:
        """It is no longer this worker's."""
        self.shards.pop((shard.name, shard.claim.generation), None)

    def stop(self, connection: Connection, held: Claim | ReadModel, error: ProjectionStopped, attempts: int = 1) -> None:
        """Nobody folds it until it is asked for."""
        checkpoints.note_trouble(connection, held, error, "stopped", attempts)
        logger().error("stopped", read_model=held.name, error=str(error))
        self.look_again()

    def leave(self, connection: Connection) -> None:
        """Give everything back, so that others go on at once."""
        for shard in self.shards.values():
            checkpoints.release(connection, shard.claim)
        checkpoints.remove_worker(connection, self.name)
        self.shards.clear()

    def _living(self, connection: Connection, peers: list[Peer]) -> list[Peer]:
        """All but those whose beat stands still, and those of this machine whose process is gone."""
        now = time.monotonic()
        living = []
        for peer in peers:
            beat, since = self._seen.get(peer.worker, (-1, now))
            if beat != peer.beat:
                since = now
                self._seen[peer.worker] = (peer.beat, now)
            if peer.worker != self.name and (now - since > self._take_over_seconds or _is_gone(peer)):
                checkpoints.remove_worker(connection, peer.worker, peer.beat)
                logger().info("worker gone", worker=peer.worker)
            else:
                living.append(peer)
        self._seen = {peer.worker: self._seen[peer.worker] for peer in living}
        return living

    def _begin_generations(self, connection: Connection, others: list[Peer]) -> None:
        for projection in self._projections.values():
            try:
                if generations.is_wanted(projection, self.models) and not self._is_kept(projection, others):
                    head = read_head(connection)
                    generations.begin(connection, projection, head.epoch, head.position)
                    self.models = checkpoints.read_models(connection)
            except ProjectionStopped as error:
                self.models = checkpoints.read_models(connection)
                self._refuse(connection, projection, error, others)

    def _forgive(self, connection: Connection) -> None:
        """Let read models go on whose projection was changed without a new version, and then put back."""
        back = [model for model in self.models if self.is_ours(model) and model.error == ProjectionChanged.__name__]
        for model in back:
            checkpoints.end_trouble(connection, model.name, model.generation)
        if back:
            self.models = checkpoints.read_models(connection)

    def _is_kept(self, projection: AnyProjection, others: list[Peer]) -> bool:
        """Return whether others fold one of the same version: two programs would each replace the other's by their own.

        Who comes with a higher version does not wait.
        """
        return any(
            model.state != "previous" and model.version == projection.version and _is_known(model, others)
            for model in self.models
            if model.name == projection.name
        )

    def _refuse(self, connection: Connection, projection: AnyProjection, error: ProjectionStopped, others: list[Peer]) -> None:
        """It does not fit what is there. That is the read model's trouble only where nobody else folds it."""
        for model in self.models:
            if (model.name, model.version) != (projection.name, projection.version) or model.message == str(error):
                continue
            if not _is_known(model, others):
                self.stop(connection, model, error)
            elif model.name not in self._refused:
                logger().error("refused", read_model=model.name, error=str(error))
                self._refused.add(model.name)

    def _look_after(self, connection: Connection, model: ReadModel, living: list[Peer]) -> None:
        """Claim what falls to this worker, give back what falls to another, drop what was taken."""
        projection = self._projections.get(model.name)
        shard = self.shards.get((model.name, model.generation))
        if shard is not None and (model.worker != self.name or model.token != shard.claim.token):
            self.drop(shard)
            shard = None
        if projection is None:
            return
        may_go_on = self.is_ours(model) and model.trouble != "stopped"
        mine = may_go_on and checkpoints.assigned(_folding(projection), living) == self.name
        if model.worker == self.name and not mine:  # also one that it had before it lost the database
            checkpoints.release(connection, model)
            if shard is not None:
                self.drop(shard)
        elif shard is None and mine and model.worker not in {peer.worker for peer in living} - {self.name}:
            self._claim(connection, model, projection)

    def _claim(self, connection: Connection, model: ReadModel, projection: AnyProjection) -> None:
        try:
            head = _require_this_history(connection, model)
            claim = checkpoints.claim(connection, model, self.name)
        except ProjectionStopped as error:
            self.stop(connection, model, error)
            return
        if claim is None:
            return
        shard = Shard(projection, claim, building=model.state == "building", marks=self._marks)
        shard.attempts = model.attempts or 0
        shard.suspect = model.trouble_position or 0
        shard.indexed_at = head.position if claim.indexes < shard.table.index_count else None
        self.shards[model.name, model.generation] = shard
        debug("claimed", read_model=model.name, generation=model.generation, position=claim.position)
        reach("claimed")


def _require_this_history(connection: Connection, model: ReadModel) -> Head:
    """Go on from what was folded of a history that this one came from, where both agree so far. Returns where the log ends.

    Raises BrokenCheckpoint.
    """
    if model.epoch is None or model.position is None:
        raise BrokenCheckpoint(model.name, "has lost its checkpoint")
    head = read_head(connection)
    if model.epoch != head.epoch:
        shared = lineage_over(connection, head.epoch).shared(model.epoch)
        if shared is None or model.position > shared:
            fact = f"was folded from the log {model.epoch}, and this is the log {head.epoch} (a restored or replaced database)"
            both = "" if shared is None else f": both are the same up to position {shared}, and it is at {model.position}"
            raise BrokenCheckpoint(model.name, fact + both)
        checkpoints.adopt(connection, model, head.epoch)
    if model.position > head.position:
        raise BrokenCheckpoint(model.name, f"has a checkpoint at position {model.position}, and the log ends at {head.position}")
    return head


def workers_of(connection: Connection, name: str) -> list[Peer]:
    """Return who folds a read model, in whichever version. The connection must be in autocommit.

    Of a worker on this machine it is known whether its process is there; one elsewhere is watched until it has beaten again,
    or should have.
    """
    found = _folding_it(connection, name)
    living = [peer for peer in found if peer.host == _host()]
    elsewhere = {peer.worker: peer.beat for peer in found if peer.host != _host()}
    end = time.monotonic() + WATCH_BEATS * BEAT_SECONDS
    while not living and elsewhere and time.monotonic() < end:
        time.sleep(BEAT_SECONDS / 10)
        living = [peer for peer in _folding_it(connection, name) if elsewhere.get(peer.worker, peer.beat) != peer.beat]
    return living


def _folding_it(connection: Connection, name: str) -> list[Peer]:
    return [
        peer
        for peer in checkpoints.peers(connection)
        if not _is_gone(peer) and any(each.partition("/")[0] == name for each in peer.names)
    ]


def read_head(connection: Connection) -> Head:
    """The last position, and the id of the log."""
    row = connection.execute(
        "SELECT position, nullif(recorded_at, '-infinity') AS recorded_at, epoch FROM runfold.head"
    ).fetchone()
    assert row is not None, "the head is one row for ever"  # noqa: S101
    return Head(**row)


def _folding(projection: AnyProjection | ReadModel) -> str:
    """Return what a worker says that it knows. Two programs that say the same fold alike."""
    digest = projection.fingerprint if isinstance(projection, ReadModel) else fingerprint(projection)
    return "/".join(filter(None, [projection.name, str(projection.version), digest[:8], projection.depends_on]))


def _is_known(model: ReadModel, workers: list[Peer]) -> bool:
    return any(_folding(model) in peer.names for peer in workers)


def _host() -> str:
    """The machine, as far as process ids go: containers on one host each count their own."""
    namespace = Path("/proc/self/ns/pid")
    return f"{platform.node()}/{namespace.stat().st_ino}" if namespace.exists() else platform.node()


def _is_gone(peer: Peer) -> bool:
    if peer.host != _host():
        return False
    try:
        os.kill(peer.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
