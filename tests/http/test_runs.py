"""Runs over HTTP: asked for, worked on, ended once; what a run tells of itself, and how runs are found."""

import time
from datetime import datetime
from typing import Any

import httpx2
import pytest

from runfold import Ledger, Thread


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support", user_id="u_7")


def begun(client: httpx2.Client, thread: Thread, **said: Any) -> str:
    """Another run of a thread, beginning anew."""
    answer = client.post(f"/threads/{thread.id}/runs", json={"parent": None, **said})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def shown(client: httpx2.Client, run: str) -> dict[str, Any]:
    return client.get(f"/runs/{run}").json()


def row(client: httpx2.Client, ledger: Ledger, run: str) -> dict[str, Any]:
    """The run as lists show it."""
    ledger.fold("run_summaries")
    (found,) = client.get("/runs", params={"run_id": run}).json()["items"]
    return found


@pytest.mark.row("LT-20")
def test_a_run_that_is_asked_for_is_there_at_once_with_nothing_done(
    client: httpx2.Client, ledger: Ledger, thread: Thread
) -> None:
    """It must have a thread that its caller sees. Tenant, user and agent are taken from there."""
    answer = client.post(f"/threads/{thread.id}/run-requests", json={"input": {"ticket": 42}})
    assert (answer.status_code, answer.json()["appended"]) == (201, 1)
    run = answer.json()["id"]
    assert (shown(client, run)["status"], shown(client, run)["agent_id"]) == ("created", "support")
    made = row(client, ledger, run)
    assert (made["user_id"], made["steps"], made["started_at"], made["duration_ns"]) == ("u_7", 0, None, None)
    assert client.get(f"/runs/{run}/metrics").json()["steps"] == 0
    hidden = client.post(f"/threads/{thread.id}/run-requests", json={}, headers={"X-Tenant": "acme"})
    assert (hidden.status_code, hidden.json()["id"]) == (404, thread.id)
    assert client.post("/threads/thread_0/run-requests", json={}).status_code == 404
    nobody = ledger.create_thread().id
    assert client.post(f"/threads/{nobody}/run-requests", json={}).status_code == 422


@pytest.mark.row("LT-21", "CV-24")
def test_a_run_is_asked_for_and_begun_in_one_request_or_in_two(client: httpx2.Client, thread: Thread) -> None:
    at_once = client.post(f"/threads/{thread.id}/runs", json={"input": "hello", "parent": None}).json()
    assert (at_once["appended"], shown(client, at_once["id"])["status"]) == (2, "running")
    later = client.post(f"/threads/{thread.id}/run-requests", json={"input": "hello", "parent": None}).json()["id"]
    assert client.post(f"/runs/{later}/start", json={}).json()["appended"] == 1
    assert client.post(f"/runs/{later}/start", json={}).json()["appended"] == 0
    assert shown(client, later)["status"] == "running"


@pytest.mark.row("LT-23")
def test_a_run_that_waits_for_approval_can_be_cancelled_and_one_that_completed_cannot(
    client: httpx2.Client, thread: Thread
) -> None:
    """Waiting is no ending here, so nothing that has ended is ever overwritten."""
    done, waiting = begun(client, thread), begun(client, thread)
    client.post(f"/runs/{done}/complete", json={})
    refused = client.post(f"/runs/{done}/cancel", json={})
    assert (refused.status_code, refused.json()["state"]) == (409, "completed (end_turn) at version 3")
    client.post(f"/runs/{waiting}/approvals", json={"action": "refund"})
    assert (shown(client, waiting)["status"], shown(client, waiting)["stop_reason"]) == ("waiting", "requires_approval")
    assert client.post(f"/runs/{waiting}/cancel", json={}).status_code == 200
    assert shown(client, waiting)["status"] == "cancelled"


