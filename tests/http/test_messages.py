"""Messages over HTTP: every role and part, whole or in pieces; what is said of them, and what else a run tells."""

from typing import Any

import httpx2
import pytest

from runfold import Ledger, Run

PARTS = [
    {"type": "text", "text": "Where is my order?"},
    {"type": "reasoning", "text": "It asks for a place.", "signature": "s"},
    {"type": "file", "media_type": "image/png", "url": "https://example.org/a.png", "name": "a.png"},
    {"type": "source", "url": "https://example.org", "title": "Carrier"},
    {"type": "source", "document_id": "doc_1"},
    {"type": "data", "name": "order", "data": {"id": 7}},
]
ROLES = ("system", "developer", "user", "assistant", "reasoning", "tool", "activity")


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


def add(client: httpx2.Client, run: Run, message: str, role: str = "assistant", **said: Any) -> httpx2.Response:
    said = {"content": message, **said}
    return client.post(f"/runs/{run.id}/messages", json={"role": role, "message_id": message, **said})


def read(client: httpx2.Client, run: Run) -> dict[str, dict[str, Any]]:
    return {message["id"]: message for message in client.get(f"/runs/{run.id}/messages").json()["items"]}


def plain(part: dict[str, Any]) -> dict[str, Any]:
    """A part without what was not said."""
    return {name: value for name, value in part.items() if value is not None}


@pytest.mark.row("RV-08")
def test_parts_keep_their_order_and_a_kind_that_there_is_not_is_refused(client: httpx2.Client, run: Run) -> None:
    assert add(client, run, "parts", "user", content=PARTS[::-1]).status_code == 201
    assert [plain(part) for part in read(client, run)["parts"]["content"]] == PARTS[::-1]
    refused = add(client, run, "binary", "user", content=[{"type": "binary", "mime_type": "image/png", "data": "AAAA"}])
    assert refused.status_code == 422
    assert refused.json()["path"].startswith("body.content.0")
    assert len(read(client, run)) == 1


@pytest.mark.row("LT-53", "CV-06")
def test_a_message_of_any_role_comes_back_as_it_was_said_with_where_it_stands(client: httpx2.Client, run: Run) -> None:
    """The id is its sender's, who may send it twice; the order is the ledger's positions.

    Calls of tools, their results and approvals are things of their own that messages name; so nothing is told twice.
    """
    client.post(f"/runs/{run.id}/tool-calls", json={"name": "look_up", "call_id": "call_1", "message_id": "assistant"})
    said = {
        "user": {"content": PARTS, "author": "user:u_7", "name": "Ada"},
        "assistant": {"author": "agent:support"},
        "tool": {"tool_call_id": "call_1"},
        "activity": {"activity_type": "compaction"},
    }
    positions = [add(client, run, role, role, **said.get(role, {})).json()["position"] for role in ROLES]
    assert add(client, run, "system", "system").json()["appended"] == 0
    told = read(client, run)
    assert [message["role"] for message in told.values()] == list(ROLES)
    assert [message["added_position"] for message in told.values()] == positions
    assert [plain(part) for part in told["user"]["content"]] == PARTS
    for role, message in told.items():
        expected = {"run_id": run.id, "revision": 1, "streaming": False, "is_redacted": False}
        assert expected.items() <= message.items()
        assert {name: value for name, value in said.get(role, {}).items() if name != "content"}.items() <= message.items()
    (call,) = client.get(f"/runs/{run.id}/tool-calls").json()["items"]
    assert (call["message_id"], told["tool"]["tool_call_id"]) == ("assistant", call["call_id"])
    hidden = client.post(f"/runs/{run.id}/messages/reasoning/redact", json={"legal_basis": "provider's terms"})
    assert hidden.status_code == 200
    assert read(client, run)["reasoning"]["is_redacted"] is True


@pytest.mark.row("CM-01", "CM-02", "CV-31")
def test_a_message_streams_in_and_is_one_message_all_along(client: httpx2.Client, run: Run, ledger: Ledger) -> None:
    """A piece may be sent twice, and none can be left out. What came so far is read by anybody at any time."""
    path = f"/runs/{run.id}/messages/msg_1"
    add(client, run, "msg_1", content="", streaming=True)
    pieces = ["It left ", "on Tuesday", "."]
    offset = 0
    for piece in pieces:
        for appended in (1, 0):
            answer = client.post(f"{path}/text", json={"text": piece, "offset": offset})
            assert (answer.status_code, answer.json()["appended"]) == (200, appended)
        offset += len(piece)
        (message,) = read(client, run).values()
        assert (message["streaming"], message["content"][0]["text"]) == (True, "".join(pieces)[:offset])
    gap = client.post(f"{path}/text", json={"text": "late", "offset": offset + 1})
    assert gap.status_code == 409
    assert client.post(f"{path}/seal", json={"finish_reason": "stop"}).status_code == 200
    assert client.post(f"{path}/text", json={"text": "more"}).status_code == 409
    (message,) = read(client, run).values()
    assert (message["streaming"], message["finish_reason"], message["content"]) == (
        False,
        "stop",
        [{"type": "text", "text": "It left on Tuesday."}],
    )
    final = client.post(f"{path}/revisions", json={"content": "It left on Tuesday at noon."})
    assert final.status_code == 200
    (message,) = read(client, run).values()
    assert (message["revision"], message["content"][0]["text"]) == (2, "It left on Tuesday at noon.")
    ledger.fold("run_summaries")
    assert client.get("/runs", params={"run_id": run.id}).json()["items"][0]["result_message_id"] == "msg_1"
    page = client.get(f"/runs/{run.id}/events", params={"types": "message.part_appended", "after": 0, "limit": 2}).json()
    following = client.get(f"/runs/{run.id}/events", params={"types": "message.*", "after": page["next_cursor"]}).json()
    deltas = [item["data"] for item in page["items"] + following["items"] if item["type"] == "message.part_appended"]
    assert [(delta["offset"], delta["text"]) for delta in deltas] == [(0, "It left "), (8, "on Tuesday"), (18, ".")]


