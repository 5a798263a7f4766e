"""Read models over HTTP: their status, retrying one that has stopped, rebuilding one beside the one in use."""

import threading
from functools import partial
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from runfold.access.accept import prefers
from runfold.commands.caller import Caller
from runfold.errors import LedgerError, RebuildRefused
from runfold.http import bodies
from runfold.http.bodies import Body
from runfold.http.routing import Handler, NamedRoute, Operation, answer, route_of
from runfold.http.server_state import ServerState
from runfold.http.streams import sse
from runfold.http.streams.progress import Report, progress
from runfold.projections.projection import AnyProjection
from runfold.projector.rebuilding.rebuilt import Rebuilt
from runfold.projector.status import ProjectionStatus

_log = structlog.get_logger("runfold.http")


class RebuildAsked(Body):
    """How to rebuild a read model."""

    processes: int = Field(2, ge=1, le=64)
    """The number of processes."""
    compare_only: bool = False
    """If true, the rebuild reports what differs and does not switch."""


class RebuildStatus(BaseModel):
    """The last rebuild of a read model that this server began."""

    name: str
    state: str
    """`running`, `done` or `failed`."""
    stage: str
    """The stage: folding, comparing, catching up."""
    done: int
    """The events processed in this stage."""
    total: int
    rebuilt: dict[str, Any] | None = None
    """The result: its generation and position, how it compares, and whether it is now in use."""
    error: str | None = None

    model_config = ConfigDict(use_attribute_docstrings=True)


class ProjectionList(BaseModel):
    """All read models."""

    items: list[ProjectionStatus]
    rebuilds: list[RebuildStatus]
    """The last rebuild of each read model that this server began."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Retried(BaseModel):
    """Whether a read model was started again."""

    name: str
    retried: bool
    """False if it had not stopped."""


class Rebuilds:
    """The rebuilds of this server. Each runs in its own thread, watched or not; one that was killed is resumed."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._turn = threading.Lock()
        self._known: dict[str, RebuildStatus] = {}

    def all(self) -> list[RebuildStatus]:
        """Return the status of each."""
        return [self._known[name] for name in sorted(self._known)]

    def start(self, name: str, asked: RebuildAsked) -> RebuildStatus:
        """Begin a rebuild. Raises RebuildRefused while the same read model is being rebuilt, ProjectionNotFound."""
        projection = self._server.projection(name)
        with self._turn:
            known = self._known.get(name)
            if known is not None and known.state == "running":
                raise RebuildRefused(name, "is being rebuilt already", "wait for it: GET /projections shows its progress")
            begun = self._known[name] = RebuildStatus(name=name, state="running", stage="starting", done=0, total=0)
        threading.Thread(target=self._run, args=(projection, begun, asked), name=f"runfold-rebuild-{name}", daemon=True).start()
        return begun

    def _run(self, projection: AnyProjection, status: RebuildStatus, asked: RebuildAsked) -> None:
        def told(stage: str, done: int, total: int) -> None:
            status.stage, status.done, status.total = stage, done, total

        try:
            found = self._server.ledger.rebuild(projection, processes=asked.processes, keep=asked.compare_only, told=told)
        except LedgerError as error:
            _log.warning("a rebuild failed", read_model=status.name, error=type(error).__name__, detail=str(error))
            status.error = str(error)
        except Exception as error:
            _log.error("a rebuild failed unexpectedly", read_model=status.name, exc_info=error)
            status.error = f"{type(error).__name__}: {error}"
        else:
            status.rebuilt = _facts(found[0]) if found else None
        status.state = "failed" if status.error else "done"


LIST = Operation(
    "projections.list",
    "GET",
    "/projections",
    "Every read model: its position, how far behind it is, and the error of one that has stopped.",
    ProjectionList,
    "runs:read",
)
RETRY = Operation(
    "projections.retry",
    "POST",
    "/projections/{name}/retry",
    "Retry a read model that has stopped.",
    Retried,
    "projections:rebuild",
)
REBUILD = Operation(
    "projections.rebuild",
    "POST",
    "/projections/{name}/rebuild",
    "Rebuild a read model beside the one in use: compare, catch up, switch.\n\nAnswers at once; GET /projections shows the"
    " progress. With `Accept: text/event-stream` the progress is streamed until the rebuild is done. The rebuild goes on if the"
    " client hangs up.",
    RebuildStatus,
    "projections:rebuild",
    status=202,
    body=RebuildAsked,
)
OPERATIONS = (LIST, RETRY, REBUILD)


def projection_routes(server: ServerState) -> list[NamedRoute]:
    """Return the routes of read models."""
    rebuilds = Rebuilds(server)
    return [
        route_of(LIST, _listing(server, rebuilds)),
        route_of(RETRY, _retrying(server)),
        route_of(REBUILD, _rebuilding(server, rebuilds)),
    ]


def _listing(server: ServerState, rebuilds: Rebuilds) -> Handler:
    adapter = TypeAdapter(ProjectionList)

    async def handle(request: Request) -> Response:
        caller = await server.caller(request, "runs:read")
        seen_by = None if server.runs_it(caller) else caller.tenant_id
        items = await server.pools.questions.run(server.ledger.projections, server.own.values(), seen_by=seen_by)
        position = max((status.head for status in items), default=0)
        found = ProjectionList(items=items, rebuilds=[_shown(status, server, caller) for status in rebuilds.all()])
        return answer(adapter, found, {"Runfold-Position": str(position)})

    return handle


def _retrying(server: ServerState) -> Handler:
    adapter = TypeAdapter(Retried)

    async def handle(request: Request) -> Response:
        await server.caller(request, "projections:rebuild")
        name = request.path_params["name"]
        retried = await server.pools.commands.run(server.ledger.retry, name)
        return answer(adapter, Retried(name=name, retried=retried), {})

    return handle


def _rebuilding(server: ServerState, rebuilds: Rebuilds) -> Handler:
    adapter = TypeAdapter(RebuildStatus)

    async def handle(request: Request) -> Response:
        caller = await server.caller(request, "projections:rebuild")
        async with server.body(request, caller) as raw:
            asked = bodies.parsed(request, raw, RebuildAsked)
        status = rebuilds.start(request.path_params["name"], asked)
        if prefers(request, sse.MEDIA_TYPE):

            async def look() -> Report:
                seen = _shown(status, server, caller)
                return Report(adapter.dump_json(seen), seen.state != "running")

            return StreamingResponse(progress(look, partial(server.watch, caller)), 200, media_type=sse.MEDIA_TYPE)
        return answer(adapter, _shown(status, server, caller), {"Location": "/projections"}, 202)

    return handle


def _shown(status: RebuildStatus, server: ServerState, caller: Caller) -> RebuildStatus:
    """Return a rebuild's status as the caller may see it: an error may quote another tenant's data, or name hosts and files."""
    seen = status.model_copy()
    if seen.error is not None and not server.runs_it(caller):
        seen.error = f"{seen.name} could not be folded anew; whoever runs the server finds the reason in its log"
    return seen


def _facts(rebuilt: Rebuilt) -> dict[str, Any]:
    """Return counts alone: the rows that differ are of all tenants, and `runfold rebuild --diff` shows them to the operator."""
    compared = rebuilt.compared
    return {
        "generation": rebuilt.generation,
        "position": rebuilt.position,
        "switched": rebuilt.switched,
        "compared": None
        if compared is None
        else {"rows": compared.rows, "changed_since": compared.changed_since, "different": compared.different},
        "not_compared": rebuilt.not_compared,
    }
