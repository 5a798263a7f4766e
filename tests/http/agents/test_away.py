"""The database, or the process, is gone between a run that is recorded and the agent that is to work on it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from runfold import Ledger, Settings
from runfold.http.agents import showing, work
from runfold.http.app import create_app
from tests.databases import TestDatabase
from tests.http.agents.conftest import AGENTS
from tests.http.agents.talking import asked, run, user
from tests.serving import Anybody, serving

STREAM = {"accept": "text/event-stream"}


@pytest.fixture
def admin(admin_url: str) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        yield connection


def test_a_run_that_was_recorded_before_the_database_went_away_ends_when_it_is_back_and_its_client_is_told(
    settings: Settings, database: TestDatabase, admin: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(conninfo_to_dict(database.url)["dbname"])
    really, gone = showing.first_shown, threading.Event()

    def first_shown(*args: Any) -> showing.Shown:
        if not gone.is_set():
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            gone.set()
        return really(*args)

    monkeypatch.setattr(showing, "first_shown", first_shown)
    monkeypatch.setattr(work, "AWAY_SECONDS", 0.1)
    body = asked("r1", user("u1", "hi"))
    with (
        Ledger.open(settings=settings) as ledger,
        serving(create_app(ledger, Anybody(), agents=AGENTS)) as address,
        httpx2.Client(base_url=address, timeout=120) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        store = ledger.recorder.store
        store.connect_timeout = store.pool.timeout = 1.0
        told = pool.submit(run, client, "/agents/scripted", body)
        assert gone.wait(60)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        store.connect_timeout = store.pool.timeout = 60.0
        events = told.result(60)
        assert [event["type"] for event in events if event["type"].startswith("RUN_")] in (
            ["RUN_STARTED", "RUN_FINISHED"],  # it was back before the agent had said anything
            ["RUN_STARTED", "RUN_ERROR"],
        )
        again = run(client, "/agents/scripted", body)
        assert again[-1]["type"] == events[-1]["type"]


@pytest.mark.fault("agent-server-killed")
def test_a_run_whose_agent_nobody_started_fails_once_its_lease_is_over(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work.Work, "begin", lambda *_: None)  # as where the process dies right after the run is recorded
    with Ledger.open(settings=settings.model_copy(update={"agent_lease": 0.5})) as ledger:
        with serving(create_app(ledger, Anybody(), agents=AGENTS)) as address, httpx2.Client(base_url=address) as client:
            events = run(client, "/agents/scripted", asked("r1", user("u1", "hi")))
        assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "interrupted")
        claimed = ledger.events(types=["run.claimed"])
        assert len(claimed) == 2, "it is claimed with its beginning, so that who looks after leases finds it"
