"""What waits to be sent, and for how long, stands where operators look."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from runfold.cli.operate.server_checks import examine_server
from runfold.http.metrics.ledger import of_delivery
from runfold.queries.webhooks import delivery_figures
from runfold.settings import Settings

from .receiver import receiving, status
from .sending import send, sending_ledger


def test_figures_count_what_waits_what_fails_and_how_far_behind_the_slowest_is(settings: Settings) -> None:
    with sending_ledger(settings) as ledger, receiving(lambda request, connection: status(500)) as receiver:
        reader = ledger.recorder.reader
        assert delivery_figures(reader).model_dump() == {
            "webhooks": 0,
            "disabled": 0,
            "waiting": 0,
            "failing": 0,
            "oldest_seconds": 0.0,
            "behind_events": 0,
        }
        assert "webhooks" not in {check.about for check in examine_server(reader, ledger.settings)}
        send(ledger)
        ledger.create_webhook(receiver.url(), types="thread.*")
        webhook = ledger.create_webhook(receiver.url(), types="thread.*")
        thread = ledger.create_thread(agent_id="a")
        assert send(ledger) == {"queued": 2, "failed": 2}
        webhook.disable()
        send(ledger)
        thread.rename("B")
        found = delivery_figures(reader)
        assert (found.webhooks, found.disabled, found.waiting, found.failing, found.behind_events) == (1, 1, 1, 1, 1)
        assert found.oldest_seconds > 0
        (check,) = [each for each in examine_server(reader, ledger.settings) if each.about == "webhooks"]
        assert check.state == "note"
        assert "1 webhooks active, 1 disabled; 1 events wait" in check.fact

        class Families(Collector):
            def collect(self) -> Iterator[Metric]:
                return of_delivery(found)

        registry = CollectorRegistry()
        registry.register(Families())
        assert registry.get_sample_value("runfold_deliveries_waiting") == 1
        assert registry.get_sample_value("runfold_webhooks_disabled") == 1
