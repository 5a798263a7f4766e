"""The application: all routes on one ledger."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from functools import cache
from typing import Any, cast

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from runfold.access.admission import Connections
from runfold.access.asking import Access
from runfold.access.limits import Limits
from runfold.feed.shared import Feed
from runfold.http import problems
from runfold.http.clients import PublicHosts
from runfold.http.document import DESCRIPTION, TITLE, openapi
from runfold.http.routes.batches import add_batches
from runfold.http.routes.commands import add_commands
from runfold.http.routes.docs import add_docs
from runfold.http.routes.events import add_events
from runfold.http.routes.health import add_health
from runfold.http.routes.keys import add_keys
from runfold.http.routes.metrics import Metrics, Observed, add_metrics
from runfold.http.routes.moments import add_moments
from runfold.http.routes.projections import add_projections
from runfold.http.routes.questions import add_questions
from runfold.http.routing import Written
from runfold.http.server_state import ServerState
from runfold.ledger import Ledger
from runfold.projections.projection import AnyProjection
from runfold.settings import Settings, listed

__all__ = ["create_app", "described"]

CORS_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CORS_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID", "traceparent")
CORS_SHOWN = ("ETag", "Location", "Retry-After", "Runfold-Position")


def create_app(
    ledger: Ledger, access: Access, limits: Limits | None = None, projections: Iterable[AnyProjection] = ()
) -> FastAPI:
    """The service on a ledger, for whoever `access` lets in.

    `projections` are those that may be named in requests beside those that every program knows.
    """
    service = ServerState(ledger, access, limits or Limits(), {each.name: each for each in projections}, ledger.preparer())
    app = FastAPI(title=TITLE, description=DESCRIPTION, openapi_url=None, docs_url=None, redoc_url=None, lifespan=_while_serving)
    problems.add_handlers(app)
    feed, metrics = Feed(), Metrics()
    _add_all(app.router, service, feed, metrics)  # its own router: one that is included is looked through by a slower way
    add_docs(app, described)
    _add_middleware(app, ledger.settings, metrics)
    feed.when_closed.append(service.progress.close)
    app.state.service, app.state.feed, app.state.connections = service, feed, Connections(service.limits)
    return app


def _add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """The last one added is asked first."""
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
    app.add_middleware(Observed, metrics=metrics)


def _add_all(router: APIRouter, service: ServerState, feed: Feed, metrics: Metrics) -> None:
    add_commands(router, service)
    add_batches(router, service)
    add_questions(router, service)
    add_moments(router, service)
    add_events(router, service, feed)
    add_keys(router, service)
    add_projections(router, service)
    add_health(router, service)
    add_metrics(router, service, feed, metrics)


@contextlib.asynccontextmanager
async def _while_serving(app: FastAPI) -> AsyncIterator[None]:
    preparer = app.state.service.preparer
    preparer.start()
    yield
    app.state.feed.close()
    await run_in_threadpool(preparer.stop)
    await app.state.service.access.close()


@cache
def described() -> dict[str, Any]:
    """The OpenAPI document of the service. It needs no ledger, for nobody asks anything of routes that are written down."""
    written = Written()
    _add_all(written, ServerState(cast("Ledger", None), cast("Access", None)), Feed(), Metrics())
    return openapi(written.routes)