@pytest.mark.row("CM-01", "CM-05")
def test_a_run_that_stops_midway_keeps_all_that_was_streamed_until_then(client: httpx2.Client, run: Run) -> None:
    add(client, run, "msg_1", content="", streaming=True)
    pieces = [{"path": "/messages/msg_1/text", "body": {"text": f"{number} "}} for number in range(2500)]
    assert client.post(f"/runs/{run.id}/events", json={"commands": pieces}).json()["appended"] == 2500
    assert client.post(f"/runs/{run.id}/cancel", json={"stop_reason": "client_disconnected"}).status_code == 200
    (message,) = read(client, run).values()
    assert message["content"][0]["text"] == "".join(f"{number} " for number in range(2500))
    late = client.post(f"/runs/{run.id}/messages/msg_1/text", json={"text": "more"})
    assert (late.status_code, late.json()["state"]) == (409, "cancelled (client_disconnected) at version 2504")


@pytest.mark.row("CM-09")
def test_a_finish_reason_is_kept_as_the_provider_says_it(client: httpx2.Client, run: Run) -> None:
    """Any word: providers have more than the seven. What a run stopped for is a word of our own list."""
    for number, reason in enumerate(("stop", "length", "content-filter", "tool-calls", "error", "other", "unknown", "refusal")):
        add(client, run, f"msg_{number}", content="", streaming=True)
        assert client.post(f"/runs/{run.id}/messages/msg_{number}/seal", json={"finish_reason": reason}).status_code == 200
        call = client.post(f"/runs/{run.id}/model-calls", json={}).json()["id"]
        client.post(f"/runs/{run.id}/model-calls/{call}/finish", json={"finish_reasons": [reason]})
        assert read(client, run)[f"msg_{number}"]["finish_reason"] == reason
        assert client.get(f"/runs/{run.id}/steps").json()["items"][-1]["finish_reasons"] == [reason]
    assert client.post(f"/runs/{run.id}/complete", json={"stop_reason": "stop"}).status_code == 422


@pytest.mark.row("CV-08")
def test_everything_that_a_run_streams_has_its_event(client: httpx2.Client, run: Run) -> None:
    """Parts of a message (text, reasoning, source, file, data) are parts here too; the others are events of their own."""
    started = client.get(f"/runs/{run.id}/events").json()["position"]
    add(client, run, "msg_1", content=PARTS)
    add(client, run, "msg_2", content="", streaming=True)
    asked = {"name": "refund", "call_id": "call_1", "needs_approval": True}
    for path, body in (
        ("/messages/msg_2/text", {"text": "Hello"}),
        ("/messages/msg_2/seal", {}),
        ("/tool-calls", asked),
        ("/approvals", {"action": "refund", "call_id": "call_1", "approval_id": "approval_1"}),
    ):
        assert client.post(f"/runs/{run.id}{path}", json=body).status_code in {200, 201}
    bob = {"X-Actor": "human:bob"}  # who asked does not decide
    client.post("/approvals/approval_1/votes", json={"verdict": "approve", "comment": "fine"}, headers=bob)
    for path, body in (
        ("/tool-calls/call_1/start", {"approval": "approval_1"}),
        ("/tool-calls/call_1/succeed", {"result": {"ok": True}}),
        ("/output", {"output": {"answer": 42}}),
        ("/usage", {"input_tokens": 1}),
        ("/problems", {"severity": "minor", "description": "x"}),
        ("/fail", {"message": "no", "code": "error"}),
    ):
        assert client.post(f"/runs/{run.id}{path}", json=body).status_code in {200, 201}
    page = client.get(f"/runs/{run.id}/events", params={"after": started}).json()
    types = [item["type"] for item in page["items"]]
    assert types == [
        "message.added",
        "message.added",
        "message.part_appended",
        "message.sealed",
        "tool.called",
        "approval.requested",
        "run.waiting",
        "approval.vote_cast",
        "approval.granted",
        "run.resumed",
        "tool.started",
        "approval.consumed",
        "tool.succeeded",
        "run.output_recorded",
        "usage.recorded",
        "problem.reported",
        "run.failed",
    ]
    assert page["items"][7]["data"]["comment"] == "fine"
    assert [item["position"] for item in page["items"]] == list(range(started + 1, started + 18))
