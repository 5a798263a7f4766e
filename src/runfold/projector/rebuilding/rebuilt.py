"""What a rebuild makes of each read model, and what its parts share."""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runfold.projections.projection import AnyProjection, Projection
from runfold.projector.checking.comparing import Comparison
from runfold.projector.checkpoints import ReadModel
from runfold.store.datastore import Connection, Datastore

NO_TABLE = "there is no table in use"
OTHER_KEY = "its rows have another key than those of the table in use"


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
    """With the one in use; None where that cannot be, and then `not_compared` says why."""
    not_compared: str | None = None
    switched: bool = False


@dataclass(frozen=True)
class Site:
    """Where a rebuild is made: by how many processes, and whether it only compares."""

    datastore: Datastore
    connection: Connection
    processes: int
    keep: bool
    told: StageProgress | None

    def tell(self, stage: str, done: int, total: int) -> None:
        """Say how far it is to who wants to know."""
        if self.told is not None:
            self.told(stage, done, total)


def state_of(models: Sequence[ReadModel], name: str, generation: int) -> str | None:
    """Return the state of a generation, None where there is none."""
    return next((model.state for model in models if (model.name, model.generation) == (name, generation)), None)


def live_of(models: Sequence[ReadModel], name: str) -> ReadModel | None:
    """Return the generation in use."""
    return next((model for model in models if model.name == name and model.state == "live"), None)


def stands(live: ReadModel) -> str:
    """Return why a table in use cannot be brought to the position that it is to be compared at."""
    if live.position is None:
        return "the table in use has lost its checkpoint"
    how = "has stopped" if live.trouble == "stopped" else "stands"
    return f"the table in use {how} at position {live.position} (`runfold projections` says more)"


def code_of(projection: AnyProjection) -> str:
    """Return a digest of the files that a projection's classes stand in: what one fold has begun, another does not go on with."""
    kinds = [*type(projection).__mro__, *projection.row.__mro__]
    modules = {inspect.getmodule(kind) for kind in kinds if kind.__module__ != Projection.__module__}
    digest = hashlib.sha256()
    for file in sorted({found for module in modules if module and (found := getattr(module, "__file__", None))}):
        if Path(file).is_file():
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]
