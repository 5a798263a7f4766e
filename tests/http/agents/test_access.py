"""Who may talk to agents: by scope, tenant and person, as for every other route."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from runfold import Ledger
from runfold.access.keys import Keys
from runfold.http.app import create_app
from tests.http.agents.talking import Event, asked, kinds, run, user
from tests.http.keys import make_key, with_key
from tests.serving import serving

STREAM = {"accept": "text/event-stream"}
PATHS = {"/agents/scripted": "runs:write", "/threads/t1/runs": "runs:write", "/agents/scripted/connect": "runs:read"}


@pytest.fixture
def guarded(ledger: Ledger) -> Iterator[str]:
    """A service with an agent, for who shows a key."""
    with serving(create_app(ledger, Keys(ledger), agents={"scripted": "tests.agui.scripted:scripted"})) as address:
        yield address


def post(address: str, path: str, key: str, body: Event) -> httpx2.Response:
    return httpx2.post(f"{address}{path}", json=body, headers={**with_key(key), **STREAM}, timeout=60)


def test_agents_take_the_scope_that_their_routes_say(guarded: str, ledger: Ledger) -> None:
    others: dict[str, Any] = {"runs:write": "runs:read", "runs:read": "events:read"}
    for path, scope in PATHS.items():
        answered = post(guarded, path, make_key(ledger, others[scope]), asked("r1", user("u1", "hi")))
        assert (answered.status_code, answered.json()["type"]) == (403, "urn:runfold:error:ScopeMissing"), path
        assert httpx2.post(f"{guarded}{path}", json={}, headers=STREAM).status_code == 401
    assert httpx2.get(f"{guarded}/agents").status_code == 401
    listed = httpx2.get(f"{guarded}/agents", headers=with_key(make_key(ledger, "runs:read")))
    assert listed.json() == {"items": [{"name": "scripted"}], "next_cursor": None}


def test_answering_interrupts_takes_the_scope_for_deciding(guarded: str, ledger: Ledger) -> None:
    key = make_key(ledger, "runs:write", "runs:read")
    resume = [{"interruptId": "approval_x", "status": "resolved", "payload": {}}]
    answered = post(guarded, "/agents/scripted", key, asked("r1", resume=resume))
    assert (answered.status_code, answered.json()["type"]) == (403, "urn:runfold:error:ScopeMissing")


@pytest.mark.row("RV-22")
def test_the_same_thread_id_of_another_tenant_is_another_thread_and_another_persons_is_none(guarded: str, ledger: Ledger) -> None:
    scopes: Any = ("runs:write", "runs:read")
    mine, other = make_key(ledger, *scopes), make_key(ledger, *scopes, owner="human:bob")
    elsewhere = make_key(ledger, *scopes, tenant="elsewhere")
    with httpx2.Client(base_url=guarded, headers=with_key(mine)) as client:
        assert run(client, "/agents/scripted", asked("r1", user("u1", "mine")))[-1]["type"] == "RUN_FINISHED"
    with httpx2.Client(base_url=guarded, headers=with_key(elsewhere)) as client:
        events = run(client, "/agents/scripted", asked("r1", user("u2", "theirs")))
        assert [message["id"] for message in events[0]["input"]["messages"]] == ["u2"]
    for path in PATHS:
        answered = post(guarded, path, other, asked("r2", user("u3", "?")))
        assert (answered.status_code, answered.json()["type"]) == (404, "urn:runfold:error:ThreadNotFound"), path


@pytest.mark.row("RV-27", "RV-28")
def test_a_thread_takes_a_request_for_a_stream_as_its_agents_and_any_other_as_a_command(agents: httpx2.Client) -> None:
    begun = run(
        agents,
        "/threads/desk/runs",
        asked("r1", user("u1", "hi"), thread_id="desk", forwardedProps={"runfold": {"agent": "demo"}}),
    )
    assert begun[-1]["type"] == "RUN_FINISHED"
    thread_id = agents.get(f"/runs/{begun[0]['metadata']['runfold']['stream']}").json()["thread_id"]
    more = run(agents, f"/threads/{thread_id}/runs", asked("r2", user("u2", "and?"), thread_id=thread_id))
    assert more[0]["parentRunId"] == begun[0]["metadata"]["runfold"]["stream"]
    assert agents.post(f"/threads/{thread_id}/runs", json={"agent_id": "demo"}).status_code == 201


def test_what_is_no_request_is_told_with_the_fact_and_nothing_is_recorded(agents: httpx2.Client, ledger: Ledger) -> None:
    before = ledger.position()
    bad: list[tuple[Any, int]] = [
        ([], 422),
        ({}, 422),
        (asked("", user("u1", "hi")), 422),
        (asked("r1", {"id": "u1", "role": "wizard", "content": "hi"}), 422),
        (asked("r1", user("u1", "hi"), parentRunId="never"), 200),
        (asked("r2", {"id": "x", "role": "tool", "toolCallId": "c", "content": ""}, thread_id="t2"), 422),
    ]
    for body, status in bad:
        if status != 200:
            answered = agents.post("/agents/scripted", json=body, headers=STREAM)
            assert (answered.status_code, ledger.position()) == (status, before), body
            assert answered.json()["detail"]
    assert agents.post("/agents/nobody", json=asked("r1"), headers=STREAM).status_code == 404


def test_a_conversation_that_a_client_brings_is_recorded_with_its_calls_and_their_results(
    agents: httpx2.Client, ledger: Ledger
) -> None:
    calls = [{"id": call_id, "type": "function", "function": {"name": "look", "arguments": "{}"}} for call_id in ("c1", "c2")]
    brought = [
        user("u1", "look"),
        {"id": "a1", "role": "assistant", "toolCalls": calls},
        {"id": "x1", "role": "tool", "toolCallId": "c1", "content": "42"},
        {"id": "x2", "role": "tool", "toolCallId": "c2", "content": "", "error": "gone"},
        user("u2", "and?"),
    ]
    events = run(agents, "/agents/scripted", asked("r1", *brought))
    assert events[-1]["type"] == "RUN_FINISHED"
    told = [event for event in events if event["type"] == "MESSAGES_SNAPSHOT"][-1]["messages"]
    assert [message["id"] for message in told] == ["u1", "a1", "x1", "x2", "u2"]
    assert "TOOL_CALL_START" not in kinds(events), "the client has it"
    assert "5 messages: u1 a1 x1 x2 u2" in [event.get("delta") for event in events]
    run_id = events[0]["metadata"]["runfold"]["stream"]
    calls_by_id = {event.event.call_id for event in ledger.events(run_id=run_id, types=["tool.called"])}
    assert calls_by_id == {"c1", "c2"}
    assert [each.type for each in ledger.events(run_id=run_id, types=["tool.succeeded", "tool.failed"])] == [
        "tool.succeeded",
        "tool.failed",
    ]
