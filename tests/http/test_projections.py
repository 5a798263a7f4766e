"""Read models over HTTP: how they are, and folding one anew."""

import threading
import time

import httpx2
import orjson
import pytest

from runfold import Ledger


@pytest.fixture
def folded(ledger: Ledger) -> Ledger:
    thread = ledger.create_thread(agent_id="support")
    for number in range(20):
        thread.start_run(input=number, parent=None).complete()
    ledger.fold()
    return ledger


def test_every_read_model_is_listed_with_how_far_it_is(client: httpx2.Client, folded: Ledger) -> None:
    listed = client.get("/projections").json()
    assert {item["state"] for item in listed["items"]} == {"up to date"}
    assert {item["position"] for item in listed["items"]} == {folded.position()}
    assert listed["rebuilds"] == []


def test_a_rebuild_tells_how_far_it_is_and_what_became_of_it(client: httpx2.Client, folded: Ledger) -> None:
    accept = {"Accept": "text/event-stream"}
    with client.stream("POST", "/projections/run_summaries/rebuild", json={"processes": 1}, headers=accept) as answer:
        frames = "".join(answer.iter_text()).strip().split("\n\n")
    _, name, said = frames[-1].split("\n")
    status = orjson.loads(said.removeprefix("data: "))
    assert (name, status["state"]) == ("event: end", "done")
    assert (status["rebuilt"]["switched"], status["rebuilt"]["position"]) == (True, folded.position())
    assert client.get("/projections").json()["rebuilds"][0]["state"] == "done"


def test_a_rebuild_goes_on_by_itself_and_a_second_one_is_refused_meanwhile(
    client: httpx2.Client, folded: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    rebuild = folded.rebuild
    monkeypatch.setattr(folded, "rebuild", lambda *names, **said: may_go_on.wait(60) and rebuild(*names, **said))
    begun = client.post("/projections/messages/rebuild", json={"processes": 1})
    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    refused = client.post("/projections/messages/rebuild")
    assert refused.status_code == 409
    may_go_on.set()
    until = time.monotonic() + 60
    while (status := client.get("/projections").json()["rebuilds"][0])["state"] == "running" and time.monotonic() < until:
        time.sleep(0.05)
    assert status["state"] == "done", status


def test_an_unknown_one_is_not_found_and_one_that_has_not_stopped_is_not_retried(client: httpx2.Client, folded: Ledger) -> None:
    assert client.post("/projections/nothing/rebuild").status_code == 404
    assert client.post("/projections/nothing/retry").status_code == 404
    assert client.post("/projections/messages/retry").json() == {"name": "messages", "retried": False}
    assert client.post("/projections/messages/rebuild", json={"processes": 0}).status_code == 422
