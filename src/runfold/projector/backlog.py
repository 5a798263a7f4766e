"""What read models have not looked at yet, and whether a worker is at it: what a reader may fold by itself."""

from collections.abc import Iterable
from typing import NamedTuple

from runfold.projections.projection import AnyProjection
from runfold.projector.checkpoints import ReadModel, read_models
from runfold.projector.folding.team import read_head, workers_of
from runfold.projector.tables.generations import fits
from runfold.store.datastore import Connection


class Backlog(NamedTuple):
    """What some read models lack that folding would give them."""

    names: tuple[str, ...]
    """The read models that are behind, or were never begun."""
    events: int
    """How many events the one that is furthest behind has before it."""
    head: int
    """The last position of the ledger."""
    worker: str | None
    """Who folds one of them, and will get to it."""


def backlog_of(connection: Connection, projections: Iterable[AnyProjection]) -> Backlog:
    """Return what there is to fold. What has stopped, or was folded by a newer program, no reader brings on."""
    head = read_head(connection).position
    models = read_models(connection)
    missing = {each.name: missed for each in projections if (missed := _missing(each, models, head)) is not None}
    workers = [peer.worker for name in missing for peer in workers_of(connection, name)]
    return Backlog(tuple(missing), max(missing.values(), default=0), head, next(iter(workers), None))


def _missing(projection: AnyProjection, models: list[ReadModel], head: int) -> int | None:
    """Return how many events one has to take in before it is current; None where folding changes nothing."""
    own = [model for model in models if model.name == projection.name and model.state in {"building", "live"}]
    fitting = [model for model in own if fits(projection, model)]
    if any(model.trouble == "stopped" for model in fitting) or any(model.version > projection.version for model in own):
        return None
    done = max((model.position or 0 for model in fitting), default=0)
    return None if done == head and any(model.state == "live" for model in fitting) else head - done
