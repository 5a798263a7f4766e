"""Folding a read model anew beside the one in use: filled in parallel, compared, caught up, and then switched.

The one in use serves all the while. What a killed rebuild has done is kept, and the next one goes on from there. A read
model whose rows are not made from one thread each is folded in one go by the position instead, as a worker would.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from psycopg import sql

from runfold.errors import ProjectionStopped, RebuildRefused
from runfold.failpoint import reach
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import source_of
from runfold.projector import filling, generations
from runfold.projector.checkpoints import ReadModel, read_models
from runfold.projector.comparing import Comparison, compare
from runfold.projector.connection import connect
from runfold.projector.filling import Job, Target
from runfold.projector.generations import Begun
from runfold.projector.locks import closing, rebuilding, take_session_lock
from runfold.projector.tables import Table
from runfold.projector.team import read_head
from runfold.projector.worker import Worker
from runfold.store.datastore import Connection, Datastore
from runfold.store.epochs import lineage_over

PATIENCE_SECONDS = 5.0
"""How long a rebuild waits for another of the same read model to be over, before it is refused."""


class StageProgress(Protocol):
    """Who wants to know how far it is."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """So many events of so many."""


@dataclass
class Rebuilt:
    """What became of one read model."""

    name: str
    generation: int
    position: int = 0
    """Up to where it was filled before it was compared and caught up."""
    compared: Comparison | None = None
    """With the one in use; None where there is none, or it has stopped before that position, or rows are not by thread."""
    switched: bool = False


@dataclass
class Rebuild:
    """One rebuild of some read models. `keep` compares and leaves the one in use where it is.

    What is not made from one thread each is not compared, so `keep` passes over it.
    """

    datastore: Datastore
    projections: Mapping[str, AnyProjection]
    processes: int = 2
    keep: bool = False
    told: StageProgress | None = None
    _found: dict[str, Rebuilt] = field(default_factory=dict, init=False)

    def run(self) -> list[Rebuilt]:
        """Do it. Raises RebuildRefused, ProjectionStopped, LedgerUnavailable."""
        with closing(connect(self.datastore)) as connection:
            self._lock(connection)
            by_thread = {name: each for name, each in self.projections.items() if each.partition == "thread"}
            if by_thread:
                self._fill(connection, by_thread)
            if self.keep:
                self._drop(connection)
            else:
                self._begin_others(connection)
                self._catch_up(connection)
        return [self._found[name] for name in self.projections if name in self._found]

    def _begin_others(self, connection: Connection) -> None:
        for name, projection in self.projections.items():
            if name not in self._found:
                with connection.transaction():
                    number = generations.renew(connection, projection, "building")
                    position = generations.start(connection, projection, number, read_head(connection).epoch)
                self._found[name] = Rebuilt(name, number, position)

    def _lock(self, connection: Connection) -> None:
        """Until the connection closes. The session of a rebuild that was killed may take a moment to end."""
        until = time.monotonic() + PATIENCE_SECONDS
        for name in self.projections:
            while not take_session_lock(connection, rebuilding(name)):
                if time.monotonic() > until:
                    raise RebuildRefused(
                        name, "is already being rebuilt", "wait for it to finish (`runfold projections` shows it)"
                    )
                time.sleep(0.1)

    def _fill(self, connection: Connection, projections: Mapping[str, AnyProjection]) -> None:
        job, numbers = self._job(connection, projections)
        reach("job planned")
        filling.fill(self.datastore, connection, job, self.processes, self._telling("folding"))
        reach("shards filled")
        applied = {row["name"]: row for row in connection.execute(filling.QUERIES["applied"], {"job": job.job})}
        self._bring_up(connection, projections, job.up_to)
        models = read_models(connection)
        for name, projection in projections.items():
            found = self._found[name] = Rebuilt(name, numbers[name], job.up_to)
            if _state(models, name, numbers[name]) == "filling":
                _index(connection, Table(projection, numbers[name]))
                reach("indexes made")
                live = _live(models, name)
                if live is not None and (live.position or 0) >= job.up_to:
                    found.compared = compare(connection, projection, live, numbers[name], job.up_to)
                reach("compared")
                said = applied.get(name, {"events": 0, "digest": 0})
                begun = Begun(job.up_to, job.epoch, said["events"], said["digest"])
                if not self.keep:
                    generations.ready(connection, projection, numbers[name], begun)
                reach("ready to catch up")
        if not self.keep:
            connection.execute(filling.QUERIES["remove job"], {"job": job.job})

    def _job(self, connection: Connection, projections: Mapping[str, AnyProjection]) -> tuple[Job, dict[str, int]]:
        """The job that an earlier rebuild left half done, if it is of these and of this log; else a new one."""
        head = read_head(connection)
        going_on = {"filling"} if self.keep else {"filling", "building"}  # what others fold on is compared no more
        numbers = {
            model.name: model.generation
            for model in read_models(connection)
            if model.name in projections and model.state in going_on and generations.fits(projections[model.name], model)
        }
        targets = tuple(
            Target(source_of(projections[name]), Table(projections[name], number).schema) for name, number in numbers.items()
        )
        lineage = lineage_over(connection, head.epoch)
        for row in connection.execute("SELECT job FROM runfold.fillings").fetchall():
            job = filling.planned(connection, row["job"])
            if (
                job
                and lineage.holds(job.up_to, job.epoch)
                and set(job.targets) == set(targets)
                and numbers.keys() == projections.keys()
            ):
                return job, numbers
        return self._new_job(connection, projections)

    def _new_job(self, connection: Connection, projections: Mapping[str, AnyProjection]) -> tuple[Job, dict[str, int]]:
        numbers = {name: generations.renew(connection, each, "filling") for name, each in projections.items()}
        head = read_head(connection)
        # One that another version folds goes no further here: new rows are compared with it where it stands.
        others = [
            model.position
            for model in read_models(connection)
            if model.state == "live" and model.name in projections and not generations.fits(projections[model.name], model)
        ]
        targets = tuple(Target(source_of(each), Table(each, numbers[name]).schema) for name, each in projections.items())
        up_to = min([head.position, *(position for position in others if position)])
        job = Job(f"rebuild-{secrets.token_hex(6)}", up_to, head.epoch, targets)
        with connection.transaction():
            filling.forget_abandoned(connection)
            filling.plan(connection, job, self.processes)
        return job, numbers

    def _bring_up(self, connection: Connection, projections: Mapping[str, AnyProjection], up_to: int) -> None:
        """Fold the ones in use up to where the new ones are, if nobody else has: before that they cannot be compared."""
        late = {
            model.name: projections[model.name]
            for model in read_models(connection)
            if model.name in projections
            and model.state == "live"
            and (model.position or 0) < up_to
            and model.trouble != "stopped"
            and generations.fits(projections[model.name], model)
        }
        if late:
            worker = Worker(self.datastore, late)
            try:
                worker.catch_up()
            finally:
                worker.close()

    def _catch_up(self, connection: Connection) -> None:
        worker = Worker(self.datastore, self.projections)
        try:
            worker.catch_up(self._telling("catching up"))
        finally:
            worker.close()
        models = read_models(connection)
        for found in self._found.values():
            found.switched = _state(models, found.name, found.generation) == "live"
        for model in models:
            made = self._found.get(model.name)
            if made and made.generation == model.generation and model.trouble == "stopped":
                fact, _, next_step = (model.message or "").removeprefix(f"{model.name} ").partition("; ")
                raise ProjectionStopped(model.name, fact, next_step)

    def _drop(self, connection: Connection) -> None:
        with connection.transaction():
            for model in read_models(connection):
                made = self._found.get(model.name)
                if made and model.generation == made.generation and model.state == "filling":
                    generations.remove(connection, model)
            filling.forget_abandoned(connection)

    def _telling(self, stage: str) -> filling.Progress:
        def tell(done: int, total: int) -> None:
            if self.told is not None:
                self.told(stage, done, total)

        return tell


def _state(models: Sequence[ReadModel], name: str, generation: int) -> str | None:
    return next((model.state for model in models if (model.name, model.generation) == (name, generation)), None)


def _live(models: Sequence[ReadModel], name: str) -> ReadModel | None:
    return next((model for model in models if model.name == name and model.state == "live"), None)


def _index(connection: Connection, table: Table[Any]) -> None:
    """Once: a rebuild that was killed may have made them."""
    with connection.transaction():
        made = connection.execute(
            "SELECT FROM pg_index WHERE indrelid = to_regclass(%s)", [f"{table.schema}.{table.name}"]
        ).fetchone()
        if made is None:
            table.create_indexes(connection)
    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.schema, table.name)))
