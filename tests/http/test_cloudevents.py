"""Pages of events as CloudEvents."""

import json

import httpx2
import pytest

from runfold import Ledger, Run
from tests.http.streams import MARKS, Stream, names, positions

BATCH = {"Accept": "application/cloudevents-batch+json"}


def test_a_page_is_a_batch_of_cloudevents_and_the_next_one_stands_in_a_header(
    ledger: Ledger, run: Run, client: httpx2.Client
) -> None:
    for number in range(5):
        run.add_message("user", f"Hello {number}")
    found: list[dict[str, object]] = []
    url: str | None = "/events?limit=3"
    while url is not None:
        answer = client.get(url, headers=BATCH)
        assert answer.headers["content-type"] == "application/cloudevents-batch+json"
        assert len(answer.json()) <= 3
        found += answer.json()
        url = answer.links.get("next", {}).get("url")
    plain = [recorded.as_json() for recorded in ledger.events()]
    assert [event["id"] for event in found] == [event["event_id"] for event in plain]
    assert [event["data"] for event in found] == [event["data"] for event in plain]
    assert {event["specversion"] for event in found} == {"1.0"}
    assert [event["sequence"] for event in found] == sorted(str(event["sequence"]) for event in found)
    (last,) = client.get("/events?limit=1&order=desc", headers=BATCH).json()
    assert last["id"] == plain[-1]["event_id"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html, application/json;q=0.9"])
def test_who_does_not_ask_for_cloudevents_is_answered_in_our_own_words(run: Run, client: httpx2.Client, accept: str) -> None:
    answer = client.get(f"/runs/{run.id}/events", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text)["items"][0]["type"] == "run.created"
    batch = client.get(f"/runs/{run.id}/events", headers={"Accept": f"{accept}, {BATCH['Accept']}"})
    assert batch.json()[0]["type"] == "runfold.run.created"


@pytest.mark.parametrize("path", ["/events", "/threads/{thread}/events", "/runs/{run}/events"])
def test_a_stream_gives_the_cloudevents_of_the_pages_then_says_so_and_goes_on(
    address: str, run: Run, client: httpx2.Client, path: str
) -> None:
    path = path.format(thread=run.view().thread_id, run=run.id)
    run.add_message("user", "Where is\nmy order?\u2028\u2029\u0085\r\n")
    with Stream.open(address, f"{path}?format=cloudevents") as stream, Stream.open(address, path) as plain:
        assert stream.headers["content-type"].partition(";")[0] == "text/event-stream"
        past, plain_past = stream.until_named("caught_up"), plain.until_named("caught_up")
        run.add_message("assistant", "On its way.")
        run.complete()
        live, plain_live = stream.until_named("run.completed"), plain.until_named("run.completed")
        found = [block for block in past + live if "." in block.event]
        page = client.get(f"{path}?format=cloudevents").json()
        assert [block.data for block in found] == page == client.get(path, headers=BATCH).json()
        assert [block.cursor for block in found] == [event["cursor"] for event in page]
        assert [(block.id, block.event) for block in found] == [
            (block.id, block.event) for block in plain_past + plain_live if "." in block.event
        ]
        assert [block.data for block in past if block.event in MARKS] == [
            block.data for block in plain_past if block.event in MARKS
        ]
        assert stream.raw.decode().splitlines() == stream.raw.decode().split("\n")[:-1]


def test_a_stream_of_cloudevents_is_narrowed_resumed_and_ended_as_any_other(address: str, run: Run) -> None:
    for number in range(20):
        run.add_message("user", str(number))
    asked = "/events?type=message.*&follow=false"
    with Stream.open(address, asked, Last_Event_ID="12") as plain:
        expected = list(plain.blocks())
    for form in ("runfold", "cloudevents"):
        with Stream.open(address, f"{asked}&format={form}", Last_Event_ID="12") as stream:
            blocks = list(stream.blocks())
        assert [(block.id, block.event) for block in blocks] == [(block.id, block.event) for block in expected]
        assert blocks[-1].data == expected[-1].data
    assert [int(block.data["sequence"]) for block in blocks if "." in block.event] == positions(expected)
    with Stream.open(address, f"{asked}&format=cloudevents&named=false") as stream:
        unnamed = list(stream.blocks())
    assert names(unnamed) == ["caught_up", "end"]
    found = [block.data["type"] for block in unnamed if block.data and "specversion" in block.data]
    assert found == ["runfold.message.added"] * 20


@pytest.mark.parametrize("path", ["/events", "/threads/{thread}/events", "/runs/{run}/events"])
def test_a_format_that_is_none_is_refused(run: Run, client: httpx2.Client, path: str) -> None:
    answer = client.get(path.format(thread=run.view().thread_id, run=run.id), params={"format": "xml"})
    assert (answer.status_code, "cloudevents" in answer.text) == (422, True)
