"""Runs to write to, and a second process's ledger on the same database."""

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest

from conftest import fresh_database
from ledger.listed import listed  # noqa: F401  a fixture of several modules
from runfold import Ledger, Run, Settings, Thread
from runfold.queries.reading import Reading


@pytest.fixture(scope="module")
def shared_settings(admin_url: str, template: str) -> Iterator[Settings]:
    """Settings of one database for the tests of a module that do not mind each other's events."""
    with fresh_database(admin_url, template, "shared_ledger") as made:
        yield made.settings


@pytest.fixture(scope="module")
def shared_url(shared_settings: Settings) -> str:
    """Where it is."""
    assert shared_settings.database_url is not None
    return shared_settings.database_url.get_secret_value()


@pytest.fixture
def folded(ledger: Ledger) -> Callable[[], Reading]:
    """Folds what tells how agents do, and reads."""

    def fold() -> Reading:
        ledger.fold("run_summaries", "decision_log", "problems", "goals", "attention")
        return ledger.now

    return fold


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support")


@pytest.fixture
def run(thread: Thread) -> Run:
    return thread.start_run()


@pytest.fixture
def other(settings: Settings) -> Iterator[Ledger]:
    """What another process would have open on the same database: it shares nothing with `ledger` but that."""
    with Ledger.open(settings=settings) as opened:
        yield opened


@pytest.fixture
def stalled(database) -> Callable:  # type: ignore[no-untyped-def]
    """While it is entered, no append gets through: what is submitted stays on its way, for as long as that takes."""
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("ALTER FUNCTION runfold.append SET lock_timeout = 0")

    @contextlib.contextmanager
    def stall() -> Iterator[None]:
        with psycopg.connect(database.admin_url) as connection:
            connection.execute("SELECT * FROM runfold.head FOR UPDATE")
            yield

    return stall