@pytest.mark.row("LT-25")
@pytest.mark.parametrize(
    ("path", "body", "stop_reason"),
    [
        ("complete", {}, "end_turn"),
        ("complete", {"stop_reason": "max_steps"}, "max_steps"),
        ("fail", {"message": "no"}, "error"),
        ("cancel", {}, "cancelled"),
    ],
)
def test_an_end_has_its_time_and_its_reason_from_the_first_request_that_ended_the_run(
    client: httpx2.Client, ledger: Ledger, thread: Thread, path: str, body: dict[str, Any], stop_reason: str
) -> None:
    """A reason is never missing, and one that does not fit the end is refused, not logged."""
    run = begun(client, thread)
    unfit = {**body, "stop_reason": {"complete": "error", "fail": "end_turn", "cancel": "error"}[path]}
    assert client.post(f"/runs/{run}/{path}", json=unfit).status_code == 409
    assert row(client, ledger, run)["finished_at"] is None
    ended = client.post(f"/runs/{run}/{path}", json=body).json()
    again = client.post(f"/runs/{run}/{path}", json=body)
    assert (again.status_code, again.json()["appended"]) == (200, 0)
    end = row(client, ledger, run)
    assert (end["stop_reason"], datetime.fromisoformat(end["finished_at"])) == (
        stop_reason,
        datetime.fromisoformat(ended["recorded_at"]),
    )


def test_an_end_gives_the_run_back_and_shows_on_its_agent_and_in_its_numbers(
    client: httpx2.Client, ledger: Ledger, thread: Thread
) -> None:
    run = begun(client, thread)
    client.post(f"/runs/{run}/claim", json={"worker": "worker-a"})
    client.post(f"/runs/{run}/steps", json={"name": "think"})
    client.post(f"/runs/{run}/fail", json={"message": "no credit", "stop_reason": "insufficient_credits"})
    end = row(client, ledger, run)
    assert (end["worker"], end["execution_id"], end["lease_expires_at"]) == (None, None, None)
    newest = client.get("/runs", params={"agent_id": "support", "limit": 1}).json()["items"]
    assert (newest[0]["run_id"], newest[0]["stop_reason"]) == (run, "insufficient_credits")
    figures = client.get(f"/runs/{run}/metrics").json()
    assert (figures["status"], figures["steps"], figures["duration_ns"]) == ("failed", 1, end["duration_ns"])


@pytest.mark.row("LT-34")
def test_a_run_is_answered_from_the_log_and_so_never_behind(client: httpx2.Client, ledger: Ledger, thread: Thread) -> None:
    """There is no second place that could know better, so nothing is laid over what was recorded."""
    run = begun(client, thread, input={"ticket": 42}, metadata={"channel": "mail"})
    answer = client.get(f"/runs/{run}")
    assert (answer.headers["etag"], answer.headers["runfold-position"]) == ('"2"', str(ledger.position()))
    view = answer.json()
    assert (view["input"], view["metadata"], view["status"]) == ({"ticket": 42}, {"channel": "mail"}, "running")
    client.post(f"/runs/{run}/complete", json={"output": "done"})
    assert (shown(client, run)["status"], shown(client, run)["output"]) == ("completed", "done")
    assert client.get(f"/runs/{run}", params={"at_version": 2}).json()["status"] == "running"
    assert client.get("/runs/run_0").status_code == 404


