"""The first run of a thread: recorded without a question, since the append itself tells what is there already."""

import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest
from ag_ui.core import RunAgentInput

from runfold import Ledger, Settings
from runfold.domain.run_events import RunCreated
from runfold.http.app import create_app
from tests.http.agents.talking import asked, kinds, run, user
from tests.serving import Anybody, serving

START, END = {"type": "RUN_STARTED"}, {"type": "RUN_FINISHED"}
SCRIPT = {"script": [START, {"type": "CUSTOM", "name": "hello", "value": 1}, END]}
_BESIDE = ("runfold-tail", "runfold-hint", "runfold-marks", "runfold-moments")
"""Threads that ask, or tell, now and then, whatever is begun."""


def test_the_first_run_of_a_thread_begins_without_a_question(agents: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run(agents, "/agents/scripted", asked("r0", user("u0", "hi"), thread_id="t0", forwardedProps=SCRIPT))
    seen: list[str] = []
    really = psycopg.Cursor.execute

    def noted(cursor: Any, query: Any, *args: Any, **more: Any) -> Any:
        if not threading.current_thread().name.startswith(_BESIDE):
            seen.append(str(query))
        return really(cursor, query, *args, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    for number in range(1, 4):
        body = asked(f"r{number}", user("u1", "hi"), thread_id=f"t{number}", forwardedProps=SCRIPT)
        assert kinds(run(agents, "/agents/scripted", body)) == ["RUN_STARTED", "CUSTOM", "RUN_FINISHED"]
    assert seen == []
    run(agents, "/agents/scripted", asked("r9", user("u2", "more"), thread_id="t1", forwardedProps=SCRIPT))
    assert any("runfold.log" in query for query in seen), "what comes after a first run has a past to be looked at"


async def meddling(asked: RunAgentInput) -> AsyncIterator[dict[str, Any]]:
    """Changes all that it is given before it says anything."""
    about = {"threadId": asked.thread_id, "runId": asked.run_id}
    for given in (asked.forwarded_props["told"], asked.state["kept"], asked.tools[0].parameters):
        given["changed"] = True
    asked.messages.clear()
    yield {**START, **about}
    yield {**END, **about, "result": asked.state}


def test_what_an_agent_does_with_its_input_changes_nothing_of_what_is_recorded_and_shown(ledger: Ledger) -> None:
    tools = [{"name": "look", "description": "looks", "parameters": {"type": "object"}}]
    given = {"forwardedProps": {"told": {"a": 1}}, "tools": tools}
    body = asked("r1", user("u1", "hi"), state={"kept": {"b": 2}}, **given)
    app = create_app(ledger, Anybody(), agents={"meddling": meddling})
    with serving(app) as address, httpx2.Client(base_url=address, timeout=60) as client:
        events = run(client, "/agents/meddling", body)
    assert events[-1]["result"] == {"kept": {"b": 2, "changed": True}}, "it has its own"
    shown = events[0]["input"]
    assert {name: shown[name] for name in given} == given
    assert [message["content"] for message in shown["messages"]] == ["hi"]
    assert [event["snapshot"] for event in events if event["type"] == "STATE_SNAPSHOT"] == [{"kept": {"b": 2}}]
    (created,) = ledger.events(types=["run.created"])
    assert isinstance(created.event, RunCreated)
    assert created.event.input == given


def test_of_clients_that_ask_for_the_same_first_run_at_once_one_begins_it_and_all_are_told(
    agents: httpx2.Client, ledger: Ledger
) -> None:
    bodies = [asked("r1", user("u1", "hi"), thread_id=f"t{number // 4}", forwardedProps=SCRIPT) for number in range(12)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        told = list(pool.map(lambda body: run(agents, "/agents/scripted", body), bodies))
    assert {events[-1]["type"] for events in told} == {"RUN_FINISHED"}
    for each in ("run.created", "run.claimed", "run.completed"):
        assert len(ledger.events(types=[each])) == 3, each


def test_a_thread_or_a_run_that_is_there_already_is_met_by_a_request_that_looks_like_a_first(
    agents: httpx2.Client, settings: Settings, ledger: Ledger
) -> None:
    with Ledger.open(settings=settings) as other:  # so that this process has nothing of it in memory
        done = other.create_thread(thread_id="thread_theirs").start_run("hi", run_id="run_theirs", agent_id="scripted")
        done.complete()
    again = asked("r2", user("u2", "more"), thread_id="thread_theirs", forwardedProps=SCRIPT)
    begun = run(agents, "/agents/scripted", again)[0]
    assert begun["metadata"]["runfold"]["parent_kind"] == "continues"
    before = ledger.position()
    for thread_id in ("thread_theirs", "t2"):
        elsewhere = asked("run_theirs", user("u1", "hi"), thread_id=thread_id, forwardedProps=SCRIPT)
        answer = agents.post("/agents/scripted", json=elsewhere, headers={"accept": "text/event-stream"})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:runfold:error:CommandRefused")
    assert ledger.position() == before, "nothing of it was recorded"
