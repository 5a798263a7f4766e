"""The metrics of one process: the requests that it answers, what it appends, and the event streams that it feeds."""

import bisect
import itertools
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runfold.feed.shared import Feed
from runfold.http.problems import answer_unexpected, note_begun
from runfold.http.scope import answered_early
from runfold.store.appending.appender import Appender

NO_OPERATION = "none"
"""The label of requests that match no route."""
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics(Collector):
    """The counters of one application, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.open = 0
        """Requests in progress."""
        Gauge("runfold_http_requests_in_progress", "HTTP requests in progress.", registry=self.registry).set_function(
            lambda: self.open
        )
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._durations: dict[tuple[str, str], _Durations] = {}
        self.registry.register(self)
        Gauge("runfold_info", "The version of this Runfold; the value is always 1.", ("version",), registry=self.registry).labels(
            metadata.version("runfold")
        ).set(1)
        ProcessCollector(registry=self.registry)

    def answered(self, method: str, operation: str, status: int, seconds: float | None) -> None:
        """Count an answered request; `seconds` is None for an event stream, whose duration says nothing."""
        method = method if method in _METHODS else "other"
        self._counts[method, operation, status] += 1
        durations = self._durations.get((method, operation))
        if durations is None:
            durations = self._durations[method, operation] = _Durations()
        if seconds is not None:
            durations.add(seconds)

    def collect(self) -> Iterator[Metric]:
        """Yield how many requests were answered, and how long that took.

        They are counted here and not by the library's own counters, whose locks take longer than all else that is counted.
        """
        by = ("method", "operation")
        requests = CounterMetricFamily("runfold_http_requests", "HTTP requests answered.", labels=(*by, "status"))
        for (*kind, status), count in self._counts.copy().items():
            requests.add_metric([*kind, str(status)], count)
        yield requests
        about = "Time from the request to the end of its answer; event streams are not included."
        seconds = HistogramMetricFamily("runfold_http_request_duration_seconds", about, labels=by)
        for named, durations in self._durations.copy().items():
            seconds.add_metric(named, *durations.buckets())
        yield seconds


class _Durations:
    """How long requests took, in buckets."""

    def __init__(self) -> None:
        self._counts, self._total = [0] * (len(_SECONDS) + 1), 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect.bisect_left(_SECONDS, seconds)] += 1
        self._total += seconds

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Return how many took so long or less, and how long all took together."""
        return _buckets((*_SECONDS, math.inf), self._counts), self._total


def _buckets(bounds: Iterable[float], counts: Iterable[int]) -> list[tuple[str, float]]:
    """Return how many there were up to each bound, from how many there were up to it and above the one before."""
    return list(zip(map(floatToGoString, bounds), map(float, itertools.accumulate(counts)), strict=True))


class Observed:
    """The middleware around all: it counts requests, and answers for those that fail as nobody foresaw."""

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
                note_begun(scope)
                answered_early(scope)
                status = message["status"]
                kinds = (value for name, value in message.get("headers", ()) if name.lower() == b"content-type")
                is_stream = next(kinds, b"").startswith(b"text/event-stream")
            await send(message)

        self.metrics.open += 1
        try:
            await self.app(scope, receive, sent)
        except Exception as error:
            await answer_unexpected(error, scope, receive, sent)
            raise
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
    buckets = _buckets(tally.batches, tally.batches.values())
    yield HistogramMetricFamily(
        "runfold_append_batch_events", "Events stored in one transaction.", buckets=buckets, sum_value=tally.events
    )


def of_feed(feed: Feed) -> Iterator[Metric]:
    """Yield the metrics of event streams."""
    yield GaugeMetricFamily("runfold_feed_subscribers", "Open event streams.", value=feed.subscribers)
    yield CounterMetricFamily("runfold_feed_events_sent", "Events sent to event streams.", value=feed.sent)
    yield CounterMetricFamily("runfold_feed_streams_dropped", "Event streams closed for slow reading.", value=feed.dropped)
