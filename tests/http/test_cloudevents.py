"""Pages of events as CloudEvents."""

import json

import httpx2
import pytest

from runfold import Ledger, Run

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
