"""A time that PostgreSQL holds and Python cannot, beside an event: over HTTP it is told of which event it is, too."""

import httpx2
import psycopg
import pytest

from runfold import Ledger
from runfold.api.table import QUESTIONS
from runfold.evidence.sealer import Sealer
from tests.databases import TestDatabase
from tests.http.every_route import request_of

IDS = {"thread_id": "thread_1", "run_id": "run_1", "run_a": "run_1", "run_b": "run_2", "approval_id": "approval_1"}
BESIDE = [
    {"method": "GET", "url": "/events"},
    {"method": "GET", "url": "/events?thread_id=thread_1&order=desc"},
    {"method": "POST", "url": "/bundles", "json": {"ids": ["thread_1"]}},
]


@pytest.mark.parametrize("time", ["infinity", "-infinity", "0044-03-15 BC", "10001-01-01"])
def test_whatever_route_reads_an_event_with_a_time_that_is_none_names_the_event_and_what_to_do(
    client: httpx2.Client, ledger: Ledger, database: TestDatabase, time: str
) -> None:
    thread = ledger.create_thread(thread_id="thread_1", agent_id="desk")
    run = thread.start_run(run_id="run_1")
    run.add_message("user", "hello")
    run.request_approval("refund", approval_id="approval_1")
    run.branch(at_version=2, run_id="run_2")
    Sealer(ledger).seal_all()
    ledger.fold()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
        admin.execute("UPDATE runfold.log SET recorded_at = %s WHERE notification_id = 4", [time])
        ((place,),) = admin.execute(
            "SELECT format('position 4 (version %s of %s)', originator_version, originator_id)"
            " FROM runfold.log WHERE notification_id = 4"
        )
    told = set[str]()
    for asked in (*BESIDE, *(request_of(route, IDS) for route in QUESTIONS)):
        answer = client.request(**asked)
        said = answer.text
        assert "defect" not in said, (asked, said)
        assert "unexpected" not in said, (asked, said)
        if answer.status_code >= 500 or "cannot be read" in said:
            assert place in said or asked["url"].endswith("/stretches"), (asked, said)  # which counts rows of several events
            assert "runfold check" in said, (asked, said)
            told.add(asked["url"])
    assert {"/events", "/bundles", "/runs/run_1", "/runs/run_1/messages", "/threads/thread_1/items"} <= told, told
