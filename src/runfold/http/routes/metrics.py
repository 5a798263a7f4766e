"""GET /metrics, for Prometheus: what this process has done, and how the ledger and its read models are.

The ledger is asked when it is scraped, for a moment only; without its answer, what the process knows by itself is told.
Labels are names of operations (`messages.add`) and read models, never ids or tenants.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from typing import NamedTuple, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runfold.errors import LedgerError
from runfold.feed.shared import Feed
from runfold.http.clients import is_local
from runfold.http.routes.health import Looking
from runfold.http.routing import NamedRoute, Operation, route_of
from runfold.http.scope import answered_early
from runfold.http.server_state import ServerState
from runfold.ledger import Ledger
from runfold.projector.status import ProjectionStatus, State
from runfold.store.appender import Appender

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_OPERATION = "none"
"""The label of requests that no route takes."""
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_log = structlog.get_logger("runfold.http")


class Metrics:
    """What one application counts, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        by = ("method", "operation")
        self._requests = Counter("runfold_http_requests", "Requests that were answered.", (*by, "status"), registry=self.registry)
        self._seconds = Histogram(
            "runfold_http_request_duration_seconds",
            "From request to the end of the answer; not of event streams.",
            by,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._open = Gauge("runfold_http_requests_in_progress", "Requests being answered now.", registry=self.registry)
        Gauge("runfold_info", "Which Runfold this is.", ("version",), registry=self.registry).labels(
            metadata.version("runfold")
        ).set(1)
        ProcessCollector(registry=self.registry)

    @contextlib.contextmanager
    def in_progress(self) -> Iterator[None]:
        """While a request is answered."""
        with self._open.track_inprogress():
            yield

    def answered(self, method: str, operation: str, status: int, seconds: float | None) -> None:
        """Count an answer. A stream's has no seconds."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, operation, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(method, operation).observe(seconds)


class Observed:
    """An application whose answers are counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count it under the operation that was asked for."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, is_stream = time.perf_counter(), 500, False

        async def sent(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                answered_early(scope)
                status = message["status"]
                kinds = (value for name, value in message.get("headers", ()) if name.lower() == b"content-type")
                is_stream = next(kinds, b"").startswith(b"text/event-stream")
            await send(message)

        with self.metrics.in_progress():
            try:
                await self.app(scope, receive, sent)
            finally:
                operation = getattr(scope.get("route"), "name", NO_OPERATION)
                seconds = None if is_stream else time.perf_counter() - began
                self.metrics.answered(scope["method"], operation, status, seconds)


class Standing(NamedTuple):
    """What the database said of the ledger."""

    head: int
    projections: list[ProjectionStatus]


class _Families(Collector):
    """Families of metrics that are made when they are asked for."""

    def __init__(self, make: Callable[[], Iterable[Metric]]) -> None:
        self._make = make

    def collect(self) -> Iterable[Metric]:
        return self._make()


SCRAPE = Operation(
    "metrics.scrape",
    "GET",
    "/metrics",
    "Counts and durations for Prometheus, of this process and of the ledger.\nFrom this machine no key is needed,"
    " unless the settings name proxies or public hosts.",
    str,
    "admin",
    media_type="text/plain",
    part="health",
)
OPERATIONS = (SCRAPE,)


def metrics_routes(service: ServerState, feed: Feed, metrics: Metrics) -> list[NamedRoute]:
    """/metrics."""
    looking = Looking()
    appender = service.ledger.command_executor.appender
    metrics.registry.register(_Families(lambda: of_appender(appender)))
    metrics.registry.register(_Families(lambda: of_feed(feed)))

    async def scrape(request: Request) -> Response:
        if service.is_behind_proxy or not is_local(request):
            await service.caller(request, "admin")
        standing = await _standing(looking, service.ledger)
        asked = CollectorRegistry()
        asked.register(_Families(lambda: of_ledger(standing)))
        text = generate_latest(metrics.registry) + generate_latest(asked)
        return Response(text, headers={"Cache-Control": "no-store"}, media_type=MEDIA_TYPE)

    return [
        route_of(SCRAPE, scrape),
    ]


async def _standing(looking: Looking, ledger: Ledger) -> Standing | None:
    try:
        return await looking.ask(lambda: Standing(ledger.position(), ledger.projections()))
    except TimeoutError:
        _log.warning("the metrics leave out the ledger", error="the database did not answer in time")
    except LedgerError as error:
        _log.warning("the metrics leave out the ledger", error=str(error))
    return None


def of_appender(appender: Appender) -> Iterator[Metric]:
    """What this process has appended."""
    tally = appender.tally
    counts = {
        "runfold_commands_appended": ("Commands whose events were stored by this process.", tally.commands),
        "runfold_events_appended": ("Events stored by this process.", tally.events),
        "runfold_append_conflicts": (
            "Commands that found a stream elsewhere than they believed; most are decided anew, and stored.",
            tally.conflicts,
        ),
        "runfold_append_failures": ("Commands that the database did not take.", tally.failures),
    }
    for name, (about, count) in counts.items():
        yield CounterMetricFamily(name, about, value=count)
    yield GaugeMetricFamily("runfold_append_queue_commands", "Commands that wait to be stored.", value=appender.waiting)
    buckets, total = [], 0
    for size, count in tally.batches.items():
        total += count
        buckets.append(("+Inf" if size == math.inf else f"{size:.1f}", total))
    yield HistogramMetricFamily(
        "runfold_append_batch_events", "Events stored in one transaction.", buckets=buckets, sum_value=tally.events
    )


def of_feed(feed: Feed) -> Iterator[Metric]:
    """What this process gives to those who follow the log."""
    yield GaugeMetricFamily("runfold_feed_subscribers", "Event streams that are open.", value=feed.subscribers)
    yield CounterMetricFamily("runfold_feed_events_sent", "Events sent in event streams.", value=feed.sent)
    yield CounterMetricFamily("runfold_feed_streams_dropped", "Streams whose client read too slowly.", value=feed.dropped)


def of_ledger(standing: Standing | None) -> Iterator[Metric]:
    """How the ledger is, and its read models."""
    yield GaugeMetricFamily("runfold_database_up", "1: the database answered this scrape.", value=int(standing is not None))
    if standing is None:
        return
    yield GaugeMetricFamily("runfold_head_position", "The last position of the ledger.", value=standing.head)
    names = ("projection", "generation")
    position = GaugeMetricFamily("runfold_projection_position", "The last position that was folded.", labels=names)
    events = GaugeMetricFamily("runfold_projection_lag_events", "Events that were not folded yet.", labels=names)
    seconds = GaugeMetricFamily(
        "runfold_projection_lag_seconds",
        "For how long the first event that was not folded yet has been in the ledger.",
        labels=names,
    )
    state = GaugeMetricFamily("runfold_projection_state", "1 for the state that it is in.", labels=(*names, "state"))
    for found in standing.projections:
        labels = [found.name, str(found.generation or 0)]
        position.add_metric(labels, found.position or 0)
        events.add_metric(labels, found.behind_events)
        seconds.add_metric(labels, found.behind_seconds or 0.0)
        for name in get_args(State):
            state.add_metric([*labels, name.replace(" ", "_")], int(name == found.state))
    yield from (position, events, seconds, state)
