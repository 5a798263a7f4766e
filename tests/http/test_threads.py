"""Threads over HTTP: made, listed, deleted together, worked on by one at a time, continued from any point."""

from typing import Any

import httpx2
import pytest

from runfold import Ledger, Run, Thread
from runfold.access.keys import Keys
from runfold.http.app import create_app
from tests.serving import serving

ACME = {"X-Tenant": "acme"}


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support")


def made(client: httpx2.Client, headers: dict[str, str] | None = None, **said: Any) -> httpx2.Response:
    return client.post("/threads", json={"agent_id": "support", **said}, headers=headers)


@pytest.mark.row("RV-20")
def test_a_thread_id_is_used_once_in_a_tenant_by_whoever_is_first(client: httpx2.Client, ledger: Ledger) -> None:
    """The same again is the same thread, so that a request may be repeated. To another tenant that id is free.

    Agents are the application's: a name is enough, and where nobody is named, a run cannot begin.
    """
    body = {"thread_id": "thread_1", "title": "Order 7"}
    assert made(client, **body).status_code == 201
    again = made(client, **body)
    assert (again.status_code, again.json()["id"], again.json()["appended"]) == (201, "thread_1", 0)
    other = made(client, thread_id="thread_1", title="Order 8")
    assert (other.status_code, other.json()["differs"]) == (409, "title")
    assert client.get("/threads/thread_1", headers=ACME).status_code == 404
    theirs = made(client, ACME, thread_id="thread_1", title="Order 9")
    assert (theirs.status_code, theirs.json()["appended"]) == (201, 1)
    assert client.get("/threads/thread_1", headers=ACME).json()["title"] == "Order 9"
    assert client.get("/threads/thread_1").json()["title"] == "Order 7"
    assert ledger.position() == 2
    nobody = made(client, thread_id="thread_2", agent_id=None).json()["id"]
    refused = client.post(f"/threads/{nobody}/runs", json={})
    assert (refused.status_code, refused.json()["path"]) == (422, "agent_id")


@pytest.mark.row("RV-21", "RV-40")
def test_a_caller_lists_their_own_threads_in_pages_that_others_cannot_shift(client: httpx2.Client, ledger: Ledger) -> None:
    """A cursor instead of a page number: no thread is left out or shown twice, whatever is made meanwhile.

    There is no count of all: it would be another number on every page.
    """
    ids = [made(client).json()["id"] for _ in range(25)]
    made(client, ACME)
    ledger.fold("threads")
    asked: dict[str, Any] = {"order_by": "created_position", "order": "asc", "limit": 10}
    page = client.get("/threads", params=asked).json()
    found = [row["thread_id"] for row in page["items"]]
    assert len(found) == 10
    while page["next_cursor"]:
        ledger.create_thread(agent_id="support", user_id="somebody else")
        client.post(f"/threads/{found[0]}/archive", json={})
        ledger.fold("threads")
        page = client.get("/threads", params={**asked, "cursor": page["next_cursor"]}).json()
        found += [row["thread_id"] for row in page["items"]]
    assert found[:25] == ids
    assert len(set(found)) == len(found)
    newest = client.get("/threads", params={"order_by": "created_position", "order": "desc", "limit": 1}).json()["items"]
    assert newest[0]["user_id"] == "somebody else"
    (theirs,) = client.get("/threads", headers=ACME).json()["items"]
    assert theirs["thread_id"] not in found
    by = {"order_by": "title"}
    assert client.get("/threads", params=by).status_code == 422
    assert client.get("/threads", params={**asked, "limit": 0}).status_code == 400


@pytest.mark.row("RV-30")
def test_threads_are_deleted_together_or_not_at_all(client: httpx2.Client, ledger: Ledger) -> None:
    """A tombstone: what happened stays in the log for auditors, and shows on no list."""
    ids = [made(client).json()["id"] for _ in range(3)]
    theirs = made(client, ACME).json()["id"]
    run = client.post(f"/threads/{ids[0]}/runs", json={}).json()["id"]
    for wrong in ("thread_0", theirs):
        refused = client.post("/threads/delete", json={"thread_ids": [*ids, wrong], "reason": "asked to"})
        assert (refused.status_code, refused.json()["id"]) == (404, wrong)
    assert {client.get(f"/threads/{thread}").json()["state"] for thread in ids} == {"open"}
    deleted = client.post("/threads/delete", json={"thread_ids": ids, "reason": "asked to"})
    assert (deleted.status_code, deleted.json()["appended"]) == (200, 3)
    ledger.fold("threads")
    assert client.get("/threads").json()["items"] == []
    assert len(client.get("/threads", params={"state": "deleted"}).json()["items"]) == 3
    assert client.post(f"/threads/{ids[0]}/runs", json={}).status_code == 409
    assert client.get(f"/runs/{run}").status_code == 200
    one = made(client).json()["id"]
    assert client.request("DELETE", f"/threads/{one}", json={"reason": "asked to"}).json()["appended"] == 1


