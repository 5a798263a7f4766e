"""Over HTTP too, who follows a ledger that is put back to an older copy is told: on the next question, or in the stream."""

from itertools import product
from pathlib import Path

import httpx2
import psycopg
import pytest

from runfold import HistoryChanged, Ledger, Settings
from tests.databases import TestDatabase
from tests.feed.following import record
from tests.http.streams import Stream, names, positions
from tests.put_back import put_back


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    """This test's database, and a mark file of its own."""
    return database.settings.model_copy(update={"mark_file": tmp_path / "marks.json"})


@pytest.mark.fault("K8")
def test_a_page_and_a_stream_after_a_cursor_of_the_history_before(
    client: httpx2.Client, address: str, ledger: Ledger, database: TestDatabase
) -> None:
    record(ledger, 10)
    good, bad, unknown = ledger.cursor(6), ledger.cursor(7), "3@ffffffff"
    put_back(database, 6)
    ledger.history.check()
    record(ledger, 20)
    page = client.get("/events", params={"after": good, "limit": 4}).json()
    assert [item["position"] for item in page["items"]] == [7, 8, 9, 10]
    assert (page["next_cursor"], page["epoch"]) == (ledger.cursor(10), ledger.cursor().partition("@")[2])
    for accept, cursor in product(("application/json", "text/event-stream"), (bad, unknown)):
        refused = client.get("/events", params={"after": cursor}, headers={"Accept": accept})
        assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
        told = refused.json()
        assert (told["type"], told["epoch"], told["asked"]) == (
            "urn:runfold:error:HistoryChanged",
            str(ledger.head().epoch),
            cursor,
        )
        assert (told.get("position"), told["cursor"]) == ((6, ledger.cursor(6)) if cursor == bad else (None, ledger.cursor(0)))
    with Stream.open(address, "/events?follow=false", Last_Event_ID=bad) as stream:
        assert (stream.status, stream.body()["position"]) == (409, 6)
    with Stream.open(address, "/events?follow=false", Last_Event_ID=good) as stream:
        blocks = list(stream.blocks())
        assert positions(blocks) == list(range(7, 21))
        assert {block.cursor.removesuffix(".end").partition("@")[2] for block in blocks} == {ledger.cursor().partition("@")[2]}
    with Stream.open(address, "/events?follow=false", Last_Event_ID="9") as stream:
        assert positions(list(stream.blocks())) == list(range(10, 21)), "a bare position is not checked"


@pytest.mark.parametrize("cursor", ["5@", "5@x", "@1f2e3d4c", "5@1f2e3d4c@", "5@1f2e3d4", "x" * 100])
def test_what_is_no_cursor_is_refused_in_words(client: httpx2.Client, cursor: str) -> None:
    page = client.get("/events", params={"after": cursor})
    assert (page.status_code, "is not a position or a cursor" in page.json()["detail"]) == (400, True)
    stream = client.get("/events", headers={"Accept": "text/event-stream", "Last-Event-ID": cursor})
    assert (stream.status_code, "is not a position or a cursor" in stream.json()["detail"]) == (400, True)


@pytest.mark.fault("K8")
@pytest.mark.parametrize("narrowed", ["", "thread", "types"])
def test_a_stream_says_that_the_ledger_was_put_back_under_it_or_goes_on_where_nothing_of_it_was_lost(
    address: str, ledger: Ledger, database: TestDatabase, narrowed: str
) -> None:
    record(ledger, 5)
    thread = ledger.create_thread(agent_id="a")
    query = {"": "", "thread": f"?thread_id={thread.id}", "types": "?types=thread.*"}[narrowed]
    with Stream.open(address, f"/events{query}") as behind, Stream.open(address, f"/events{query}") as ahead:
        behind.until_named("caught_up")
        ahead.until_named("caught_up")
        if narrowed:
            thread.rename("wanted")
        record(ledger, 10)
        ahead.until(lambda block: block.id == (7 if narrowed == "thread" else 10))
        put_back(database, 6)
        ledger.history.check()
        (*_, problem) = ahead.blocks()
        assert (problem.event, problem.data["type"], problem.data["status"]) == (
            "problem",
            "urn:runfold:error:HistoryChanged",
            409,
        )
        assert (problem.data["position"], problem.data["cursor"]) == (6, ledger.cursor(6))
        record(ledger, 14)
        with Stream.open(address, "/events?follow=false", Last_Event_ID=problem.data["cursor"]) as resumed:
            blocks = list(resumed.blocks())
        assert (positions(blocks), names(blocks)[-1]) == (list(range(7, 15)), "end")


@pytest.mark.fault("K8")
def test_a_stream_that_was_given_no_more_than_both_hold_goes_on_in_the_new_history(
    address: str, ledger: Ledger, database: TestDatabase
) -> None:
    record(ledger, 6)
    before = ledger.cursor(6)
    with Stream.open(address, "/events") as stream:
        stream.until_named("caught_up")
        with psycopg.connect(database.admin_url) as connection:  # as after a standby took over that lost nothing
            connection.execute("SELECT runfold.begin_epoch('timeline changed', 6, NULL)")
        ledger.history.check()
        assert ledger.cursor(6) != before
        record(ledger, 9)
        blocks = stream.until(lambda block: block.id == 9)
    assert positions(blocks) == [7, 8, 9]
    assert [block.cursor for block in blocks if block.event] == [ledger.cursor(position) for position in (7, 8, 9)]


@pytest.mark.fault("K8")
def test_a_connected_ledger_raises_what_the_server_says(address: str, ledger: Ledger, database: TestDatabase) -> None:
    record(ledger, 10)
    with Ledger.connect(address, "rf_any") as remote:
        assert (remote.cursor(), remote.cursor(3)) == (ledger.cursor(10), ledger.cursor(3))
        following = remote.subscribe()
        assert [next(following).position for _ in range(10)] == list(range(1, 11))
        assert following.cursor == ledger.cursor(10)
        bad = remote.cursor(7)
        put_back(database, 6)
        ledger.history.check()
        present = str(ledger.head().epoch)
        for refused in (
            lambda: next(following),
            lambda: next(remote.subscribe(after=bad)),
            lambda: remote.events(after=bad),
            lambda: next(remote.subscribe(after="1@ffffffff")),
        ):
            with pytest.raises(HistoryChanged) as changed:
                refused()
            assert (changed.value.position, changed.value.epoch) in {(6, present), (None, present)}
        assert (changed.value.position, changed.value.cursor) == (None, ledger.cursor(0))
        record(ledger, 12)
        resumed = remote.subscribe(after=ledger.cursor(6), follow=False)
        assert [recorded.position for recorded in resumed] == list(range(7, 13))
        assert resumed.cursor == ledger.cursor(12)
