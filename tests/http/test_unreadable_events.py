"""An event that was damaged where it stands: over HTTP whoever reads it is told which one it is, and what to do."""

import re

import httpx2
import psycopg
import pytest

from runfold import Ledger
from runfold.api.table import QUESTIONS
from runfold.evidence.sealer import Sealer
from tests.damaged import DAMAGES, IDS, POSITION, TIMES, damage, names_the_event, record
from tests.databases import TestDatabase
from tests.http.every_route import request_of

BESIDE = [
    {"method": "GET", "url": "/events"},
    {"method": "GET", "url": "/events?thread_id=thread_1&order=desc"},
    {"method": "GET", "url": f"/threads/thread_1/items?at={POSITION}"},
    {"method": "GET", "url": f"/runs?at={POSITION}"},
    {"method": "GET", "url": f"/runs/run_1?at={POSITION}"},
    {"method": "GET", "url": f"/threads/thread_1?at={POSITION}"},
]
"""What reads events beside the routes as they are."""
BUNDLE = {"method": "POST", "url": "/bundles", "json": {"ids": ["thread_1"]}}
"""Asked last, for it is recorded."""


@pytest.mark.parametrize("what", DAMAGES)
def test_whatever_route_comes_to_an_event_that_cannot_be_read_names_it_and_what_to_do(
    client: httpx2.Client, ledger: Ledger, database: TestDatabase, what: str
) -> None:
    record(ledger)
    stream = damage(database, POSITION, what)
    told = set[str]()
    for asked in (*BESIDE, *(request_of(route, IDS) for route in QUESTIONS), BUNDLE):
        answer = client.request(**asked)
        said = answer.text
        if answer.status_code >= 500 or "cannot be read" in said:
            assert names_the_event(said, POSITION), (asked, said)
            assert stream in said or "recorded" not in what, (asked, said)
            told.add(asked["url"])
    if "context" not in what:  # which no answer to these needs
        assert {"/runs/run_1/messages", "/threads/thread_1/items"} <= told, told
    if "recorded" in what or what == "occurred at words":
        assert "/threads/thread_1/stretches" in told


@pytest.mark.parametrize("time", TIMES)
def test_how_far_all_is_behind_an_event_with_a_time_that_is_none_is_told_in_seconds_that_are_a_number(
    client: httpx2.Client, ledger: Ledger, database: TestDatabase, time: str
) -> None:
    record(ledger)
    ledger.subscription("mails").put()
    taken = ledger.subscription("mails").take(100)
    ledger.subscription("mails").acknowledge(taken.lease, [each.recorded.position for each in taken.deliveries])
    ledger.fold()
    Sealer(ledger).seal_all()
    ledger.create_thread(agent_id="desk")
    position = ledger.position()
    damage(database, position, f"recorded at {time}")
    for path in ("/readyz", "/metrics", "/projections", "/runs", "/reactors"):
        said = client.get(path).text
        assert re.search(r"\bdefect\b|\bunexpected\b|cannot be used|(?m: [-+]Inf$)", said) is None, (path, said)
    standing = client.get("/projections").json()["items"]
    assert {each["behind_seconds"] is None or each["behind_seconds"] == 0 for each in standing if "infinity" in time} <= {True}


@pytest.mark.parametrize("time", TIMES)
def test_a_row_of_a_read_model_with_a_time_that_is_none_is_named_by_its_ids_with_what_to_do(
    client: httpx2.Client, ledger: Ledger, database: TestDatabase, time: str
) -> None:
    record(ledger)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        ((schema,),) = admin.execute(
            "SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE c.relname = 'run_summaries' AND c.relkind = 'r' AND n.nspname LIKE 'runfold_run_summaries_%%'",
            [],
        )
        admin.execute(f"UPDATE {schema}.run_summaries SET last_event_at = %s WHERE run_id = 'run_1'", [time])
    answer = client.get("/runs")
    assert answer.status_code == 500
    assert re.search("the row of .*run_id run_1.* holds a time that cannot be read.*runfold rebuild", answer.json()["detail"])