@pytest.mark.row("LT-35", "LT-08")
def test_the_messages_of_a_run_come_in_pages_of_those_roles_that_are_wanted(client: httpx2.Client, thread: Thread) -> None:
    """Which roles somebody wants they say when they read; what the request said of it is kept with the run."""
    wanted = {"use_assistant_message": True, "include_return_message_types": ["assistant_message"]}
    first = begun(client, thread, request_config=wanted)
    client.post(f"/runs/{first}/messages", json={"role": "user", "content": "before", "message_id": "msg_0"})
    client.post(f"/runs/{first}/complete", json={})
    run = client.post(f"/threads/{thread.id}/runs", json={"parent": first, "request_config": wanted}).json()["id"]
    for number in range(1, 121):
        body = {"role": ("user", "assistant", "reasoning")[number % 3], "content": str(number), "message_id": f"msg_{number}"}
        client.post(f"/runs/{run}/messages", json=body)

    def ids(**asked: Any) -> list[str]:
        found: list[str] = []
        page = client.get(f"/runs/{run}/messages", params=asked).json()
        while True:
            found += [message["id"] for message in page["items"]]
            if page["next_cursor"] is None:
                return found
            page = client.get(f"/runs/{run}/messages", params={**asked, "cursor": page["next_cursor"]}).json()

    assert len(client.get(f"/runs/{run}/messages").json()["items"]) == 100
    assert ids() == [f"msg_{number}" for number in range(121)]
    assert ids(own=True, limit=50) == [f"msg_{number}" for number in range(1, 121)]
    assert ids(role="assistant", limit=7) == [f"msg_{number}" for number in range(1, 121, 3)]
    assert ids(role=["assistant", "user"], own=True, limit=9) == [f"msg_{number}" for number in range(1, 121) if number % 3 != 2]
    assert client.get(f"/runs/{run}/messages", params={"role": "robot"}).status_code == 400
    assert shown(client, run)["request_config"] == wanted


@pytest.mark.row("CV-01")
def test_what_a_run_tells_of_itself(client: httpx2.Client, ledger: Ledger, thread: Thread) -> None:
    """Its stream is the run itself. All its messages are asked for by its id; the first question and last answer are named."""
    run = begun(client, thread, key="order 7", input="hello")
    client.post(f"/runs/{run}/link", json={"workflow_id": "wf_1"})
    client.post(f"/runs/{run}/messages", json={"role": "user", "content": "hello", "message_id": "msg_1"})
    client.post(f"/runs/{run}/usage", json={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5})
    by_agent = {"X-Actor": "agent:support"}
    approval = client.post(f"/runs/{run}/approvals", json={"action": "refund"}, headers=by_agent).json()["id"]
    waiting = row(client, ledger, run)
    assert (waiting["status"], waiting["waiting_reason"], waiting["waiting_for"]) == ("waiting", "approval", [approval])
    client.post(f"/approvals/{approval}/votes", json={"verdict": "approve"})
    client.post(f"/runs/{run}/messages", json={"role": "assistant", "content": "hi", "message_id": "msg_2"})
    client.post(f"/runs/{run}/complete", json={"output": {"said": "hi"}})
    told, view = row(client, ledger, run), shown(client, run)
    ids = {"run_id": run, "thread_id": thread.id, "user_id": "u_7", "agent_id": "support", "workflow_id": "wf_1"}
    said = {"prompt_message_id": "msg_1", "result_message_id": "msg_2", "request_key": "order 7", "total_tokens": 5}
    assert {**ids, **said, "waiting_for": []}.items() <= told.items()
    assert told["created_at"] <= told["started_at"] <= told["finished_at"] == told["last_event_at"]
    assert (view["output"], view["error"], view["key"]) == ({"said": "hi"}, None, "order 7")
    failed = begun(client, thread)
    client.post(f"/runs/{failed}/fail", json={"message": "no such order", "code": "not_found"})
    error = shown(client, failed)["error"]
    assert (error["code"], error["message"]) == ("not_found", "no such order")


@pytest.mark.row("CV-05")
def test_runs_are_found_by_agent_thread_and_key_by_status_and_by_age(
    client: httpx2.Client, ledger: Ledger, thread: Thread
) -> None:
    """By its key a run is found at once: its id is made of them. That lists use their indexes is tested where they are."""
    runs = [begun(client, thread, key=f"key {number}") for number in range(4)]
    client.post(f"/runs/{runs[1]}/complete", json={})
    client.post(f"/runs/{runs[3]}/complete", json={})
    begun(client, ledger.create_thread(agent_id="support"))
    ledger.fold("run_summaries")

    def listed(**asked: Any) -> list[str]:
        return [found["run_id"] for found in client.get(f"/threads/{thread.id}/runs", params=asked).json()["items"]]

    assert listed() == runs[::-1]
    assert listed(status="completed") == [runs[3], runs[1]]
    assert listed(status=["running", "failed"], order="asc") == [runs[0], runs[2]]
    again = client.post(f"/threads/{thread.id}/runs", json={"parent": None, "key": "key 2"}).json()
    assert (again["id"], again["appended"]) == (runs[2], 0)


