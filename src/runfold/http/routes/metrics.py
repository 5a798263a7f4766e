"""GET /metrics for Prometheus: counters of the process, or of each that serves, and gauges of the ledger and its read models.

Each scrape queries the ledger for two seconds at most. Where the database does not answer in time, the scrape holds what the
process knows by itself. Labels are names of operations (`messages.add`), read models and subscriptions, never ids or tenants.
"""

from collections.abc import Callable, Iterable

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from runfold.errors import AccessDenied, LedgerError
from runfold.feed.shared import Feed
from runfold.http.clients import is_local
from runfold.http.metrics.ledger import LedgerFigures, of_ledger, read_figures
from runfold.http.metrics.process import Metrics, of_appender, of_feed
from runfold.http.metrics.together import together
from runfold.http.routes.health import Looking
from runfold.http.routing import NamedRoute, Operation, route_of
from runfold.http.server_state import ServerState
from runfold.ledger import Ledger

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OF_ALL = "metrics are of all tenants; use a key with the scope admin of the tenant that the server runs under"
_log = structlog.get_logger("runfold.http")


class _Families(Collector):
    """A collector that builds its metrics when they are scraped."""

    def __init__(self, make: Callable[[], Iterable[Metric]]) -> None:
        self._make = make

    def collect(self) -> Iterable[Metric]:
        return self._make()


SCRAPE = Operation(
    "metrics.scrape",
    "GET",
    "/metrics",
    "Metrics of the server's processes and of the ledger, in Prometheus' text format.\nRequests from this machine need no key,"
    " unless the settings name proxies or public hosts; others need a key of the tenant that the server runs under.",
    str,
    "admin",
    media_types={"text/plain": {"type": "string"}},
    part="health",
)
OPERATIONS = (SCRAPE,)


def metrics_routes(server: ServerState, feed: Feed, metrics: Metrics) -> list[NamedRoute]:
    """Return the route of /metrics."""
    looking = Looking()
    appender = server.ledger.command_executor.appender
    metrics.registry.register(_Families(lambda: of_appender(appender)))
    metrics.registry.register(_Families(lambda: of_feed(feed)))

    async def scrape(request: Request) -> Response:
        if server.is_behind_proxy or not is_local(request):
            caller = await server.caller(request, "admin")
            if not server.runs_it(caller):  # subscriptions have the names that their tenants gave them
                raise AccessDenied(_OF_ALL)
        figures = await _figures(looking, server.ledger)
        registry = CollectorRegistry()
        registry.register(_Families(lambda: of_ledger(figures)))
        own = generate_latest(metrics.registry)
        if server.beside is not None:
            own = together({server.beside.number: own.decode(), **await server.beside.metrics()})
        text = own + generate_latest(registry)
        return Response(text, headers={"Cache-Control": "no-store"}, media_type=MEDIA_TYPE)

    return [route_of(SCRAPE, scrape)]


async def _figures(looking: Looking, ledger: Ledger) -> LedgerFigures | None:
    """Return what the database says, or None where it does not answer in time."""
    try:
        return await looking.ask(lambda: read_figures(ledger))
    except TimeoutError:
        _log.warning("the scrape holds no metrics of the ledger", error="the database did not answer in time")
    except LedgerError as error:
        _log.warning("the scrape holds no metrics of the ledger", error=str(error))
    return None
