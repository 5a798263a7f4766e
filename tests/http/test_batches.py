"""Several commands in one request: all recorded, or none."""

import threading
from typing import Any

import httpx2
import pytest

from runfold import Ledger, Run


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


COMMANDS: list[dict[str, Any]] = [
    {"name": "messages.add", "body": {"role": "user", "content": "Where is my order?", "message_id": "msg_1"}},
    {"name": "tool_calls.create", "body": {"name": "look_up", "arguments": {"order": 7}, "call_id": "call_1"}},
    {"name": "tool_calls.succeed", "ids": {"call_id": "call_1"}, "body": {"result": {"status": "sent"}}},
    {"name": "messages.add", "body": {"role": "assistant", "content": "It left on Tuesday."}},
    {"name": "state.set", "body": {"state": {"asked": 1}}},
    {"name": "runs.complete", "body": {"output": "done"}},
]
FORMER = ["Recording.add_message", "Recording.call_tool", "ToolCall.succeed", "Recording.add_message", "Recording.set_state"]
BY_FORMER_NAMES = [{**item, "name": name} for item, name in zip(COMMANDS, [*FORMER, "Life.complete"], strict=True)]
PATHS = ["/messages", "/tool-calls", "/tool-calls/call_1/succeed", "/messages", "/state", "/complete"]
BY_PATHS = [
    {"path": path, "verb": "PUT" if path == "/state" else "POST", "body": item["body"]}
    for item, path in zip(COMMANDS, PATHS, strict=True)
]
"""As version 0.1 took them."""


@pytest.mark.parametrize("commands", [COMMANDS, BY_FORMER_NAMES, BY_PATHS], ids=["names", "former names", "paths"])
def test_commands_that_build_on_each_other_are_recorded_together(
    client: httpx2.Client, run: Run, commands: list[dict[str, Any]]
) -> None:
    answer = client.post(f"/runs/{run.id}/events", json={"commands": commands, "expected_version": 2})
    assert answer.status_code == 200, answer.text
    reply = answer.json()
    assert reply["ids"][:2] == ["msg_1", "call_1"]
    assert (reply["appended"], reply["version"]) == (6, 8)
    assert answer.headers["etag"] == '"8"'
    assert run.view().status == "completed"


def test_one_that_is_refused_leaves_nothing_of_the_others(client: httpx2.Client, run: Run) -> None:
    late = {"name": "messages.add", "body": {"role": "user", "content": "too late"}}
    refused = client.post(f"/runs/{run.id}/events", json={"commands": [*COMMANDS, late]})
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:runfold:error:CommandRefused"
    assert run.view().version == 2


@pytest.mark.shares
@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"name": "messages.ad"}, "commands.1.name"),
        ({"name": "threads.rename", "body": {"title": "x"}}, "commands.1.name"),
        ({"body": {"role": "user"}}, "commands.1.name"),
        ({"name": "messages.add", "path": "/messages"}, "commands.1.path"),
        ({"name": "messages.add"}, "commands.1.body.role"),
        ({"name": "tool_calls.start"}, "commands.1.ids.call_id"),
        ({"name": "tool_calls.start", "ids": {"call_id": ""}}, "body.commands.1.ids.call_id"),
        ({"name": "messages.add", "ids": {"run_id": "run_1"}}, "commands.1.ids.run_id"),
        ({"path": "/nothing"}, "commands.1.path"),
        ({"path": "/messages"}, "commands.1.body.role"),
        ({"path": "/messages", "body": {"role": "user", "content": "x", "actor": "human:eve"}}, "commands.1.body.actor"),
        ({"path": "/messages", "body": {"role": "user", "content": "x", "message_id": "no id!"}}, "commands.1.body.message_id"),
        ({"path": "/messages", "verb": "DELETE"}, "body.commands.1.verb"),
    ],
)
def test_a_command_that_cannot_be_is_named_with_its_place(
    client: httpx2.Client, run: Run, item: dict[str, object], path: str
) -> None:
    refused = client.post(f"/runs/{run.id}/events", json={"commands": [COMMANDS[0], item]})
    assert refused.status_code == 422
    assert refused.json()["path"] == path
    assert run.view().version == 2


