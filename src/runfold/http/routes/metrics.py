"""GET /metrics for Prometheus: counters of the process, or of each that serves, and gauges of the ledger and its read models.

Each scrape queries the ledger for two seconds at most. Where the database does not answer in time, the scrape holds what the
process knows by itself. Labels are names of operations (`messages.add`), read models and subscriptions, never ids or tenants.
"""

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

from runfold.errors import AccessDenied, LedgerError
from runfold.evidence.sealing.status import (
    PlaceStatus,
    SealStatus,
    WitnessStatus,
    place_statuses,
    seal_status,
    witness_statuses,
)
from runfold.feed.shared import Feed
from runfold.http.clients import is_local
from runfold.http.metrics_together import together
from runfold.http.routes.health import Looking
from runfold.http.routing import NamedRoute, Operation, route_of
from runfold.http.scope import answered_early
from runfold.http.server_state import ServerState
from runfold.ledger import Ledger
from runfold.projector.status import ProjectionState, ProjectionStatus
from runfold.queries.reactors import ReactorState, ReactorStatus
from runfold.queries.webhooks import DeliveryFigures, delivery_figures
from runfold.store.appending.appender import Appender
from runfold.subscriptions.lags import Lag, lags

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_OPERATION = "none"
"""The label of requests that match no route."""
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OF_ALL = "metrics are of all tenants; use a key with the scope admin of the tenant that the server runs under"
_log = structlog.get_logger("runfold.http")


class Metrics:
    """The counters of one application, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        by = ("method", "operation")
        self._requests = Counter("runfold_http_requests", "HTTP requests answered.", (*by, "status"), registry=self.registry)
        self._seconds = Histogram(
            "runfold_http_request_duration_seconds",
            "Time from the request to the end of its answer; event streams are not included.",
            by,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.open = 0
        """Requests in progress."""
        Gauge("runfold_http_requests_in_progress", "HTTP requests in progress.", registry=self.registry).set_function(
            lambda: self.open
        )
        self._counts: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        Gauge("runfold_info", "The version of this Runfold; the value is always 1.", ("version",), registry=self.registry).labels(
            metadata.version("runfold")
        ).set(1)
        ProcessCollector(registry=self.registry)

    def answered(self, method: str, operation: str, status: int, seconds: float | None) -> None:
        """Count an answered request; `seconds` is None for an event stream, whose duration says nothing."""
        kind = method if method in _METHODS else "other", operation, status
        if kind not in self._counts:  # to look up what has some labels takes longer than to count it
            self._counts[kind] = self._requests.labels(*kind[:2], str(status)), self._seconds.labels(*kind[:2])
        requests, duration = self._counts[kind]
        requests.inc()
        if seconds is not None:
            duration.observe(seconds)


class Observed:
    """The middleware that counts requests."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it under the name of its operation."""
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

        self.metrics.open += 1
        try:
            await self.app(scope, receive, sent)
        finally:
            self.metrics.open -= 1
            operation = getattr(scope.get("route"), "name", NO_OPERATION)
            seconds = None if is_stream else time.perf_counter() - began
            self.metrics.answered(scope["method"], operation, status, seconds)


class LedgerFigures(NamedTuple):
    """The figures that a scrape reads from the database."""

    head: int
    projections: list[ProjectionStatus]
    delivery: DeliveryFigures
    reactors: list[ReactorStatus]
    subscriptions: list[Lag]
    sealing: SealStatus
    witnesses: list[WitnessStatus]
    places: list[PlaceStatus]


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
        return await looking.ask(lambda: _read_figures(ledger))
    except TimeoutError:
        _log.warning("the scrape holds no metrics of the ledger", error="the database did not answer in time")
    except LedgerError as error:
        _log.warning("the scrape holds no metrics of the ledger", error=str(error))
    return None


def _read_figures(ledger: Ledger) -> LedgerFigures:
    reader = ledger.recorder.reader
    return LedgerFigures(
        ledger.position(),
        ledger.projections(),
        delivery_figures(reader),
        ledger.reactors(),
        lags(reader),
        seal_status(reader),
        witness_statuses(reader),
        place_statuses(reader),
    )


def of_appender(appender: Appender) -> Iterator[Metric]:
    """Yield the counters of appending."""
    tally = appender.tally
    counts = {
        "runfold_commands_appended": ("Commands whose events this process stored.", tally.commands),
        "runfold_events_appended": ("Events that this process stored.", tally.events),
        "runfold_append_conflicts": (
            "Commands that hit a version conflict; most are retried and stored.",
            tally.conflicts,
        ),
        "runfold_append_failures": ("Commands whose append failed.", tally.failures),
    }
    for name, (about, count) in counts.items():
        yield CounterMetricFamily(name, about, value=count)
    yield GaugeMetricFamily("runfold_append_queue_commands", "Commands waiting to be stored.", value=len(appender.queue))
    buckets, total = [], 0
    for size, count in tally.batches.items():
        total += count
        buckets.append(("+Inf" if size == math.inf else f"{size:.1f}", total))
    yield HistogramMetricFamily(
        "runfold_append_batch_events", "Events stored in one transaction.", buckets=buckets, sum_value=tally.events
    )


def of_feed(feed: Feed) -> Iterator[Metric]:
    """Yield the metrics of event streams."""
    yield GaugeMetricFamily("runfold_feed_subscribers", "Open event streams.", value=feed.subscribers)
    yield CounterMetricFamily("runfold_feed_events_sent", "Events sent to event streams.", value=feed.sent)
    yield CounterMetricFamily("runfold_feed_streams_dropped", "Event streams closed for slow reading.", value=feed.dropped)


