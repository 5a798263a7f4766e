"""The metrics of several processes of one server: each number of each, with the process beside it."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

LABEL = "process"


class _Given(Collector):
    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def together(texts: Mapping[int, str | None]) -> bytes:
    """Return the metrics of processes, by their numbers from 0, as one text; of one that has none it is said that it is down.

    Sums are left to who asks: a process that is started again begins at 0, which Prometheus takes into account for each alone.
    """
    up = GaugeMetricFamily("runfold_server_process_up", "1 if the server process answered this scrape, else 0.", labels=[LABEL])
    found: dict[str, Metric] = {}
    for number, text in sorted(texts.items()):
        process = str(number + 1)
        up.add_metric([process], int(text is not None))
        for each in text_string_to_metric_families(text or ""):
            known = found.setdefault(each.name, Metric(each.name, each.documentation, each.type))
            known.samples += [sample._replace(labels={**sample.labels, LABEL: process}) for sample in each.samples]
    registry = CollectorRegistry()
    registry.register(_Given([*found.values(), up]))
    return generate_latest(registry)
