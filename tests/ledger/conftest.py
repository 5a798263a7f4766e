"""Runs to write to, and a second process's ledger on the same database."""

import contextlib
import os
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ledger.listed import listed  # noqa: F401  a fixture of several modules
from runfold import Ledger, Run, Settings, Thread
from runfold.ledger.reading import Reading


@pytest.fixture(scope="module")
def shared_url(admin_url: str, template: str) -> Iterator[str]:
    """One database for the tests of a module that do not mind each other's events."""
    name = f"runfold_shared_ledger_{os.getpid()}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield make_conninfo(admin_url, dbname=name, user="runfold_app")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def shared_settings(admin_url: str, shared_url: str) -> Settings:
    """Settings that point at it, with a role that may fold read models."""
    name = conninfo_to_dict(shared_url)["dbname"]
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO runfold_projector").format(sql.Identifier(str(name))))
    return Settings(database_url=shared_url, projector_url=make_conninfo(shared_url, user="runfold_projector"))


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
    """While it is entered, no append gets through: what is submitted stays on its way."""

    @contextlib.contextmanager
    def stall() -> Iterator[None]:
        with psycopg.connect(database.admin_url) as connection:
            connection.execute("SELECT * FROM runfold.head FOR UPDATE")
            yield

    return stall
