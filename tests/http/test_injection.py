"""No query is made from what a caller says: quotes and placeholders are letters like others, wherever they stand."""

import itertools
import re
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from starlette.applications import Starlette

from runfold import Ledger
from runfold.api.table import COMMANDS, QUESTIONS
from runfold.http.app import create_app
from tests.http.every_route import AGENT_ROUTES, AGENTS
from tests.serving import Anybody

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
def app(ledger: Ledger) -> Starlette:
    """This test's service. It lets everybody in, and has agents."""
    return create_app(ledger, Anybody(), agents=AGENTS)


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


def forged(body: Any, forgeries: Any) -> list[Any]:
    """What AG-UI's client sends, each time with something else in the place of one of its texts."""
    if isinstance(body, str):
        return [next(forgeries)]
    if isinstance(body, list):
        return [[*body[:at], made, *body[at + 1 :]] for at, member in enumerate(body) for made in forged(member, forgeries)]
    return [{**body, name: made} for name, member in body.items() for made in forged(member, forgeries)]


@pytest.mark.fault("I8", "I9")
def test_whatever_an_agent_is_asked_with_changes_nothing_of_others_and_shows_no_sql(
    client: httpx2.Client, ledger: Ledger, run_id: str
) -> None:
    theirs = "SELECT count(*) FROM runfold.log WHERE tenant_id = 'globex'"
    before, forgeries = ledger.recorder.reader.rows(theirs), itertools.cycle(FORGED)
    call = {"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}
    body = {
        "threadId": "t",
        "runId": "r",
        "messages": [
            {"id": "u1", "role": "user", "content": "hi", "name": "ada"},
            {"id": "a1", "role": "assistant", "content": "so", "toolCalls": [call]},
            {"id": "t1", "role": "tool", "toolCallId": "c", "content": "42", "error": "no"},
        ],
        "state": {"at": "x"},
        "tools": [{"name": "t", "description": "d", "parameters": {"type": "object"}}],
        "context": [{"description": "d", "value": "v"}],
    }
    resume = [{"interruptId": "approval_1", "status": "resolved", "payload": {"approved": "x"}}]
    bodies = (
        body,
        {**body, "parentRunId": run_id},
        {**body, "forwardedProps": {"runfold": {"parentRunId": "r", "agent": "scripted"}}},
        {**body, "forwardedProps": {"runfold": {"forkFromMessageId": "u1"}}},
        {**body, "resume": resume},
    )
    asked = streams = 0
    for route in AGENT_ROUTES:
        for said in (made for each in bodies for made in forged(each, forgeries)):
            thread_id = f"t{asked}" if said["threadId"] == "t" else said["threadId"]
            agent = quote(next(forgeries), safe="") if asked % 9 == 0 else "scripted"
            path = route.path.format(agent=agent, thread_id=quote(thread_id, safe=""))
            headers = {"Accept": "text/event-stream", "Last-Event-ID": next(forgeries) if asked % 7 == 0 else ""}
            answer = client.request(route.verb, path, json={**said, "threadId": thread_id}, headers=headers)
            require_plain(answer, route.name)
            asked, streams = asked + 1, streams + ("RUN_FINISHED" in answer.text)
    assert asked > 300, asked
    assert streams > 80, streams
    assert ledger.recorder.reader.rows(theirs) == before
