"""Read models over HTTP: how they are, letting one go on that has stopped, folding one anew beside the one in use."""

import threading
from functools import partial
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from runfold.commands.caller import Caller
from runfold.errors import LedgerError, RebuildRefused
from runfold.http import bodies
from runfold.http.bodies import Body
from runfold.http.routing import Handler, NamedRoute, Operation, answer, route_of
from runfold.http.server_state import ServerState
from runfold.http.streams import sse
from runfold.http.streams.progress import Standing, progress
from runfold.projections.projection import AnyProjection
from runfold.projector.rebuild import Rebuilt
from runfold.projector.status import ProjectionStatus

_log = structlog.get_logger("runfold.http")


class RebuildAsked(Body):
    """How a read model is to be folded anew."""

    processes: int = Field(2, ge=1, le=64)
    """How many fold at once."""
    compare_only: bool = False
    """Only say what would be different, and leave the one in use where it is."""


class RebuildStatus(BaseModel):
    """A rebuild that this server runs, or ran last."""

    name: str
    state: str
    """running, done or failed."""
    stage: str
    """What it is at: folding, comparing, catching up."""
    done: int
    """Events folded of this stage."""
    total: int
    rebuilt: dict[str, Any] | None = None
    """What became of it: the generation, up to which position, how it compared, whether it is in use now."""
    error: str | None = None

    model_config = ConfigDict(use_attribute_docstrings=True)


class ProjectionList(BaseModel):
    """All read models."""

    items: list[ProjectionStatus]
    rebuilds: list[RebuildStatus]
    """Those that this server runs, or ran last."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Retried(BaseModel):
    """Whether a read model goes on."""

    name: str
    retried: bool
    """False where it had not stopped."""


class Rebuilds:
    """The rebuilds of this server. Each goes on in a thread of its own, whoever watches; a killed one is gone on with."""

    def __init__(self, service: ServerState) -> None:
        self._service = service
        self._turn = threading.Lock()
        self._known: dict[str, RebuildStatus] = {}

    def all(self) -> list[RebuildStatus]:
        """Each as it stands."""
        return [self._known[name] for name in sorted(self._known)]

    def start(self, name: str, asked: RebuildAsked) -> RebuildStatus:
        """Begin one. Raises RebuildRefused while another of the same is at work, ProjectionNotFound."""
        projection = self._service.projection(name)
        with self._turn:
            known = self._known.get(name)
            if known is not None and known.state == "running":
                raise RebuildRefused(name, "is being rebuilt already", "wait for that: GET /projections shows how far it is")
            begun = self._known[name] = RebuildStatus(name=name, state="running", stage="starting", done=0, total=0)
        threading.Thread(target=self._run, args=(projection, begun, asked), name=f"runfold-rebuild-{name}", daemon=True).start()
        return begun

    def _run(self, projection: AnyProjection, status: RebuildStatus, asked: RebuildAsked) -> None:
        def told(stage: str, done: int, total: int) -> None:
            status.stage, status.done, status.total = stage, done, total

        try:
            found = self._service.ledger.rebuild(projection, processes=asked.processes, keep=asked.compare_only, told=told)
        except LedgerError as error:
            _log.warning("a rebuild failed", read_model=status.name, error=type(error).__name__, detail=str(error))
            status.error = str(error)
        except Exception as error:
            _log.error("a rebuild broke off", read_model=status.name, exc_info=error)
            status.error = f"{type(error).__name__}: {error}"
        else:
            status.rebuilt = _facts(found[0]) if found else None
        status.state = "failed" if status.error else "done"


LIST = Operation(
    "projections.list",
    "GET",
    "/projections",
    "Every read model: how far it is, how far behind, and what is wrong with one that cannot go on.",
    ProjectionList,
    "runs:read",
)
RETRY = Operation(
    "projections.retry",
    "POST",
    "/projections/{name}/retry",
    "Let a read model that has stopped go on.",
    Retried,
    "projections:rebuild",
)
REBUILD = Operation(
    "projections.rebuild",
    "POST",
    "/projections/{name}/rebuild",
    "Fold a read model anew beside the one in use, compare, catch up, switch.\n\nAnswers at once, and GET"
    " /projections shows how far it is; with `Accept: text/event-stream` its progress is streamed until it is done."
    " It goes on when who watches hangs up.",
    RebuildStatus,
    "projections:rebuild",
    status=202,
    body=RebuildAsked,
)
OPERATIONS = (LIST, RETRY, REBUILD)


def projection_routes(service: ServerState) -> list[NamedRoute]:
    """The routes on read models."""
    rebuilds = Rebuilds(service)
    return [
        route_of(LIST, _listing(service, rebuilds)),
        route_of(RETRY, _retrying(service)),
        route_of(REBUILD, _rebuilding(service, rebuilds)),
    ]


def _listing(service: ServerState, rebuilds: Rebuilds) -> Handler:
    adapter = TypeAdapter(ProjectionList)

    async def handle(request: Request) -> Response:
        caller = await service.caller(request, "runs:read")
        seen_by = None if service.runs_it(caller) else caller.tenant_id
        items = await service.pools.questions.run(service.ledger.projections, service.own.values(), seen_by=seen_by)
        position = max((status.head for status in items), default=0)
        found = ProjectionList(items=items, rebuilds=[_shown(status, service, caller) for status in rebuilds.all()])
        return answer(adapter, found, {"Runfold-Position": str(position)})

    return handle


def _retrying(service: ServerState) -> Handler:
    adapter = TypeAdapter(Retried)

    async def handle(request: Request) -> Response:
        await service.caller(request, "projections:rebuild")
        name = request.path_params["name"]
        retried = await service.pools.commands.run(service.ledger.retry, name)
        return answer(adapter, Retried(name=name, retried=retried), {})

    return handle


def _rebuilding(service: ServerState, rebuilds: Rebuilds) -> Handler:
    adapter = TypeAdapter(RebuildStatus)

    async def handle(request: Request) -> Response:
        caller = await service.caller(request, "projections:rebuild")
        async with service.body(request, caller) as raw:
            asked = bodies.parsed(request, raw, RebuildAsked)
        status = rebuilds.start(request.path_params["name"], asked)
        if sse.MEDIA_TYPE in request.headers.get("accept", ""):

            async def look() -> Standing:
                seen = _shown(status, service, caller)
                return Standing(adapter.dump_json(seen), seen.state != "running")

            return StreamingResponse(progress(look, partial(service.watch, caller)), 200, media_type=sse.MEDIA_TYPE)
        return answer(adapter, _shown(status, service, caller), {"Location": "/projections"}, 202)

    return handle


def _shown(status: RebuildStatus, service: ServerState, caller: Caller) -> RebuildStatus:
    """How a rebuild stands at this moment. Why one has failed may be in the words of another tenant, or name hosts and files."""
    seen = status.model_copy()
    if seen.error is not None and not service.runs_it(caller):
        seen.error = f"{seen.name} could not be folded anew; whoever runs the server finds the reason in its log"
    return seen


def _facts(rebuilt: Rebuilt) -> dict[str, Any]:
    """Counts alone: the rows that differ are of all tenants, and shown to who runs `runfold rebuild --diff`."""
    compared = rebuilt.compared
    return {
        "generation": rebuilt.generation,
        "position": rebuilt.position,
        "switched": rebuilt.switched,
        "compared": None
        if compared is None
        else {"rows": compared.rows, "changed_since": compared.changed_since, "different": compared.different},
    }