@pytest.mark.fault("F12")
def test_a_batch_of_nothing_records_nothing_and_ten_thousand_go_in_together(client: httpx2.Client, run: Run) -> None:
    nothing = client.post(f"/runs/{run.id}/events", json={"commands": []}).json()
    assert (nothing["ids"], nothing["appended"]) == ([], 0)
    many = [{"name": "messages.add", "body": {"role": "user", "content": str(number)}} for number in range(10_000)]
    assert client.post(f"/runs/{run.id}/events", json={"commands": many}).json()["appended"] == 10_000
    assert client.post(f"/runs/{run.id}/events", json={"commands": [*many, many[0]]}).status_code == 413


def test_a_batch_under_a_key_takes_effect_once_and_gives_the_same_answer(client: httpx2.Client, run: Run) -> None:
    body = {"commands": [{"name": "messages.add", "body": {"role": "user", "content": str(number)}} for number in range(5)]}
    answers: list[httpx2.Response] = []

    def ask() -> None:
        answers.append(client.post(f"/runs/{run.id}/events", json=body, headers={"Idempotency-Key": "one"}))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert len(run.messages()) == 5


def test_a_batch_that_expects_another_version_is_a_conflict(client: httpx2.Client, run: Run) -> None:
    stale = client.post(f"/runs/{run.id}/events", json={"commands": COMMANDS, "expected_version": 1})
    assert (stale.status_code, stale.json()["actual"]) == (409, 2)
    stale = client.post(f"/runs/{run.id}/events", json={"commands": COMMANDS}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["actual"]) == (412, 2)


@pytest.mark.row("LT-92")
def test_many_approvals_are_decided_together_and_the_run_goes_on_once(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    calls = [run.call_tool("refund", {"order": number}) for number in range(56)]
    asked = [run.request_approval("refund", arguments={"order": number}, call_id=call.id) for number, call in enumerate(calls)]
    votes = [{"approval_id": each.id, "verdict": "approve"} for each in asked]
    votes[3] |= {"verdict": "deny", "comment": "not this one"}
    answer = client.post("/approvals/resolve", json={"votes": votes})
    assert answer.status_code == 200, answer.text
    assert run.view().status == "running"
    statuses = [ledger.now.approval(each.id).status for each in asked]
    assert (statuses.count("granted"), statuses[3]) == (55, "denied")
    resumed = [recorded for recorded in ledger.now.run_events(run.id) if recorded.type == "run.resumed"]
    assert len(resumed) == 1


def test_of_many_votes_one_that_cannot_be_leaves_all_approvals_open(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    asked = [run.request_approval("refund", arguments={"order": number}) for number in range(2)]
    votes = [{"approval_id": each.id, "verdict": "approve"} for each in asked]
    unknown = client.post("/approvals/resolve", json={"votes": [*votes, {"approval_id": "approval_0", "verdict": "deny"}]})
    assert unknown.status_code == 404
    assert [ledger.now.approval(each.id).status for each in asked] == ["open", "open"]


def test_a_thread_and_a_run_are_changed_in_one_request(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    thread = run.view().thread_id
    changed = client.patch(f"/threads/{thread}", json={"title": "Order 7", "archived": True})
    assert changed.json()["appended"] == 2
    assert (ledger.thread(thread).view().title, ledger.thread(thread).view().state) == ("Order 7", "archived")
    assert client.patch(f"/runs/{run.id}", json={"metadata": {"channel": "mail"}, "ttft_ns": 5}).json()["appended"] == 2
    assert run.view().metadata == {"channel": "mail"}
    assert client.patch(f"/runs/{run.id}", json={}).status_code == 422