@pytest.mark.row("CV-34")
@pytest.mark.parametrize(("path", "body"), [("fail", {"message": "no"}), ("cancel", {})])
def test_a_call_that_its_run_closed_was_resolved_at_a_position_like_any_other(
    client: httpx2.Client, ledger: Ledger, thread: Thread, path: str, body: dict[str, Any]
) -> None:
    run = begun(client, thread)
    for number in range(2):
        client.post(f"/runs/{run}/tool-calls", json={"name": "refund", "call_id": f"call_{number}"})
    answered = client.post(f"/runs/{run}/tool-calls/call_0/succeed", json={"result": 1}).json()["position"]
    ended = client.post(f"/runs/{run}/{path}", json=body).json()["position"]
    calls = client.get(f"/runs/{run}/tool-calls").json()["items"]
    assert [call["resolved_position"] for call in calls] == [answered, ended]
    ledger.fold()
    listed = client.get("/tool-calls", params={"run_id": run, "order": "asc"}).json()["items"]
    assert [call["resolved_position"] for call in listed] == [answered, ended]
    assert [call["requested_position"] for call in listed] == [answered - 2, answered - 1]


@pytest.mark.row("CM-03")
def test_a_worker_that_went_silent_loses_its_run_to_one_that_takes_it_over(client: httpx2.Client, thread: Thread) -> None:
    """What was said until then stays; nothing is deleted after a while."""
    run = begun(client, thread)
    client.post(f"/runs/{run}/claim", json={"worker": "worker-a", "lease": "1s", "execution_id": "exec_a"})
    client.post(f"/runs/{run}/messages", json={"role": "assistant", "content": "It left", "message_id": "msg_1"})
    assert client.post(f"/runs/{run}/claim", json={"worker": "worker-b"}).status_code == 409
    time.sleep(1.1)
    late = client.post(f"/runs/{run}/claim", json={"worker": "worker-b"})
    assert (late.status_code, "take_over" in late.json()["rule"]) == (409, True)
    taken = client.post(f"/runs/{run}/claim", json={"worker": "worker-b", "take_over": True})
    assert (taken.status_code, taken.json()["appended"]) == (200, 2)  # that it was stuck, and that worker-b has it
    renewed = client.post(f"/runs/{run}/claim", json={"worker": "worker-a", "execution_id": "exec_a"})
    assert (renewed.status_code, "worker-b holds the lease" in renewed.json()["rule"]) == (409, True)
    assert [message["id"] for message in client.get(f"/runs/{run}/messages").json()["items"]] == ["msg_1"]


@pytest.mark.row("CV-32")
def test_an_output_that_is_not_what_its_schema_says_fails_the_run_once_however_often_it_is_sent(
    client: httpx2.Client, ledger: Ledger, thread: Thread
) -> None:
    run = thread.start_run()
    body = {"output": {"total": "3"}, "schema": {"properties": {"total": {"type": "integer"}}}}
    answers = [client.post(f"/runs/{run.id}/output", json=body, headers={"Idempotency-Key": "bill"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert [answer.json()["rule"] for answer in answers] == [answers[0].json()["rule"]] * 2
    assert "output.total: it is not of type" in answers[0].json()["rule"]
    view = client.get(f"/runs/{run.id}").json()
    assert (view["status"], view["stop_reason"], view["error"]["code"]) == ("failed", "invalid_llm_response", "invalid_output")
    assert len(ledger.events(types=["run.failed"])) == 1
