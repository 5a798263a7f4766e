"""Messages, cuts and steps over HTTP: in pages from either end."""

from typing import Any

import httpx2
import pytest

from runfold import Ledger, Run

LISTS: dict[str, list[dict[str, Any]]] = {"/messages": [{}, {"role": "user"}], "/compactions": [{}], "/steps": [{}]}
"""Lists that are computed whole, and what they can be narrowed by."""


@pytest.fixture
def told(ledger: Ledger) -> Run:
    """A run with seven of each."""
    run = ledger.create_thread(agent_id="support").start_run()
    for number in range(7):
        run.add_message("user", f"{number}", message_id=f"msg_{number}")
        run.start_step(f"step {number}", step_id=f"step_{number}").finish()
        run.compact_context(compaction_id=f"cut_{number}")
    return run


def pages(client: httpx2.Client, path: str, **asked: Any) -> list[Any]:
    """The whole list, page by page."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get(path, params={**asked, **cursor})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


@pytest.mark.parametrize(
    "what", ["runs/{run}/messages", "threads/{thread}/messages", "runs/{run}/compactions", "runs/{run}/steps"]
)
def test_a_list_comes_in_pages_from_either_end(client: httpx2.Client, told: Run, what: str) -> None:
    path = "/" + what.format(run=told.id, thread=told.view().thread_id)
    whole = pages(client, path)
    assert len(whole) == 7
    for limit in (1, 2, 7):
        assert pages(client, path, limit=limit) == pages(client, path, limit=limit, order="asc") == whole
        assert pages(client, path, limit=limit, order="desc") == whole[::-1]


def test_the_last_messages_stay_the_last_while_others_are_added(client: httpx2.Client, told: Run) -> None:
    first = client.get(f"/runs/{told.id}/messages", params={"limit": 2, "order": "desc"}).json()
    told.add_message("user", "later")
    after = client.get(f"/runs/{told.id}/messages", params={"limit": 2, "order": "desc", "cursor": first["next_cursor"]}).json()
    assert [message["id"] for message in first["items"] + after["items"]] == ["msg_6", "msg_5", "msg_4", "msg_3"]


def test_a_cursor_goes_on_in_the_list_that_it_is_of_alone(client: httpx2.Client, ledger: Ledger, told: Run) -> None:
    """Another list, other filters, the other order, another run: there the same place is that of another item."""
    thread = ledger.thread(told.view().thread_id)
    other = thread.start_run(parent=told)
    for name in ("other", "third"):
        thread.put_head(name, other.id)
    asked = [
        (f"/{of}{what}", {**ways, **narrowed})
        for of in (f"runs/{told.id}", f"runs/{other.id}", f"threads/{thread.id}")
        for what, narrowings in LISTS.items()
        for narrowed in narrowings
        for ways in ({}, {"order": "desc"})
    ]
    asked += [(f"/threads/{thread.id}/heads", {})]
    first = [(client.get(path, params={"limit": 1, **said}), path, said) for path, said in asked]
    begun = [(answer.json()["next_cursor"], path, said) for answer, path, said in first if answer.status_code == 200]
    cursors = [cursor for cursor, _, _ in begun if cursor]
    assert len(cursors) == len(set(cursors)) >= 15
    for cursor in cursors:
        for own, path, said in begun:
            answer = client.get(path, params={"limit": 1, **said, "cursor": cursor})
            assert answer.status_code == (200 if cursor == own else 400), (path, said, answer.text)
            assert cursor == own or "go on as the page before was asked for" in answer.text
    assert client.get(f"/runs/{told.id}/messages", params={"order": "up"}).status_code in {400, 422}


def test_messages_are_asked_for_from_the_end_in_python_too(told: Run, ledger: Ledger) -> None:
    found = ledger.now.messages(run_id=told.id, order="desc")
    assert [message.id for message in found] == [f"msg_{number}" for number in reversed(range(7))]
    assert ledger.now.compactions(run_id=told.id, order="desc")[0].id == "cut_6"
