"""GET /healthz and GET /readyz. They need no key, so no answer names hosts, users or tenants.

No answer waits for the database longer than a moment, whatever is wrong with it.
"""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from typing import Literal, TypeVar

import anyio
import anyio.to_thread
import structlog
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from runfold.api.table import API_VERSION
from runfold.errors import LedgerClosed, LedgerError, LedgerUnavailable, MigrationRefused
from runfold.evidence.sealing.status import seal_status
from runfold.http.problems import problem
from runfold.http.routing import NamedRoute, Operation, route_of
from runfold.http.server_state import ServerState
from runfold.projector.status import ProjectionStatus
from runfold.queries.reactors import late_reactors
from runfold.store.setup import migrate

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
_QUESTIONS_AT_ONCE = 2
_NO_ANSWER = "the database does not answer, or refuses the connection; the log says which, and why"
_log = structlog.get_logger("runfold.http")


class Alive(BaseModel):
    """The process is running."""

    status: Literal["alive"] = "alive"
    version: str
    api: str = API_VERSION
    """The version of the API."""
    durability: Literal["required", "not required"]
    """Whether Runfold refuses a database that could lose acknowledged events in a crash. It does so by default."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Ready(BaseModel):
    """The server takes requests, and its read models are fresh enough."""

    status: Literal["ready"] = "ready"
    position: int
    """The last position in the ledger."""
    behind_seconds: float
    """How far the slowest read model is behind."""
    unsealed_seconds: float
    """The age of the oldest event that is not sealed yet."""
    unsafe_settings: dict[str, str]
    """The database settings that could lose acknowledged events in a crash; empty unless the settings allow that."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Looking:
    """Queries the database with a short timeout. One that takes longer goes on in one of a few threads; nobody waits for it."""

    def __init__(self) -> None:
        self._threads = anyio.CapacityLimiter(_QUESTIONS_AT_ONCE)

    async def ask(self, question: Callable[[], T]) -> T:
        """Return the answer. Raises TimeoutError, and whatever the question raises, which is logged if nobody waits for it."""
        is_over = threading.Event()

        def asked() -> T:
            try:
                return question()
            except LedgerError as error:
                if is_over.is_set() and not isinstance(error, LedgerClosed):
                    _log_why(error)
                raise

        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                return await anyio.to_thread.run_sync(asked, abandon_on_cancel=True, limiter=self._threads)
        except TimeoutError:
            is_over.set()
            raise


ALIVE = Operation(
    "health.check",
    "GET",
    "/healthz",
    "Whether the process is running. The database is not queried.",
    Alive,
    None,
    part="health",
)
READY = Operation(
    "readiness.check",
    "GET",
    "/readyz",
    "Whether the server is ready for requests: the database answers, its schema is current, and read models are fresh."
    " If not, 503 with `reasons`.",
    Ready,
    None,
    part="health",
)
OPERATIONS = (ALIVE, READY)


def health_routes(server: ServerState) -> list[NamedRoute]:
    """Return the routes of /healthz and /readyz."""
    looking = Looking()
    allowed = server.ledger.settings.unsafe_durability
    alive_now = Alive(version=metadata.version("runfold"), durability="not required" if allowed else "required")

    async def alive(_: Request) -> Response:
        return _plain(alive_now)

    async def ready(request: Request) -> Response:
        reasons: list[str] = []
        with _told(reasons):
            found = await looking.ask(lambda: _readiness(server, reasons))
        if not reasons:
            return _plain(found)
        detail = f"not ready: {'; '.join(reasons)}"
        return problem(request, "NotReady", 503, detail, {"reasons": reasons}, {"Retry-After": "1", "Cache-Control": "no-store"})

    return [
        route_of(ALIVE, alive),
        route_of(READY, ready),
    ]


def _plain(found: BaseModel) -> Response:
    return Response(found.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json")


@contextlib.contextmanager
def _told(reasons: list[str]) -> Iterator[None]:
    """Turn an error into a reason. What PostgreSQL says may name hosts and users, so it goes to the log alone."""
    try:
        yield
    except TimeoutError:
        reasons.append(_NO_ANSWER)
    except MigrationRefused as error:
        reasons.append(str(error))
    except LedgerError as error:
        _log_why(error)
        reasons.append(_NO_ANSWER if isinstance(error, LedgerUnavailable) else f"{type(error).__name__}; the log says more")


def _log_why(error: LedgerError) -> None:
    _log.warning("not ready", error=type(error).__name__, detail=str(error))


def _readiness(server: ServerState, reasons: list[str]) -> Ready:
    """Return how it is ready. A read model that others have folded, and this server does not serve, keeps nobody waiting."""
    ledger = server.ledger
    reader = ledger.recorder.reader
    migrate.check(reader)
    found = [status for status in ledger.projections(server.own.values()) if status.name in server.served]
    reasons += late(found, ledger.settings.max_lag)
    reasons += late_reactors(ledger.reactors(), ledger.settings.max_lag)
    behind = max((status.behind_seconds or 0.0 for status in in_use(found)), default=0.0)
    return Ready(
        position=reader.head().position,
        behind_seconds=behind,
        unsealed_seconds=seal_status(reader).unsealed_seconds,
        unsafe_settings=reader.unsafe_settings(),
    )


def in_use(found: Iterable[ProjectionStatus]) -> Iterator[ProjectionStatus]:
    """Yield the read models in use, without those that are being built beside them, or half built."""
    return (status for status in found if status.state not in {"being built", "interrupted", "not begun"})


def late(found: Iterable[ProjectionStatus], most_seconds: float) -> list[str]:
    """Return one reason for each read model that cannot be read yet, or is too far behind."""
    by_name: dict[str, list[ProjectionStatus]] = defaultdict(list)
    for status in found:
        by_name[status.name].append(status)
    return [reason for name, statuses in by_name.items() if (reason := _lateness(name, statuses, most_seconds))]


def _lateness(name: str, statuses: list[ProjectionStatus], most_seconds: float) -> str | None:
    serving = next(in_use(statuses), None)
    if serving is None:
        return f"the read model {name} is {statuses[0].state}; `runfold work` folds it"
    seconds = serving.behind_seconds or 0.0
    if seconds <= most_seconds:
        return None
    by_how_much = f"{serving.behind_events:,} events and {seconds:,.0f} s behind"
    return f"the read model {name} is {by_how_much}, {serving.state}; `runfold projections` says why"