def of_ledger(figures: LedgerFigures | None) -> Iterator[Metric]:
    """Yield the gauges of the ledger and its read models."""
    yield GaugeMetricFamily(
        "runfold_database_up", "1 if the database answered during this scrape, else 0.", value=int(figures is not None)
    )
    if figures is None:
        return
    yield GaugeMetricFamily("runfold_head_position", "The last position in the ledger.", value=figures.head)
    names = ("projection", "generation")
    position = GaugeMetricFamily("runfold_projection_position", "The last position applied by the read model.", labels=names)
    events = GaugeMetricFamily("runfold_projection_lag_events", "Events not applied yet.", labels=names)
    seconds = GaugeMetricFamily(
        "runfold_projection_lag_seconds",
        "Age of the oldest event not applied yet.",
        labels=names,
    )
    state = GaugeMetricFamily(
        "runfold_projection_state", "1 for the read model's current state, else 0.", labels=(*names, "state")
    )
    for found in figures.projections:
        labels = [found.name, str(found.generation or 0)]
        position.add_metric(labels, found.position or 0)
        events.add_metric(labels, found.behind_events)
        seconds.add_metric(labels, found.behind_seconds or 0.0)
        for name in get_args(ProjectionState):
            state.add_metric([*labels, name.replace(" ", "_")], int(name == found.state))
    yield from (position, events, seconds, state)
    yield from of_delivery(figures.delivery)
    yield from of_reactors(figures.reactors)
    yield from of_subscriptions(figures.subscriptions)
    yield from of_sealing(figures.sealing, figures.witnesses, figures.places)


def of_sealing(found: SealStatus, witnesses: Iterable[WitnessStatus], places: Iterable[PlaceStatus]) -> Iterator[Metric]:
    """Yield the gauges of the sealed log, of those who sign its checkpoints, too, and of where these are published."""
    about = "For how long the witness has not signed what it was asked to; 0 where it did."
    failing = GaugeMetricFamily("runfold_seal_witness_failing_seconds", about, labels=["witness"])
    for witness in witnesses:
        failing.add_metric([witness.witness], witness.failing_seconds)
    about = "For how long the place could not be given a checkpoint; 0 where it has the last one."
    unpublished = GaugeMetricFamily("runfold_seal_place_failing_seconds", about, labels=["place"])
    for place in places:
        unpublished.add_metric([place.place], place.failing_seconds)
    yield from (failing, unpublished)
    gauges = {
        "runfold_sealed_position": ("Up to where all events are sealed.", found.position),
        "runfold_unsealed_events": ("Events that are not sealed yet.", found.unsealed_events),
        "runfold_unsealed_age_seconds": ("Age of the oldest event that is not sealed yet.", found.unsealed_seconds),
        "runfold_seal_alarms": ("Events that were lost before they were sealed, or came in behind what was.", found.alarms),
    }
    for name, (about, value) in gauges.items():
        yield GaugeMetricFamily(name, about, value=value)


def of_delivery(figures: DeliveryFigures) -> Iterator[Metric]:
    """Yield the gauges of what is sent to webhooks, and to the addresses that runs named."""
    gauges = {
        "runfold_webhooks_active": ("Webhooks that are sent events.", figures.webhooks),
        "runfold_webhooks_disabled": ("Webhooks that are disabled.", figures.disabled),
        "runfold_webhooks_lag_events": ("Events that the webhook furthest behind has not looked at.", figures.behind_events),
        "runfold_deliveries_waiting": ("What waits to be sent.", figures.waiting),
        "runfold_deliveries_failing": ("What waits to be sent again, after attempts that failed.", figures.failing),
        "runfold_deliveries_oldest_seconds": ("For how long the oldest of it has waited.", figures.oldest_seconds),
    }
    for name, (about, value) in gauges.items():
        yield GaugeMetricFamily(name, about, value=value)


def of_reactors(reactors: Iterable[ReactorStatus]) -> Iterator[Metric]:
    """Yield the metrics of what happens by itself, whichever process carries it out."""
    done = CounterMetricFamily("runfold_reactor_done", "What happened by itself.", labels=("reactor", "what"))
    lag = GaugeMetricFamily(
        "runfold_reactor_lag_seconds", "For how long the oldest of what is to happen has been due.", labels=("reactor",)
    )
    state = GaugeMetricFamily("runfold_reactor_state", "1 for the reactor's current state, else 0.", labels=("reactor", "state"))
    for found in reactors:
        lag.add_metric([found.name], found.behind_seconds)
        for what, count in found.done.items():
            done.add_metric([found.name, what], count)
        for name in get_args(ReactorState):
            state.add_metric([found.name, name.replace(" ", "_")], int(name == found.state))
    yield from (done, lag, state)


def of_subscriptions(found: Iterable[Lag]) -> Iterator[Metric]:
    """Yield the gauges of subscriptions with a name."""
    names = ("subscription",)
    behind = GaugeMetricFamily("runfold_subscription_lag_events", "Positions that are not acknowledged yet.", labels=names)
    seconds = GaugeMetricFamily(
        "runfold_subscription_lag_seconds", "Age of the first event that is not acknowledged yet.", labels=names
    )
    held = GaugeMetricFamily(
        "runfold_subscription_events", "Events that are leased, waiting or parked.", labels=(*names, "state")
    )
    for each in found:
        behind.add_metric([each.name], each.positions)
        seconds.add_metric([each.name], each.seconds)
        for state, count in (("leased", each.leased), ("waiting", each.waiting), ("parked", each.parked)):
            held.add_metric([each.name, state], count)
    yield from (behind, seconds, held)
