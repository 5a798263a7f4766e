"""The metrics of one process: the requests that it answers, what it appends, and the event streams that it feeds."""

import math
import time
from collections.abc import Iterator
from importlib import metadata

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runfold.feed.shared import Feed
from runfold.http.scope import answered_early
from runfold.store.appending.appender import Appender

NO_OPERATION = "none"
"""The label of requests that match no route."""
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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