@pytest.mark.row("RV-32")
def test_reading_and_writing_take_a_scope_each(ledger: Ledger) -> None:
    """Deleting sets a tombstone and erases nothing, so it is writing. There are no files and no agents to be let at."""
    thread = ledger.create_thread(agent_id="support")
    ledger.fold("threads", "run_summaries")
    reader, writer = (
        {"Authorization": f"Bearer {ledger.create_key(owner='human:ada', scopes=[scope], label='test').text}"}
        for scope in ("runs:read", "runs:write")
    )
    with serving(create_app(ledger, Keys(ledger))) as address, httpx2.Client(base_url=address, timeout=30) as client:
        deletion = {"thread_ids": [thread.id], "reason": "asked to"}
        assert made(client, reader).json()["scope"] == "runs:write"
        assert client.post("/threads/delete", json=deletion, headers=reader).status_code == 403
        for path in ("/threads", f"/threads/{thread.id}", f"/threads/{thread.id}/runs", f"/threads/{thread.id}/messages"):
            assert client.get(path, headers=writer).json()["scope"] == "runs:read"
            assert client.get(path, headers=reader).status_code == 200
        assert made(client, writer).status_code == 201
        assert client.post("/threads/delete", json=deletion, headers=writer).status_code == 200
        assert client.get("/threads").status_code == 401


@pytest.mark.row("LT-79", "CV-22")
def test_a_run_has_one_worker_at_a_time_and_the_next_one_is_told_who(
    client: httpx2.Client, ledger: Ledger, thread: Thread
) -> None:
    run = client.post(f"/threads/{thread.id}/runs", json={}).json()["id"]
    claimed = client.post(f"/runs/{run}/claim", json={"worker": "worker-a", "lease": "5m"})
    busy = client.post(f"/runs/{run}/claim", json={"worker": "worker-b"})
    assert (busy.status_code, busy.json()["stream"]) == (409, run)
    assert "worker-a holds the lease until" in busy.json()["rule"]
    renewed = client.post(f"/runs/{run}/claim", json={"worker": "worker-a", "execution_id": claimed.json()["id"], "lease": "9m"})
    assert (renewed.status_code, renewed.json()["appended"]) == (200, 1)
    assert client.get(f"/runs/{run}").json()["worker"] == "worker-a"
    assert client.post(f"/runs/{run}/complete", json={}).status_code == 200
    assert client.get(f"/runs/{run}").json()["worker"] is None  # the end gives it back
    assert client.post(f"/runs/{run}/claim", json={"worker": "worker-b"}).status_code == 409


def test_who_continues_a_conversation_from_a_head_that_moved_on_is_told_by_which_run(
    client: httpx2.Client, thread: Thread
) -> None:
    first = client.post(f"/threads/{thread.id}/runs", json={}).json()["id"]
    client.post(f"/runs/{first}/complete", json={})
    second = client.post(f"/threads/{thread.id}/runs", json={"expected_head": first}).json()["id"]
    late = client.post(f"/threads/{thread.id}/runs", json={"expected_head": first})
    assert late.status_code == 409
    assert f"is at {second}, not {first}" in late.json()["rule"]
    assert client.post(f"/runs/{first}/branches", json={"at_version": 2}).status_code == 201


@pytest.mark.row("CM-11")
def test_a_conversation_goes_on_from_any_point_of_it_without_being_copied(
    client: httpx2.Client, ledger: Ledger, thread: Thread
) -> None:
    """Instead of a copy with filters: a branch has the past up to a version, and whoever reads says which roles they want."""
    run = client.post(f"/threads/{thread.id}/runs", json={}).json()["id"]
    for number, role in enumerate(("user", "assistant", "tool", "user")):
        client.post(f"/runs/{run}/messages", json={"role": role, "content": str(number), "message_id": f"msg_{number}"})
    before = ledger.position()
    branch = client.post(f"/runs/{run}/branches", json={"at_version": 5}).json()["id"]
    assert ledger.position() == before + 1  # that it was asked for; no message is among it
    client.post(f"/runs/{branch}/messages", json={"role": "user", "content": "instead", "message_id": "msg_9"})

    def ids(run_id: str, **asked: Any) -> list[str]:
        return [message["id"] for message in client.get(f"/runs/{run_id}/messages", params=asked).json()["items"]]

    assert ids(branch) == ["msg_0", "msg_1", "msg_2", "msg_9"]
    assert ids(branch, role=["user", "assistant"]) == ["msg_0", "msg_1", "msg_9"]
    assert ids(branch, limit=2) == ["msg_0", "msg_1"]
    assert ids(run) == ["msg_0", "msg_1", "msg_2", "msg_3"]


@pytest.mark.row("CV-54")
def test_a_timeline_is_everything_by_position_runs_that_have_said_nothing_yet_among_it(
    client: httpx2.Client, ledger: Ledger, thread: Thread
) -> None:
    """Positions order all of a thread, so that no run needs an anchor; its first and last message are named none the less."""
    runs: list[Run] = []
    for number in range(3):
        runs.append(thread.start_run())
        runs[-1].add_message("user", f"question {number}", message_id=f"msg_{number}_asked")
        if number < 2:
            runs[-1].add_message("assistant", f"answer {number}", message_id=f"msg_{number}_answered")
            runs[-1].complete()
    ledger.fold("run_summaries")
    messages = client.get(f"/threads/{thread.id}/messages").json()["items"]
    listed = client.get(f"/threads/{thread.id}/runs").json()["items"]
    entries = {message["id"]: message["added_position"] for message in messages}
    entries |= {row["run_id"]: row["created_position"] for row in listed}
    assert sorted(entries, key=entries.__getitem__) == [
        runs[0].id,
        "msg_0_asked",
        "msg_0_answered",
        runs[1].id,
        "msg_1_asked",
        "msg_1_answered",
        runs[2].id,
        "msg_2_asked",
    ]
    under_way = listed[0]
    assert (under_way["status"], under_way["prompt_message_id"], under_way["result_message_id"]) == (
        "running",
        "msg_2_asked",
        None,
    )
