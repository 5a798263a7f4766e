"""The ASGI application: all routes on one ledger, and the OpenAPI document."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from runfold.access.admission import Connections
from runfold.access.asking import Access
from runfold.access.keys import Keys
from runfold.access.limits import Limits, Tally
from runfold.api.table import COMMANDS, DEPRECATED_QUESTIONS, QUESTIONS
from runfold.domain.catalogue import event_types
from runfold.feed.shared import Feed
from runfold.http.agents.agent import AgentSource, agents_of
from runfold.http.clients import AsClientsCame, Clients, PublicHosts
from runfold.http.document import openapi
from runfold.http.metrics.process import Metrics, Observed
from runfold.http.router import IndexedRouter
from runfold.http.routes import (
    agents,
    batches,
    bundles,
    cancelling,
    commands,
    docs,
    events,
    health,
    keys,
    metrics,
    moments,
    projections,
    questions,
    receipts,
    schemas,
    sealed_log,
    subscriptions,
    webhook_secrets,
)
from runfold.http.routing import NamedRoute, Operation
from runfold.http.server_state import Beside, ServerState
from runfold.http.streams import sse
from runfold.ledger import Ledger
from runfold.projections.projection import AnyProjection
from runfold.settings import Settings, listed

if TYPE_CHECKING:
    from runfold.http.agents.work import Work

__all__ = ["create_app", "described", "operations"]

CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CORS_HEADERS = (
    *("Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"),
    *(receipts.HEADER, "traceparent", "tracestate"),  # a page that is traced sends both
)
CORS_SHOWN = (
    *("Allow", "Content-Disposition", "ETag", "Link", "Location", "Retry-After", "WWW-Authenticate"),
    *("Runfold-Position", bundles.VERDICT, bundles.UNSEALED),
)


class Service(Starlette):
    """Our routes and middleware, without the layers that Starlette puts around them for errors, which each request goes through:
    a route answers what it raises, and `Observed`, around all, what nobody foresaw.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Return the application with its middleware around it."""
        app: ASGIApp = self.router
        for made, given, named in reversed(self.user_middleware):
            app = made(app, *given, **named)
        return app


def create_app(
    ledger: Ledger,
    access: Access | None = None,
    limits: Limits | None = None,
    projections: Iterable[AnyProjection] = (),
    *,
    agents: Mapping[str, AgentSource] | None = None,
    tally: Tally | None = None,
    beside: Beside | None = None,
) -> Starlette:
    """Return the application that serves a ledger to whoever `access` admits: who shows a key, if none is given.

    `agents`, by name, are what AG-UI's clients may let run: async functions from a run's input to events, or the URLs of other
    AG-UI servers. `projections` are projections that requests may name, beside those that Runfold brings. Of several processes
    that serve together, each is given a `tally` of the bytes that all of them work on, and what is `beside` it.
    """
    named = {each.name: each for each in projections}
    server = ServerState(ledger, access or Keys(ledger), limits or Limits(), named, ledger.preparer(), tally=tally, beside=beside)
    feed, counts = Feed(sse), Metrics()
    server.work = _work(ledger, agents or {}, server.limits)
    if server.work is not None:
        feed.when_closed.append(ledger.command_executor.tell_stored(feed.fresh.stored))
    app = Service()
    pages = _page_routes(events.event_routes(server, feed)) if ledger.settings.pages else []
    app.router = IndexedRouter([*_routes(server, feed, counts), *docs.docs_routes(described), *pages], lifespan=_while_serving)
    _add_middleware(app, ledger.settings, counts)
    feed.when_closed.append(server.progress.close)
    app.state.server, app.state.feed, app.state.connections = server, feed, Connections(server.limits)
    app.state.metrics = counts
    return app


def _work(ledger: Ledger, agents: Mapping[str, AgentSource], limits: Limits) -> "Work | None":
    if not agents:
        return None
    from runfold.http.agents.work import Work  # noqa: PLC0415  only who serves agents has what it needs

    return Work(ledger, agents_of(agents), ledger.settings.agent_lease, limits.agent_runs)


def _add_middleware(app: Starlette, settings: Settings, counts: Metrics) -> None:
    """Add the middleware. What is added last sees a request first."""
    if settings.public_hosts:
        app.add_middleware(PublicHosts, names=listed(settings.public_hosts))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=listed(settings.cors_origins),
            allow_methods=CORS_METHODS,
            allow_headers=CORS_HEADERS,
            expose_headers=CORS_SHOWN,
        )
    if settings.trusted_proxies:
        app.add_middleware(AsClientsCame, clients=Clients(settings.trusted_proxies))
    app.add_middleware(Observed, metrics=counts)


def _routes(server: ServerState, feed: Feed, counts: Metrics) -> list[NamedRoute]:
    served = agents.Agents(server, feed)
    return [
        *(agents.or_agent(route, served) if route.name == agents.BESIDE else route for route in commands.command_routes(server)),
        *batches.batch_routes(server),
        *cancelling.cancelling_routes(server),
        *questions.question_routes(server),
        *moments.moment_routes(server),
        *events.event_routes(server, feed),
        *subscriptions.subscription_routes(server),
        *agents.agent_routes(served),
        *keys.key_routes(server),
        *webhook_secrets.webhook_secret_routes(server),
        *sealed_log.sealed_log_routes(server),
        *receipts.receipt_routes(server),
        *bundles.bundle_routes(server),
        *projections.projection_routes(server),
        *schemas.schema_routes(),
        *health.health_routes(server),
        *metrics.metrics_routes(server, feed, counts),
    ]


def _page_routes(streams: Iterable[NamedRoute]) -> list[NamedRoute]:
    """Return the routes of what people see in a browser, which follows streams of events as who is signed in."""
    from runfold.pages.routes import screens  # noqa: PLC0415  who serves programs alone draws nothing
    from runfold.pages.screen import Screen  # noqa: PLC0415

    live = [Screen(f"pages.{each.name}", f"/ui/live{each.path}", each.endpoint) for each in streams]
    return [NamedRoute(screen.name, screen.verb, screen.path, screen.answer) for screen in screens(live)]


def operations() -> list[Operation]:
    """Return every operation of the API, in the order of the document."""
    return [
        *map(commands.operation_of, COMMANDS),
        *batches.OPERATIONS,
        *cancelling.OPERATIONS,
        *map(questions.operation_of, (*QUESTIONS, *DEPRECATED_QUESTIONS)),
        *moments.OPERATIONS,
        *events.OPERATIONS,
        *subscriptions.OPERATIONS,
        *agents.OPERATIONS,
        *keys.OPERATIONS,
        *webhook_secrets.OPERATIONS,
        *sealed_log.OPERATIONS,
        *receipts.OPERATIONS,
        *bundles.OPERATIONS,
        *projections.OPERATIONS,
        *schemas.OPERATIONS,
        *health.OPERATIONS,
        *metrics.OPERATIONS,
    ]


@contextlib.asynccontextmanager
async def _while_serving(app: Starlette) -> AsyncIterator[None]:
    preparer = app.state.server.preparer
    preparer.start()
    yield
    app.state.feed.close()
    if app.state.server.work is not None:
        await app.state.server.work.close()
    await run_in_threadpool(preparer.stop)
    await app.state.server.access.close()


@cache
def described() -> dict[str, Any]:
    """Return the OpenAPI document of the API."""
    return openapi(operations(), dict(sorted(event_types.all().items())))
