"""How the read models are: how far, how far behind, who folds them, and what is wrong with one that cannot go on."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row, tuple_row
from pydantic import BaseModel, ConfigDict, PrivateAttr

from runfold.errors import ProjectionNotFound
from runfold.projections.projection import AnyProjection
from runfold.projector import checkpoints
from runfold.projector.checkpoints import QUERIES, ReadModel
from runfold.projector.folding.team import read_head
from runfold.projector.tables.generations import fits, is_being_rebuilt
from runfold.store.datastore import Connection

ProjectionState = Literal[
    "up to date", "catching up", "waiting for a worker", "retrying", "stopped", "not begun", "being built", "interrupted"
]


_INTERRUPTED = (
    "a rebuild ended before it was done (it was stopped or killed, or the database was away), and what it has folded is kept; "
    "`runfold rebuild {name}` continues it"
)


class ProjectionStatus(BaseModel):
    """One read model at a glance."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    generation: int | None = None
    state: ProjectionState
    position: int | None = None
    """The last position looked at."""
    head: int
    """The last position of the ledger."""
    behind_seconds: float | None = None
    """For how long the first event that was not looked at yet has been in the ledger."""
    worker: str | None = None
    source: str | None = None
    """The class that folds it, as module:Class."""
    error: str | None = None
    error_position: int | None = None
    attempts: int | None = None
    failing_since: datetime | None = None
    moved_at: datetime | None = None
    _is_at_event: bool = PrivateAttr(False)
    """Whether it is an event that it cannot take in."""

    @property
    def behind_events(self) -> int:
        """Return how many events it has not looked at yet."""
        return self.head - (self.position or 0)


class _Age(BaseModel):
    name: str
    generation: int
    seconds: float


def statuses(connection: Connection, projections: Iterable[AnyProjection]) -> list[ProjectionStatus]:
    """Every read model there is, and the projections that have none yet."""
    head = read_head(connection).position
    models = [model for model in checkpoints.read_models(connection) if model.state != "previous"]
    workers = {peer.worker for peer in checkpoints.peers(connection)}
    building = {
        model.name
        for model in models
        if model.state == "building" or (model.state == "filling" and is_being_rebuilt(connection, model.name))
    }
    ages = {
        (age.name, age.generation): age.seconds for age in connection.cursor(row_factory=class_row(_Age)).execute(QUERIES["ages"])
    }
    found = [
        _status(model, head, workers, ages.get((model.name, model.generation), 0.0), is_built=model.name in building)
        for model in models
    ]
    found += [
        ProjectionStatus(name=projection.name, version=projection.version, state="not begun", head=head)
        for projection in projections
        if not any(model.name == projection.name and fits(projection, model) for model in models)
    ]
    return sorted(found, key=lambda status: (status.name, status.version))


def as_seen_by(connection: Connection, found: Iterable[ProjectionStatus], tenant_id: str) -> list[ProjectionStatus]:
    """The same without what may hold the words of other tenants: why a read model has stopped is told to whose event it is at.

    Nor is it told on which machine a worker runs.
    """
    stopped = [status.error_position for status in found if status.error is not None]
    query = "SELECT notification_id FROM runfold.log WHERE notification_id = ANY(%s::bigint[]) AND tenant_id = %s"
    cursor = connection.cursor(row_factory=tuple_row)
    own = {position for (position,) in cursor.execute(query, [stopped, tenant_id])} if stopped else set()
    return [status.model_copy(update={"worker": None, "error": _told(status, own)}) for status in found]


def _told(status: ProjectionStatus, own: set[int]) -> str | None:
    if status.error is None or status.state == "interrupted" or (status.error_position in own and status._is_at_event):
        return status.error
    return f"{status.name} has stopped; the operator finds the reason with `runfold projections`"


def retry(connection: Connection, name: str) -> bool:
    """Let a read model that has stopped go on; whether one had. Raises ProjectionNotFound."""
    models = [model for model in checkpoints.read_models(connection) if model.name == name]
    if not models:
        raise ProjectionNotFound(name)
    ended = [checkpoints.end_trouble(connection, name, model.generation) for model in models]
    return any(ended)


def _status(model: ReadModel, head: int, workers: set[str], seconds: float, *, is_built: bool) -> ProjectionStatus:
    is_interrupted = model.state == "filling" and not is_built
    found = ProjectionStatus(
        name=model.name,
        version=model.version,
        generation=model.generation,
        state="interrupted" if is_interrupted else _state(model, head, workers),
        position=model.position,
        head=head,
        behind_seconds=max(0.0, seconds),
        worker=model.worker,
        source=model.source,
        error=_INTERRUPTED.format(name=model.name) if is_interrupted else model.message,
        error_position=model.trouble_position,
        attempts=model.attempts,
        failing_since=model.since,
        moved_at=model.moved_at,
    )
    found._is_at_event = model.event_type is not None
    return found


def _state(model: ReadModel, head: int, workers: set[str]) -> ProjectionState:
    if model.trouble is not None:
        return model.trouble
    if model.state in {"filling", "building"}:
        return "being built"
    if model.position == head:
        return "up to date"
    return "catching up" if model.worker in workers else "waiting for a worker"
