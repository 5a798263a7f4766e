"""Clients and servers that are killed in the middle of a run: what was shown stays, and somebody can go on."""

import signal
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runfold import Ledger, Settings
from runfold.http.app import create_app
from tests.http.agents.serving_agents import process
from tests.http.agents.talking import Event, asked, run, stream, user
from tests.serving import Anybody, serving

START, END = {"type": "RUN_STARTED"}, {"type": "RUN_FINISHED"}
SCRIPTED = "scripted=tests.agui.scripted:scripted"


def held(gate: Path) -> list[Any]:
    """A text that stops in the middle until the gate opens."""
    said = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": delta} for delta in ("one ", "two")]
    begun = {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}
    return [START, begun, said[0], {"gate": str(gate)}, said[1], {"type": "TEXT_MESSAGE_END", "messageId": "m"}, END]


def said(events: list[Event]) -> str:
    """What the client has of the text: that of the last snapshot, and what came after it."""
    text = ""
    for event in events:
        if event["type"] == "MESSAGES_SNAPSHOT":
            text = next((message["content"] for message in event["messages"] if message["id"] == "m"), "")
        elif event["type"] == "TEXT_MESSAGE_CONTENT":
            text += event["delta"]
    return text


def until_said(events: Any) -> list[Event]:
    """The events up to the first words."""
    found: list[Event] = []
    for event in events:
        found.append(event)
        if event["type"] == "TEXT_MESSAGE_CONTENT":
            return found
    return found


@pytest.mark.row("RV-71", "RV-72")
def test_a_client_that_hangs_up_neither_loses_nor_cancels_its_run(agents: httpx2.Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = asked("r1", user("u1", "go"), forwardedProps={"script": held(gate)})
    assert said(until_said(stream(agents, "/agents/scripted", body))) == "one "  # and it is gone
    gate.touch()
    events = run(agents, "/agents/scripted", body)
    assert (said(events), events[-1]["type"]) == ("one two", "RUN_FINISHED")


@pytest.mark.fault("agent-server-killed")
def test_after_the_server_was_killed_the_client_has_what_it_was_shown_then_an_error_and_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    body = asked("r1", user("u1", "go"), forwardedProps={"script": held(tmp_path / "never")})
    with process(settings, SCRIPTED) as (first, client):
        key = client.headers["Authorization"].removeprefix("Bearer ")
        shown = stream(client, "/agents/scripted", body)
        assert said(until_said(shown)) == "one "
        first.send_signal(signal.SIGKILL)
        first.wait()
        with pytest.raises(httpx2.TransportError):
            list(shown)
    with process(settings, SCRIPTED, key=key) as (_, client):
        events = run(client, "/agents/scripted", body)
        assert (said(events), events[-1]["type"], events[-1]["code"]) == ("one ", "RUN_ERROR", "interrupted")
        more = run(
            client,
            "/agents/scripted",
            asked("r2", user("u1", "go"), {"id": "m", "role": "assistant", "content": "one "}, user("u2", "again")),
        )
        assert more[-1]["type"] == "RUN_FINISHED"
        assert more[0]["metadata"]["runfold"]["parent_kind"] == "resumes"


def test_a_run_of_an_agent_behind_a_url_goes_on_if_the_agent_does(settings: Settings, new_database: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = asked("r1", user("u1", "go"), forwardedProps={"script": held(gate)})
    with Ledger.open(settings=new_database().settings) as behind:
        app = create_app(behind, Anybody(), agents={"scripted": SCRIPTED.partition("=")[2]})
        with serving(app) as url:
            source = f"far={url}/agents/scripted"
            with process(settings, source) as (first, client):
                key = client.headers["Authorization"].removeprefix("Bearer ")
                assert said(until_said(stream(client, "/agents/far", body))) == "one "
                first.send_signal(signal.SIGKILL)
                first.wait()
            with process(settings, source, key=key) as (_, client):
                threading.Timer(0.5, gate.touch).start()
                events = run(client, "/agents/far", body)
                assert (said(events), events[-1]["type"]) == ("one two", "RUN_FINISHED")
