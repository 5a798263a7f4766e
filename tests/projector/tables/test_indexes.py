"""Of a run that goes on, most events change a row and no index."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from runfold import Ledger
from tests.databases import TestDatabase
from tests.waiting import until

NOON = datetime(2020, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", ["run_summaries", "attention"])
def test_what_a_run_says_changes_its_row_and_an_index_once_in_ten_seconds(database: TestDatabase, name: str) -> None:
    with Ledger.open(settings=database.settings) as ledger:
        run = ledger.create_thread(agent_id="a").start_run(occurred_at=NOON)
        ledger.fold(name)
        for number in range(20):
            run.add_message("assistant", "Well", occurred_at=NOON + timedelta(seconds=0.5 + number))
            ledger.fold(name)
    until(lambda: written_again(database, name)[0] == 20)
    assert written_again(database, name) == (20, 19), "NOON and ten seconds is where an index is written"


def written_again(database: TestDatabase, name: str) -> tuple[int, int]:
    """How many times a row was written again, and how many of these times no index was; as sessions say when they end."""
    with psycopg.connect(database.admin_url) as connection:
        found = connection.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s", [name]
        ).fetchone()
    assert found
    return found[0], found[1]
