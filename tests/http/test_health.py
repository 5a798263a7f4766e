"""/healthz and /readyz: for whoever looks after the service, without a key."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx2
import psycopg
import pytest
import structlog
from psycopg.conninfo import conninfo_to_dict

from runfold import Ledger, Settings
from runfold.errors import KeyRefused
from runfold.http.app import create_app
from runfold.http.routes import health
from runfold.http.routes.health import late
from runfold.projector.status import ProjectionState, ProjectionStatus
from tests.projector.toys import Ended, Tally
from tests.serving import Anybody, serving
from tests.waiting import until

if TYPE_CHECKING:
    from tests.databases import TestDatabase

pytestmark = pytest.mark.usefixtures("patient")


class Nobody(Anybody):
    """Lets nobody in."""

    async def caller(self, request: object, scope: object) -> None:  # type: ignore[override]
        raise KeyRefused("nobody is let in")


def test_who_has_no_key_is_told_that_it_is_alive_and_ready(ledger: Ledger) -> None:
    ledger.create_thread()
    ledger.fold()
    with serving(create_app(ledger, Nobody())) as address, httpx2.Client(base_url=address, timeout=30) as client:
        alive = client.get("/healthz").json()
        assert alive["status"] == "alive"
        assert alive["durability"] == "required"
        ready = client.get("/readyz").json()
        assert ready.pop("unsealed_seconds") > 0
        assert ready == {"status": "ready", "position": 1, "behind_seconds": 0.0, "unsafe_settings": {}}
        assert client.get("/threads").status_code == 401


def test_read_models_that_were_never_folded_are_named(client: httpx2.Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:runfold:error:NotReady"
    assert "the read model usage is not begun; `runfold work` folds it" in answer.json()["reasons"]


def test_a_read_model_of_somebody_else_that_nobody_keeps_up_keeps_no_server_from_being_ready(settings: Settings) -> None:
    with Ledger.open(settings=settings.model_copy(update={"max_lag": 0.01})) as ledger:
        ledger.fold("tests.projector.toys:Tally")
        ledger.create_thread(agent_id="support").start_run()
        ledger.fold()
        (tally,) = [status for status in ledger.projections() if status.name == "tally"]
        assert tally.behind_events == ledger.position()
        with serving(create_app(ledger, Anybody())) as address:
            ready = httpx2.get(f"{address}/readyz", timeout=30)
            assert (ready.status_code, ready.json().get("behind_seconds")) == (200, 0.0), ready.text
        with serving(create_app(ledger, Anybody(), projections=[Tally(), Ended()])) as address:
            reasons = httpx2.get(f"{address}/readyz", timeout=30).json()["reasons"]
            assert [reason.split()[3] for reason in reasons] == ["ended", "tally"], "these it serves, and nobody folds them"


def test_read_models_may_be_behind_for_as_long_as_the_setting_says(settings: Settings) -> None:
    for seconds, status in ((0.01, 503), (60.0, 200)):
        with (
            Ledger.open(settings=settings.model_copy(update={"max_lag": seconds})) as ledger,
            serving(create_app(ledger, Anybody())) as address,
        ):
            ledger.fold()
            ledger.create_thread()
            time.sleep(0.02)
            answer = httpx2.get(f"{address}/readyz", timeout=30)
            assert answer.status_code == status, answer.text
    assert answer.json()["behind_seconds"] > 0


def test_a_database_that_is_gone_is_said_quickly_and_without_names(
    settings: Settings, database: "TestDatabase", admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(conninfo_to_dict(database.url)["dbname"])
    with (
        Ledger.open(settings=settings.model_copy(update={"connect_timeout": 600.0})) as ledger,  # who waits for it waits long
        serving(create_app(ledger, Anybody())) as address,
        httpx2.Client(base_url=address, timeout=30) as client,
        psycopg.connect(admin_url, autocommit=True) as connection,
    ):
        assert client.get("/readyz").status_code == 503
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        monkeypatch.setattr(health, "PATIENCE_SECONDS", 1.0)
        answers = [client.get("/readyz") for _ in range(3)]
        assert [answer.json()["reasons"] for answer in answers] == [
            ["the database does not answer, or refuses the connection; the log says which, and why"]
        ] * 3
        assert name not in "".join(answer.text for answer in answers)
        assert client.get("/healthz").status_code == 200
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_why_no_connection_comes_about_is_logged_though_nobody_waited_for_it(
    settings: Settings, database: "TestDatabase", admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(conninfo_to_dict(database.url)["dbname"])
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.2)
    with (
        Ledger.open(settings=settings.model_copy(update={"connect_timeout": 1.0})) as ledger,
        serving(create_app(ledger, Anybody())) as address,
        httpx2.Client(base_url=address, timeout=30) as client,
        psycopg.connect(admin_url, autocommit=True) as connection,
        structlog.testing.capture_logs() as logged,
    ):
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        assert "refuses the connection; the log says which" in client.get("/readyz").text
        said = f'database "{name}" is not currently accepting connections'
        until(lambda: any(said in line["detail"] for line in logged if line["event"] == "not ready"))
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.mark.fault("A10")
def test_a_database_that_may_lose_events_is_told_of_where_it_was_allowed(settings: Settings, database: "TestDatabase") -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {conninfo_to_dict(database.url)['dbname']} SET synchronous_commit = off")
    allowed = settings.model_copy(update={"unsafe_durability": True})
    with Ledger.open(settings=allowed) as ledger, serving(create_app(ledger, Anybody())) as address:
        ledger.fold()
        assert httpx2.get(f"{address}/healthz", timeout=30).json()["durability"] == "not required"
        assert httpx2.get(f"{address}/readyz", timeout=30).json()["unsafe_settings"] == {"synchronous_commit": "off"}


def test_a_missing_migration_is_named(ledger: Ledger, client: httpx2.Client, database: "TestDatabase") -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("DELETE FROM runfold.migrations WHERE number = (SELECT max(number) FROM runfold.migrations)")
    (reason,) = client.get("/readyz").json()["reasons"]
    assert reason.startswith("the database lacks ")
    assert reason.endswith("run `runfold migrate`")


@pytest.fixture
def status() -> Callable[..., ProjectionStatus]:
    def make(state: ProjectionState, *, position: int | None = 5, seconds: float = 0.0) -> ProjectionStatus:
        return ProjectionStatus(
            name="usage", version=1, generation=1, state=state, position=position, head=9, behind_seconds=seconds
        )

    return make


def test_what_is_folded_anew_beside_a_fresh_read_model_does_not_count(status: Callable[..., ProjectionStatus]) -> None:
    assert late([status("up to date"), status("being built", seconds=1e6)], 60) == []
    assert late([status("being built")], 60) == ["the read model usage is being built; `runfold work` folds it"]


def test_one_that_has_stopped_counts_once_it_is_behind_by_too_much(status: Callable[..., ProjectionStatus]) -> None:
    assert late([status("stopped", seconds=59)], 60) == []
    assert late([status("stopped", seconds=61)], 60) == [
        "the read model usage is 4 events and 61 s behind, stopped; `runfold projections` says why"
    ]
