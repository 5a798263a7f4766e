"""Folding a read model anew beside the one in use: filled, compared with it, caught up, and then switched.

The one in use serves all the while. What a killed rebuild has done is kept, and the next one goes on from there; what one
has done that failed by the projection's fault is dropped.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg

from runfold.errors import DependentView, LedgerUnavailable, ProjectionStopped, RebuildRefused
from runfold.projections.projection import AnyProjection
from runfold.projector import filling
from runfold.projector.checking import trial
from runfold.projector.checkpoints import ReadModel, read_models
from runfold.projector.connection import connect
from runfold.projector.folding.team import read_head
from runfold.projector.locks import closing, rebuilding, take_lock, take_session_lock
from runfold.projector.rebuilding.by_thread import fill_by_thread
from runfold.projector.rebuilding.in_order import fill_in_order
from runfold.projector.rebuilding.rebuilt import Rebuilt, Site, StageProgress, live_of, state_of
from runfold.projector.tables import generations, views
from runfold.projector.tables.table import Table
from runfold.projector.worker import Worker
from runfold.store.datastore import Connection, Datastore

PATIENCE_SECONDS = 5.0
"""How long a rebuild waits for another of the same read model to be over, before it is refused."""


@dataclass
class Rebuild:
    """One rebuild of some read models. `keep` compares and leaves the one in use where it is.

    With `tries_out`, projections that do not come with Runfold are first tried in other processes (see trial.py).
    """

    datastore: Datastore
    projections: Mapping[str, AnyProjection]
    processes: int = 2
    keep: bool = False
    told: StageProgress | None = None
    tries_out: bool = False
    _found: dict[str, Rebuilt] = field(default_factory=dict, init=False)

    def run(self) -> list[Rebuilt]:
        """Do it. Raises RebuildRefused, ProjectionStopped, LedgerUnavailable."""
        with closing(connect(self.datastore)) as connection:
            self._lock(connection)
            try:
                self._make(Site(self.datastore, connection, self.processes, self.keep, self.told))
            except (LedgerUnavailable, psycopg.OperationalError):
                raise  # what is done is kept: the next one goes on from there
            except DependentView:
                raise  # it is built, and waits for `runfold projections retry`
            except Exception:
                self._drop(connection)
                raise
        return [self._found[name] for name in self.projections if name in self._found]

    def _make(self, site: Site) -> None:
        connection = site.connection
        if not self.keep:
            for projection in self.projections.values():
                views.require_showable(connection, Table(projection, 0))
        if self.tries_out:
            own = [each for each in self.projections.values() if trial.is_own(each)]
            trial.require_same(self.datastore, own, read_head(connection).position)
        models = read_models(connection)
        stopped = {name for name in self.projections if (live := live_of(models, name)) and live.trouble == "stopped"}
        by_thread = {name: each for name, each in self.projections.items() if each.partition == "thread" and name not in stopped}
        if by_thread:
            fill_by_thread(site, by_thread, self._found)
        for name, projection in self.projections.items():
            if name not in by_thread:
                fill_in_order(site, projection, self._found)
        if self.keep:
            self._drop(connection)
        else:
            self._catch_up(site)

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

    def _catch_up(self, site: Site) -> None:
        worker = Worker(self.datastore, self.projections)
        try:
            worker.catch_up(lambda done, total: site.tell("catching up", done, total))
        finally:
            worker.close()
        models = read_models(site.connection)
        for found in self._found.values():
            found.switched = state_of(models, found.name, found.generation) == "live"
        for model in models:
            made = self._found.get(model.name)
            if made and made.generation == model.generation and model.trouble == "stopped":
                fact, _, next_step = (model.message or "").removeprefix(f"{model.name} ").partition("; ")
                kind = DependentView if model.error == DependentView.__name__ else ProjectionStopped
                raise kind(model.name, fact, next_step)

    def _drop(self, connection: Connection) -> None:
        """What this rebuild, or one before it that was killed, has made beside the tables in use."""
        with connection.transaction():
            take_lock(connection, "generations")
            for model in read_models(connection):
                if model.name in self.projections and self._is_ours(model):
                    generations.remove(connection, model)
            filling.forget_abandoned(connection)

    def _is_ours(self, model: ReadModel) -> bool:
        """Return whether nobody but a rebuild has made it: workers begin with what is `building`."""
        made = self._found.get(model.name)
        is_made = made is not None and made.generation == model.generation
        return model.state == "filling" or (model.state == "building" and is_made)
