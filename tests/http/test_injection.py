"""No query is made from what a caller says: quotes and placeholders are letters like others, wherever they stand."""

import itertools
import re
from urllib.parse import quote

import httpx2
import pytest

from runfold import Ledger
from runfold.api.table import COMMANDS, QUESTIONS

FORGED = (
    "x' OR '1'='1",
    '"; SET runfold.tenant = $$*$$; --',
    "%s %b %(tenant_id)s {run_summaries} $1 \\'",
)
TOLD_BY_POSTGRESQL = re.compile(
    r"the database said|psycopg|syntax error|unterminated|invalid input|operator does not|placeholder|KeyError|IndexError", re.I
)
SECRET = "what nobody else may read"


@pytest.fixture
def run_id(ledger: Ledger) -> str:
    """A run of the caller's, beside another tenant's, in read models that are up to date."""
    with Ledger.open(settings=ledger.settings.model_copy(update={"tenant": "globex"})) as other:
        theirs = other.create_thread(agent_id="support", title=SECRET).start_run(goal={"id": "theirs", "description": SECRET})
        theirs.add_message("user", SECRET)
        theirs.request_approval(SECRET)
    run = ledger.create_thread(agent_id="support").start_run()
    run.add_message("user", "Where is my order?")
    ledger.fold()
    return run.id


def require_plain(answer: httpx2.Response, asked: str) -> None:
    assert answer.status_code < 500, (asked, answer.text)
    assert not TOLD_BY_POSTGRESQL.search(answer.text), (asked, answer.text)
    assert SECRET not in answer.text, asked


@pytest.mark.fault("I8", "I9")
def test_a_forged_id_or_filter_of_a_question_finds_nothing_and_shows_no_sql(
    client: httpx2.Client, ledger: Ledger, run_id: str
) -> None:
    before, forgeries, asked = ledger.position(), itertools.cycle(FORGED), 0
    for route in QUESTIONS:
        ids = {name: quote(next(forgeries), safe="") for name in route.path_names}
        require_plain(client.get(route.path.format(**ids)), route.name)
        path = route.path.format(**dict.fromkeys(route.path_names, run_id))
        for name in {*route.fields, "as_of", "types"} - {*route.path_names}:
            require_plain(client.get(path, params={name: next(forgeries)}), f"{route.name} {name}")
            asked += 1
    assert asked > 150
    assert ledger.position() == before


@pytest.mark.fault("I8", "I9")
def test_a_forged_id_or_argument_of_a_command_changes_nothing_of_others_and_shows_no_sql(
    client: httpx2.Client, ledger: Ledger, run_id: str
) -> None:
    theirs = "SELECT count(*) FROM runfold.log WHERE tenant_id = 'globex'"
    before, forgeries = ledger.recorder.reader.rows(theirs), itertools.cycle(FORGED)
    for route in COMMANDS:
        ids = {name: quote(next(forgeries), safe="") for name in route.path_names}
        body = {name: next(forgeries) for name in route.fields if name not in route.path_names}
        for places in (ids, {**ids, "run_id": run_id}):
            key = next(forgeries).strip()[:16].strip()
            answer = client.request(route.verb, route.path.format(**places), json=body, headers={"Idempotency-Key": key})
            require_plain(answer, route.name)
    assert ledger.recorder.reader.rows(theirs) == before
