"""The feed over HTTP, in pages."""

import httpx2
import pytest

from runfold import Ledger, Run
from runfold.feed import event_pages as paging
from runfold.store.reading import filter as filtering


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()  # positions 1 to 3


def test_a_page_holds_the_events_as_the_ledger_has_them_and_says_where_it_ends(
    client: httpx2.Client, ledger: Ledger, run: Run
) -> None:
    run.add_message("user", "Where is my order?\u2028\u0085 Größe 10⁹", occurred_at=run.view().created_at)
    run.usage(model="m", input_tokens=2**53 - 1)
    answer = client.get("/events")
    assert answer.json()["items"] == [recorded.as_json() for recorded in ledger.events()]
    assert {key: value for key, value in answer.json().items() if key != "items"} == {
        "next_cursor": None,
        "next_up_to": None,
        "position": 5,
        "head": 5,
        "epoch": ledger.cursor().partition("@")[2],
    }
    assert answer.headers["runfold-position"] == "5"


def test_pages_follow_each_other_to_the_end(client: httpx2.Client, run: Run) -> None:
    for number in range(27):
        run.add_message("user", str(number))
    seen: list[int] = []
    after: str | None = "0"
    while after is not None:
        page = client.get("/events", params={"after": after, "limit": 7}).json()
        seen += [item["position"] for item in page["items"]]
        assert page["position"] == seen[-1]
        after = page["next_cursor"]
    assert seen == list(range(1, 31))


def test_pages_of_large_events_are_shorter_and_follow_each_other_to_the_end(
    client: httpx2.Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtering, "PAGE_BYTES", 10_000)
    monkeypatch.setattr(paging, "PAGE_BYTES", 10_000)
    for _ in range(12):
        run.add_message("user", "x" * 4_000)
    pages: list[list[int]] = []
    after: str | None = "0"
    while after is not None:
        page = client.get("/events", params={"after": after}).json()
        pages.append([item["position"] for item in page["items"]])
        after = page["next_cursor"]
    assert pages == [[1, 2, 3, 4, 5, 6], [7, 8, 9], [10, 11, 12], [13, 14, 15]]


def test_pages_are_narrowed_by_type_thread_and_run(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    run.request_approval("send").grant(actor="human:ada")  # 4 to 8: requested, waiting, voted, granted, resumed
    other = ledger.create_thread(agent_id="sales").start_run()  # 9 to 11
    other.add_message("user", "hello")  # 12
    thread = run.view().thread_id
    for path, query, expected in (
        ("/events", {"types": "approval.*"}, [4, 6, 7]),
        ("/events", {"types": ["run.created", "message.*"]}, [2, 10, 12]),
        ("/events", {"thread_id": thread, "up_to": 5}, [1, 2, 3, 4, 5]),
        ("/events", {"run_id": other.id, "types": "*.added"}, [12]),
        (f"/threads/{thread}/events", {"after": 2}, [3, 4, 5, 6, 7, 8]),
        (f"/runs/{run.id}/events", {}, [2, 3, 4, 5, 6, 7, 8]),
    ):
        page = client.get(path, params=query).json()
        assert [item["position"] for item in page["items"]] == expected
        assert (page["position"], page["head"]) == (query.get("up_to", 12), 12)


def test_a_page_of_rare_events_comes_soon_and_says_where_to_go_on(
    client: httpx2.Client, ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.store.reading.reader.SEARCHED", 4)
    monkeypatch.setattr("runfold.feed.event_pages.PAGE_SECONDS", 0.0001)
    for number in range(10):
        run.add_message("user", str(number))
    run.complete()
    first = client.get("/events", params={"types": "run.completed"}).json()
    assert (first["items"], first["next_cursor"], first["position"]) == ([], ledger.cursor(4), 4)
    pages, after = 1, first["next_cursor"]
    while after is not None:
        page = client.get("/events", params={"types": "run.completed", "after": after}).json()
        pages, after = pages + 1, page["next_cursor"]
    assert ([item["position"] for item in page["items"]], pages) == ([14], 4)


@pytest.mark.row("CV-03", "CV-50")
def test_a_page_of_a_run_says_how_the_run_is_and_how_its_stream_is(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    def page(**query: int) -> dict[str, object]:
        return client.get(f"/runs/{run.id}/events", params=query).json()

    def told(**query: int) -> tuple[object, ...]:
        return tuple(page(**query)[key] for key in ("run_status", "stream_status", "up_to_date", "is_done"))

    asked = ledger.thread(run.view().thread_id).create_run(run_id="run_asked")
    run.request_approval("send")
    assert told() == ("waiting", "running", True, False)
    assert told(limit=2) == ("waiting", "running", False, False)
    run.cancel()
    assert told(limit=2) == ("cancelled", "cancelled", False, False)
    assert told(after=page(limit=2)["next_cursor"]) == ("cancelled", "cancelled", True, True)  # type: ignore[arg-type]
    assert client.get(f"/runs/{asked.id}/events").json()["stream_status"] == "pending"
    asked.start()
    asked.complete()
    assert client.get(f"/runs/{asked.id}/events").json()["stream_status"] == "success"


@pytest.mark.shares
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("after=BEYOND", 400),
        ("after=-1", 400),
        ("after=x", 400),
        ("limit=0", 400),
        ("limit=1001", 400),
        ("types=no.such", 400),
        ("types=[a-z]*", 400),
        ("run_id=run_none", 404),
        ("thread_id=thread_none", 404),
        ("thread_id=no id!", 404),
        ("unknown=1", 422),
        ("after=99999999999999999999999", 400),
        ("up_to=99999999999999999999999", 200),
        ("up_to=-1", 400),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_question_that_cannot_be_asked_is_a_problem_that_says_why(
    client: httpx2.Client, ledger: Ledger, run: Run, query: str, status: int, accept: str
) -> None:
    head = ledger.position()
    answer = client.get(f"/events?follow=false&{query.replace('BEYOND', str(head + 3))}", headers={"Accept": accept})
    is_limit = query.startswith("limit")
    assert answer.status_code == (400 if is_limit else status), answer.text
    if query in {"after=BEYOND", "after=99999999999999999999999"}:
        assert (answer.json()["head"], f"ends at {head}" in answer.json()["detail"]) == (head, True)


@pytest.mark.fault("G9")
def test_another_tenant_sees_nothing(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    other = {"X-Tenant": "acme"}
    page = client.get("/events", headers=other).json()
    assert (page["items"], page["position"]) == ([], 3)
    assert client.get(f"/runs/{run.id}/events", headers=other).status_code == 404
    assert client.get(f"/threads/{run.view().thread_id}/events", headers=other).status_code == 404
    assert client.get(f"/events?run_id={run.id}", headers=other).status_code == 404


def test_a_run_asked_for_in_another_thread_is_refused(client: httpx2.Client, ledger: Ledger, run: Run) -> None:
    other = ledger.create_thread(agent_id="sales")
    refused = client.get("/events", params={"run_id": run.id, "thread_id": other.id})
    assert (refused.status_code, run.view().thread_id in refused.json()["detail"]) == (400, True)
