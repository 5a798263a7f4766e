"""What a client needs of a run over HTTP, from its beginning to its end, and its stream and its history."""

import httpx2
import pytest

from runfold import Ledger
from tests.http.streams import Stream


@pytest.mark.row("RV-73")
def test_a_run_has_a_state_an_approval_its_usage_and_is_cancelled(client: httpx2.Client, ledger: Ledger) -> None:
    thread = client.post("/threads", json={"agent_id": "support"}).json()["id"]
    run = client.post(f"/threads/{thread}/runs", json={"input": "hello"}).json()["id"]
    client.post(f"/runs/{run}/usage", json={"model": "m", "input_tokens": 7, "output_tokens": 5})
    approval = client.post(f"/runs/{run}/approvals", json={"action": "send"}).json()["id"]
    ledger.fold()

    (listed,) = client.get("/runs", params={"status": "waiting"}).json()["items"]
    assert (listed["run_id"], listed["stop_reason"]) == (run, "requires_approval")
    assert [each["approval_id"] for each in client.get("/approvals", params={"status": "open"}).json()["items"]] == [approval]
    assert client.get(f"/runs/{run}/usage").json()["total"]["input_tokens"] == 7
    assert client.post(f"/runs/{run}/cancel", json={"reason": "enough"}).status_code == 200
    assert client.get(f"/runs/{run}").json()["status"] == "cancelled"
    assert client.get(f"/approvals/{approval}").json()["status"] == "withdrawn"


@pytest.mark.row("HV-93")
def test_a_client_takes_what_is_and_then_what_comes_and_pages_back_through_all_that_was(
    client: httpx2.Client, address: str, ledger: Ledger
) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    for number in range(5):
        run.add_message("user", str(number))
    snapshot = client.get(f"/runs/{run.id}").json()
    run.enter_node("plan")  # between the snapshot and the stream
    with Stream.open(address, f"/runs/{run.id}/events?after={snapshot['position']}&types=node.*&types=run.*") as stream:
        assert [block.event for block in stream.until_named("node.entered") if "." in block.event] == ["node.entered"]
        run.add_message("user", "not asked for")
        run.complete()
        last = stream.until_named("run.completed")[-1]
    assert (last.event, last.id) == ("run.completed", ledger.position())

    seen: list[int] = []
    asked = {"order": "desc", "limit": 4}
    while True:
        page = client.get("/events", params=asked).json()
        seen += [event["position"] for event in page["items"]]
        if not page["items"] or seen[-1] == 1:
            break
        asked |= {"up_to": seen[-1] - 1}
    assert seen == list(range(ledger.position(), 0, -1))
    # begun again, it goes on where it was, and no number is given twice
    with Ledger.open(settings=ledger.settings) as again:
        assert again.run(run.id).report_problem("minor", "late").receipt.position == seen[0] + 1
