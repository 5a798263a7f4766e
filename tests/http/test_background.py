"""Runs that go on without whoever asked for them: started once, followed from anywhere, found again after any time."""

import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson
import pytest

from runfold import Ledger, Thread
from runfold.access.asking import Access
from runfold.access.keys import Keys
from runfold.domain.catalogue import event_types
from runfold.domain.run import Run as RunState
from runfold.domain.run_events import RunCreated
from runfold.http.app import create_app
from tests.http.streams import Stream
from tests.serving import Anybody, serving
from tests.waiting import soon


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support")


def texts(client: httpx2.Client, run: str) -> list[str]:
    messages = client.get(f"/runs/{run}/messages").json()["items"]
    return ["".join(part["text"] for part in message["content"]) for message in messages]


@pytest.mark.row("LT-70", "LT-80", "CV-52")
def test_a_run_in_the_background_is_answered_at_once_worked_on_by_another_and_followed_by_a_third(
    client: httpx2.Client, address: str, thread: Thread
) -> None:
    """The log is the stream: nothing else is needed for it, and any run can be followed, whoever was to wait for it."""
    asked = client.post(f"/threads/{thread.id}/run-requests", json={"input": "hello", "background": True})
    run = asked.json()["id"]
    view = client.get(f"/runs/{run}").json()
    assert (asked.status_code, view["status"], view["background"]) == (201, "created", True)

    def work() -> None:
        with httpx2.Client(base_url=address, timeout=30) as worker:
            claimed = worker.post(f"/runs/{run}/claim", json={"worker": "worker-a"})
            assert claimed.status_code == 200
            worker.post(f"/runs/{run}/start", json={})
            for number in range(20):
                worker.post(f"/runs/{run}/messages", json={"role": "assistant", "content": str(number)})
            worker.post(f"/runs/{run}/complete", json={"output": "done"})

    working = threading.Thread(target=work)
    with Stream.open(address, f"/runs/{run}/events") as stream:
        working.start()
        blocks = list(stream.blocks())
    working.join()
    events = [block for block in blocks if "." in block.event]
    assert [block.event for block in events].count("message.added") == 20
    assert (events[-1].event, blocks[-1].event) == ("run.completed", "end")
    assert {(block.data["context"]["run_id"], block.data["thread_id"]) for block in events} == {(run, thread.id)}
    half = events[10]
    with Stream.open(address, f"/runs/{run}/events", Last_Event_ID=str(half.id)) as resumed:
        assert [block.id for block in resumed.blocks() if "." in block.event] == [block.id for block in events[11:]]
    with Stream.open(address, "/runs/run_0/events") as unknown:
        assert unknown.status == 404


@pytest.mark.row("LT-77")
@pytest.mark.parametrize("access", [lambda _: Anybody(), Keys], ids=["anybody", "with a key"])
def test_what_was_sent_is_recorded_though_its_sender_hangs_up(
    ledger: Ledger, thread: Thread, access: Callable[[Ledger], Access]
) -> None:
    """Also where it is looked up first who that was."""
    run = thread.start_run()
    key = ledger.create_key(owner="agent:support", scopes=["runs:read", "runs:write"], label="test").text
    headers = {"Authorization": f"Bearer {key}"}
    with (
        serving(create_app(ledger, access(ledger))) as address,
        httpx2.Client(base_url=address, timeout=30, headers=headers) as client,
    ):
        where = urlsplit(address)
        for number in range(10):
            body = orjson.dumps({"role": "user", "content": str(number), "message_id": f"msg_{number}"})
            head = f"POST /runs/{run.id}/messages HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n"
            with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert soon(lambda: len(texts(client, run.id)) == 10)
        client.post(f"/runs/{run.id}/complete", json={})
        assert client.get(f"/runs/{run.id}").json()["status"] == "completed"


@pytest.mark.row("LT-72")
def test_nothing_is_trimmed_however_much_a_run_streams(client: httpx2.Client, thread: Thread) -> None:
    """There is no age and no number of entries at which a run could no longer be read."""
    run = thread.start_run().id
    client.post(f"/runs/{run}/messages", json={"role": "assistant", "streaming": True, "message_id": "msg_1"})
    for _ in range(2):
        pieces = [{"path": "/messages/msg_1/text", "body": {"text": f"{number:05}"}} for number in range(6000)]
        assert client.post(f"/runs/{run}/events", json={"commands": pieces}).status_code == 200
    after: int | None = 0
    told: list[str] = []
    while after is not None:
        asked: dict[str, Any] = {"after": after, "limit": 1000, "types": "message.part_appended"}
        page = client.get(f"/runs/{run}/events", params=asked).json()
        told += [item["data"]["text"] for item in page["items"]]
        after = page["next_cursor"]
    assert told == [f"{number:05}" for number in range(6000)] * 2


