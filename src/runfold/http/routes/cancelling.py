"""Many runs cancelled in one request, each by itself."""

from pydantic import BaseModel, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from runfold.domain.values import RunId
from runfold.handles.ledgers.cancelling import MOST, CancelledRun
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http import bodies
from runfold.http.bodies import Body
from runfold.http.routes.commands import HEADERS
from runfold.http.routing import Handler, NamedRoute, Operation, answer, route_of
from runfold.http.server_state import KEY_HEADER, ServerState

_FILTERS = ("thread_id", "agent_id", "user_id", "goal_id", "workflow_id", "status")


class CancelAsked(Body):
    """Which runs to cancel: by their ids, or by what those that have not ended are of."""

    run_ids: list[RunId] | None = Field(None, max_length=MOST)
    """The runs. Either these or other fields say which."""
    thread_id: list[str] | None = None
    """Only runs in these threads."""
    agent_id: list[str] | None = None
    """Only runs of these agents."""
    user_id: list[str] | None = None
    """Only runs in threads of these users."""
    goal_id: list[str] | None = None
    """Only runs towards these goals."""
    workflow_id: list[str] | None = None
    """Only runs of these workflows."""
    status: list[str] | None = None
    """Only runs with these statuses."""
    reason: str | None = None
    """Why."""
    force: bool = False
    """Whether a run that a worker holds is cancelled at once, and not asked to stop."""
    dry_run: bool = False
    """Whether only what would come of it is told."""
    limit: int = Field(100, ge=1, le=MOST)
    """How many at most."""


class CancelledRuns(BaseModel):
    """What became of each run."""

    items: list[CancelledRun]


CANCEL = Operation(
    "runs.cancel_many",
    "POST",
    "/runs/cancel",
    "Cancel many runs, each by itself.\n\nA run that a worker holds is asked to stop (`cancelling`), unless `force` is set; its"
    " worker hears of it when it renews its lease. A run that cannot be found fails no other. Under the same idempotency key each"
    " run is cancelled once; where filters choose the runs, they choose anew among those that have not ended by then.",
    CancelledRuns,
    "runs:write",
    body=CancelAsked,
    headers={KEY_HEADER: HEADERS[KEY_HEADER]},
)
OPERATIONS = (CANCEL,)


def cancelling_routes(server: ServerState) -> list[NamedRoute]:
    """Return the route."""
    return [route_of(CANCEL, _cancelling(server))]


def _cancelling(server: ServerState) -> Handler:
    adapter = TypeAdapter(CancelledRuns)

    async def handle(request: Request) -> Response:
        async with server.commanding(request, "runs:write") as (ledger, raw):
            said = await server.parsed(request, raw, lambda request, raw: bodies.parsed(request, raw, CancelAsked))
            found = await server.pools.commands.run(_cancel, ledger, said)
        return answer(adapter, CancelledRuns(items=found), {})

    return handle


def _cancel(ledger: TenantLedger, said: CancelAsked) -> list[CancelledRun]:
    choice = {name: value for name in _FILTERS if (value := getattr(said, name)) is not None}
    return ledger.cancel_runs(
        said.run_ids, reason=said.reason, force=said.force, wait="0s", dry_run=said.dry_run, limit=said.limit, **choice
    )
