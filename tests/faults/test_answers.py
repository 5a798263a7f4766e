"""What the drivers found to be answered in the wrong words."""

import threading
import time
from typing import Any

import psycopg
import pytest

from runfold import LedgerUnavailable
from runfold.store.datastore import unavailable
from runfold.store.setup.migrate import migrate


@pytest.mark.fault("C-7")
def test_a_deadlock_is_not_a_database_that_cannot_be_reached():
    answer = unavailable(psycopg.errors.DeadlockDetected("deadlock detected"))
    assert answer.retriable
    assert "cannot be reached" not in str(answer)


@pytest.mark.fault("A2")
def test_a_migration_whose_backend_is_killed_says_that_the_ledger_is_unavailable(database: Any):
    said: list[Exception] = []

    def attempt() -> None:
        try:
            migrate(database.admin_url)
        except LedgerUnavailable as error:
            said.append(error)

    with psycopg.connect(database.admin_url) as another, psycopg.connect(database.admin_url, autocommit=True) as connection:
        another.execute("LOCK TABLE runfold.migrations IN SHARE UPDATE EXCLUSIVE MODE")
        thread = threading.Thread(target=attempt)
        thread.start()
        waits = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runfold migrate'"
        waits += " AND datname = current_database() AND state = 'idle in transaction'"
        until = time.monotonic() + 60
        while not connection.execute(waits).fetchall() and time.monotonic() < until:
            time.sleep(0.02)
        thread.join(60)
    assert [error.retriable for error in said if isinstance(error, LedgerUnavailable)] == [True]