@pytest.mark.row("LT-74")
def test_a_run_is_found_again_by_its_id_by_its_key_or_as_the_newest_of_its_thread_that_goes_on(
    client: httpx2.Client, ledger: Ledger, address: str, thread: Thread
) -> None:
    body = {"input": "hello", "key": "otid 1", "parent": None}
    run = client.post(f"/threads/{thread.id}/runs", json=body).json()["id"]
    again = client.post(f"/threads/{thread.id}/runs", json=body).json()
    assert (again["id"], again["appended"]) == (run, 0)
    newer = client.post(f"/threads/{thread.id}/runs", json={"parent": None}).json()["id"]
    ended = client.post(f"/threads/{thread.id}/runs", json={"parent": None}).json()["id"]
    client.post(f"/runs/{ended}/complete", json={})
    ledger.fold("run_summaries")
    active = {"active": True, "limit": 1}
    (found,) = client.get(f"/threads/{thread.id}/runs", params=active).json()["items"]
    assert found["run_id"] == newer
    of_agent = client.get("/runs", params={**active, "agent_id": "support"}).json()["items"]
    assert [row["run_id"] for row in of_agent] == [newer]
    with Stream.open(address, f"/runs/{found['run_id']}/events") as stream:
        assert stream.until_named("run.created")[-1].data["stream"] == newer
    for one in (run, newer):
        client.post(f"/runs/{one}/complete", json={})
    ledger.fold("run_summaries")
    assert client.get(f"/threads/{thread.id}/runs", params=active).json()["items"] == []


@pytest.mark.row("LT-78")
def test_a_message_and_a_run_that_are_sent_again_are_those_that_were_recorded(
    client: httpx2.Client, ledger: Ledger, thread: Thread
) -> None:
    """Ids and keys hold for ever, not for three hours: whoever retries is given the run that they asked for before."""
    start = {"input": "hello", "key": "otid 1", "background": True}
    run = client.post(f"/threads/{thread.id}/runs", json=start).json()["id"]
    message = {"role": "user", "content": "Where is my order?", "message_id": "otid-2"}
    assert client.post(f"/runs/{run}/messages", json=message).json()["appended"] == 1
    client.post(f"/runs/{run}/complete", json={})
    before = ledger.position()
    assert client.post(f"/threads/{thread.id}/runs", json=start).json()["id"] == run
    again = client.post(f"/runs/{run}/messages", json=message)
    assert (again.status_code, again.json()["appended"], again.json()["id"]) == (201, 0, "otid-2")
    other = client.post(f"/threads/{thread.id}/runs", json={**start, "input": "something else"})
    assert other.status_code == 409
    revised = client.post(f"/runs/{run}/messages", json={**message, "content": "Something else?"})
    assert (revised.status_code, revised.json()["differs"]) == (409, "content")
    assert ledger.position() == before


@pytest.mark.row("CV-51")
def test_the_events_of_several_runs_come_in_one_answer_each_with_its_run(client: httpx2.Client, thread: Thread) -> None:
    """Those of a thread, or of all: in the one order in which they happened, so that nobody has to merge them."""
    runs = [thread.start_run(parent=None) for _ in range(3)]
    for number in range(9):
        runs[number % 3].add_message("user", str(number))
    asked = {"types": "message.added"}
    for path in (f"/threads/{thread.id}/events", "/events"):
        page = client.get(path, params=asked).json()
        by_run: dict[str, list[str]] = {}
        for item in page["items"]:
            by_run.setdefault(item["context"]["run_id"], []).append(item["data"]["content"][0]["text"])
        assert by_run == {run.id: [str(number) for number in range(9) if number % 3 == at] for at, run in enumerate(runs)}
        positions = [item["position"] for item in page["items"]]
        assert positions == sorted(positions)


@pytest.mark.row("CV-53")
def test_what_a_run_was_at_any_of_its_events_is_the_fold_of_the_events_until_then(client: httpx2.Client, thread: Thread) -> None:
    """Nobody needs a fold of their own: the run is answered as of each version. Versions count from 1 without a gap,
    so that whoever keeps one all the same sees that something is missing."""
    run = thread.start_run({"ticket": 42})
    run.add_message("user", "Where is my order?")
    call = run.call_tool("look_up", {"order": 7})
    call.start()
    call.succeed({"status": "sent"})
    run.usage(input_tokens=3)
    run.record_output({"draft": 1})
    run.complete({"answer": "It left on Tuesday."})
    page = client.get(f"/runs/{run.id}/events").json()
    state = RunState(run.id)
    for version, item in enumerate(page["items"], 1):
        assert (item["version"], item["stream"]) == (version, run.id)
        event = event_types.read(item["type"], item["schema_version"], orjson.dumps(item["data"]), item["position"])
        state.evolve(event)
        was = client.get(f"/runs/{run.id}", params={"at_version": version}).json()
        told = (state.status, state.details.output, len(state.messages.by_id), len(state.calls.open_ids))
        assert told == (was["status"], was["output"], was["messages"], was["open_tool_calls"])
        assert client.get(f"/runs/{run.id}", params={"as_of": item["position"]}).json() == was
        if isinstance(event, RunCreated):
            assert was["input"] == {"ticket": 42}
    assert (was["status"], was["version"]) == ("completed", len(page["items"]))
