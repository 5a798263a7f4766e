"""/metrics: what Prometheus reads moves with what happens."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx2
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import conninfo_to_dict

from runfold import Ledger
from runfold.access.keys import Keys
from runfold.http.app import create_app
from runfold.http.routes import health
from tests.serving import serving

if TYPE_CHECKING:
    from tests.databases import TestDatabase

Value = Callable[..., float]

pytestmark = pytest.mark.usefixtures("patient")


def values(text: str) -> Value:
    """Of one scrape: `value("runfold_head_position")`, with labels as keywords."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(name: str, **labels: str) -> float:
        found = [each.value for each in samples if each.name == name and labels.items() <= each.labels.items()]
        assert len(found) == 1, (name, labels, found)
        return found[0]

    return value


@pytest.fixture
def scrape(client: httpx2.Client) -> Callable[[], Value]:
    """Reads the metrics of this test's service."""

    def read() -> Value:
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return values(answer.text)

    return read


def test_appending_moves_the_counts_and_the_head(client: httpx2.Client, scrape: Callable[[], Value]) -> None:
    before = scrape()
    thread = client.post("/threads", json={"agent_id": "support"}).json()["id"]
    client.post(f"/threads/{thread}/runs", json={})
    after = scrape()

    def grown(name: str) -> float:
        return after(name) - before(name)

    assert grown("runfold_commands_appended_total") == 2
    assert grown("runfold_events_appended_total") == 3
    assert grown("runfold_head_position") == 3
    assert grown("runfold_append_batch_events_count") == 2
    assert grown("runfold_append_batch_events_sum") == 3
    assert after("runfold_append_batch_events_bucket", le="1.0") == 1
    assert after("runfold_append_batch_events_bucket", le="2.0") == 2
    assert after("runfold_append_batch_events_bucket", le="+Inf") == 2
    assert after("runfold_append_queue_commands") == 0


def test_conflicts_are_counted_and_not_as_appends(ledger: Ledger, scrape: Callable[[], Value]) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    with Ledger.open(settings=ledger.settings) as other:
        other.run(run.id).add_message("user", "first")
    run.add_message("user", "second")  # decided on what it believed, then decided anew
    found = scrape()
    assert found("runfold_append_conflicts_total") == 1
    assert found("runfold_events_appended_total") == 4  # the other's is not ours
    assert found("runfold_append_failures_total") == 0


def test_requests_are_counted_by_the_operation_that_was_asked_for(client: httpx2.Client, scrape: Callable[[], Value]) -> None:
    for run in ("run_a", "run_b"):
        assert client.get(f"/runs/{run}").status_code == 404
    client.get("/no/such/path")
    client.request("PROPFIND", "/threads")
    found = scrape()
    assert found("runfold_http_requests_total", operation="runs.get", method="GET", status="404") == 2
    assert found("runfold_http_request_duration_seconds_count", operation="runs.get") == 2
    assert found("runfold_http_requests_total", operation="none", method="GET", status="404") == 1
    assert found("runfold_http_requests_total", method="other", status="405") == 1
    assert found("runfold_http_requests_in_progress") == 1  # the scrape itself


def test_how_far_read_models_are_behind_is_shown_until_they_are_folded(ledger: Ledger, scrape: Callable[[], Value]) -> None:
    of_usage = {"projection": "usage"}
    assert scrape()("runfold_projection_state", **of_usage, state="not_begun") == 1
    ledger.fold()
    ledger.create_thread()
    ledger.create_thread()
    behind = scrape()
    assert behind("runfold_projection_position", **of_usage) == 0
    assert behind("runfold_projection_lag_events", **of_usage) == 2
    assert behind("runfold_projection_lag_seconds", **of_usage) > 0
    assert behind("runfold_projection_state", **of_usage, state="waiting_for_a_worker") == 1
    ledger.fold()
    fresh = scrape()
    assert fresh("runfold_projection_position", **of_usage) == 2
    assert fresh("runfold_projection_lag_events", **of_usage) == 0
    assert fresh("runfold_projection_lag_seconds", **of_usage) == 0
    assert fresh("runfold_projection_state", **of_usage, state="up_to_date") == 1


def test_open_streams_and_what_was_sent_in_them_are_counted(
    client: httpx2.Client, ledger: Ledger, scrape: Callable[[], Value]
) -> None:
    ledger.create_thread()
    with client.stream("GET", "/events?after=0", headers={"Accept": "text/event-stream"}) as stream:
        lines = stream.iter_lines()
        assert "event: caught_up" in lines
        found = scrape()
    assert found("runfold_feed_subscribers") == 1
    assert found("runfold_feed_events_sent_total") == 1
    assert found("runfold_feed_streams_dropped_total") == 0


def test_while_the_database_is_away_the_process_tells_what_it_knows(
    client: httpx2.Client, scrape: Callable[[], Value], database: "TestDatabase", admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/threads", json={})
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 1.0)
    name = str(conninfo_to_dict(database.url)["dbname"])
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        away = scrape()
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert away("runfold_database_up") == 0
    assert away("runfold_events_appended_total") == 1
    with pytest.raises(AssertionError):
        away("runfold_head_position")


def test_from_elsewhere_metrics_need_a_key_for_everything(ledger: Ledger) -> None:
    keys = {name: ledger.create_key(owner="human:ada", scopes=[name], label=name).text for name in ("admin", "runs:read")}
    with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=30) as client:
        assert client.get("/metrics").status_code == 200
        passed_on = {"X-Forwarded-For": "203.0.113.7"}
        assert client.get("/metrics", headers=passed_on).status_code == 401
        answers = [
            client.get("/metrics", headers={**passed_on, "Authorization": f"Bearer {keys[name]}"}).status_code
            for name in ("runs:read", "admin")
        ]
        assert answers == [403, 200]


def test_each_application_counts_for_itself(ledger: Ledger) -> None:
    with serving(create_app(ledger, Keys(ledger))) as one, serving(create_app(ledger, Keys(ledger))) as other:
        for _ in range(5):
            httpx2.get(f"{one}/healthz", timeout=30)
        told = [httpx2.get(f"{address}/metrics", timeout=30).text for address in (one, other)]
        assert values(told[0])("runfold_http_requests_total", operation="health.check") == 5
        assert "/healthz" not in told[1]
