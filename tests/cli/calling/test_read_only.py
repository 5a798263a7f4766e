"""A database that accepts no writes, as a standby or one that is set so, can be read with everything that reads."""

import httpx2
import psycopg
import pytest
from psycopg import sql

from runfold import Ledger, LedgerUnavailable
from runfold.demo_story import Cast
from runfold.http.app import create_app
from tests.cli.conftest import Command
from tests.cli.reads import READS
from tests.databases import TestDatabase
from tests.serving import Anybody, serving


@pytest.fixture
def read_only(database: TestDatabase, folded_story: Cast) -> Cast:
    """The story, in a database that is read-only from now on."""
    name = sql.Identifier(database.name)
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
    return folded_story


@pytest.mark.parametrize("name", READS)
def test_every_command_that_reads_reads_it(runfold: Command, read_only: Cast, name: str) -> None:
    answer = runfold(*READS[name](read_only), "--json")
    assert (answer.code, answer.err if answer.code else "") == (0, "")
    assert answer.out


def test_the_service_answers_questions_and_refuses_commands_with_the_reason(database: TestDatabase, read_only: Cast) -> None:
    with Ledger.open(settings=database.settings) as ledger:
        with serving(create_app(ledger, Anybody())) as address, httpx2.Client(base_url=address, timeout=60) as client:
            for path in (
                "/healthz",
                "/threads",
                "/runs",
                "/events",
                f"/threads/thread_{read_only.name}",
                "/approvals",
                "/projections",
            ):
                assert client.get(path).status_code == 200, path
            as_of = client.get(f"/runs?thread_id=thread_{read_only.name}&as_of=20")
            assert as_of.status_code == 200, as_of.text
            refused = client.post("/threads", json={"agent_id": "support"})
            assert refused.status_code == 503
        with pytest.raises(LedgerUnavailable, match="accepts no writes"):
            ledger.create_thread(agent_id="support")
        assert ledger.now.threads().items
        assert next(recorded.position for recorded in ledger.subscribe(follow=False)) == 1
