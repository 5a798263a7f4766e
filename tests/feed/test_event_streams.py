"""The feed over HTTP, live: every event once, in order, from any moment on."""

import contextlib
import re
import threading
import time
from random import Random
from uuid import UUID

import httpx2
import psycopg
import pytest
from starlette.applications import Starlette

from runfold import Ledger, Run
from runfold.access.limits import Limits
from runfold.feed import follower as followers
from runfold.feed import shared as feeds
from runfold.feed import tail as tails
from runfold.feed.block import Block
from runfold.feed.frames import Form, Framing
from runfold.http.app import create_app
from runfold.http.streams import event_stream as streaming
from runfold.http.streams import sse
from runfold.store.reading import filter as filtering
from runfold.store.reading.reader import Stretch
from tests.http.streams import Stream, names, positions
from tests.serving import Anybody, serving
from tests.waiting import until

QUICK = Limits(heartbeat_seconds=0.1, stuck_seconds=0.6)


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()  # positions 1 to 3


@pytest.fixture
def app(ledger: Ledger) -> Starlette:
    """The service; its heartbeats come often, and it waits for nobody."""
    return create_app(ledger, Anybody(), QUICK)


@pytest.mark.row("AG-12")
def test_a_stream_gives_what_was_recorded_then_says_so_and_goes_on(address: str, ledger: Ledger, run: Run) -> None:
    with Stream.open(address, "/events") as stream:
        assert (stream.status, stream.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
        assert (stream.headers["cache-control"], stream.headers["runfold-position"]) == ("no-store", "3")
        past = stream.until_named("caught_up")
        assert (past[0].retry, past[0].id) == (1000, 0)
        assert past[-1].data == {"position": 3, "head": 3}
        run.add_message("user", "Where is\nmy order?\u2028\u2029\u0085\r\n")
        run.complete()
        live = stream.until_named("run.completed")
        found = [block for block in past + live if "." in block.event]
        assert [block.data for block in found] == [recorded.as_json() for recorded in ledger.events()]
        assert [(block.id, block.event) for block in found] == [(each.position, each.type) for each in ledger.events()]
        assert re.search(b"\r", stream.raw) is None
        assert stream.raw.decode().splitlines() == stream.raw.decode().split("\n")[:-1]


@pytest.mark.row("LT-73", "LT-81", "AG-12")
@pytest.mark.fault("G9")
def test_a_stream_resumes_strictly_after_the_last_id_from_any_past(address: str, run: Run) -> None:
    for number in range(200):
        run.add_message("user", str(number))
    for header, query, first in ((None, 0, 1), ("0", 50, 1), ("7", 0, 8), (None, 150, 151), ("202", 1, 203), ("203", 0, None)):
        told = {} if header is None else {"Last_Event_ID": header}
        with Stream.open(address, f"/events?after={query}&follow=false", **told) as stream:
            blocks = list(stream.blocks())
        assert positions(blocks) == ([] if first is None else list(range(first, 204)))
        assert names(blocks)[-2:] == ["caught_up", "end"]
        assert blocks[-1].data == {"position": 203, "reason": "all that was asked for"}


@pytest.mark.fault("G9")
@pytest.mark.parametrize(
    ("last", "detail"),
    [
        ("4", "ends at 3"),
        ("9" * 18, "ends at 3"),
        ("9" * 5000, "is not a position"),
        ("x", "is not a position"),
        ("-1", "is not a position"),
        ("²", "is not a position"),
    ],
)
def test_a_last_id_that_cannot_be_is_refused(address: str, run: Run, last: str, detail: str) -> None:
    with Stream.open(address, "/events", Last_Event_ID=last) as stream:
        assert (stream.status, stream.headers["content-type"]) == (400, "application/problem+json")
        assert detail in stream.body()["detail"]


def test_a_stream_ends_where_it_was_asked_to_and_takes_no_limit(address: str, run: Run) -> None:
    run.add_message("user", "4")
    with Stream.open(address, "/events?up_to=2") as stream:
        assert names(list(stream.blocks())) == ["thread.created", "run.created", "end"]
    with Stream.open(address, "/events?up_to=5&types=message.*") as stream:
        stream.until_named("caught_up")
        run.add_message("user", "5")
        assert names(list(stream.blocks())) == ["message.added", "end"]
    with Stream.open(address, "/events?limit=5") as stream:
        assert stream.status == 400


@pytest.mark.row("LT-76")
def test_heartbeats_come_while_nothing_is_recorded_and_move_the_position_on(address: str, ledger: Ledger, run: Run) -> None:
    with Stream.open(address, "/events?types=run.completed") as stream:
        stream.until_named("caught_up")
        for number in range(20):
            run.add_message("user", str(number))
        beats = stream.until(lambda block: block.id == 23)
        assert all((block.comment, block.event, block.data) == ("heartbeat", "", None) for block in beats)
        assert f": heartbeat\nid: {ledger.cursor(23)}\n\n".encode() in stream.raw
    run.complete()
    with Stream.open(address, "/events?types=run.completed&follow=false", Last_Event_ID=stream.last_cursor) as stream:
        assert positions(list(stream.blocks())) == [24]


def test_a_real_client_reads_it_and_takes_ids_from_heartbeats(address: str, run: Run) -> None:
    with httpx2.Client(base_url=address, timeout=30) as client, client.sse("/events?after=1&types=run.*") as stream:
        found: list[httpx2.ServerSentEvent] = []
        for event in stream:
            found.append(event)
            if event.event == "caught_up":
                run.add_message("user", "not wanted")
            if event.id.startswith("4@"):
                break
    assert [event.event for event in found if event.data] == ["run.created", "run.started", "caught_up"]
    assert found[-1].data == ""


@pytest.mark.row("CV-03", "LT-75", "LT-71")
def test_the_stream_of_a_run_ends_with_a_mark_when_the_run_has_ended(address: str, run: Run, ledger: Ledger) -> None:
    with Stream.open(address, f"/runs/{run.id}/events?types=approval.*") as stream:
        caught_up = stream.until_named("caught_up")[-1]
        assert (caught_up.data["run_status"], caught_up.data["stream_status"]) == ("running", "running")
        run.request_approval("send")
        other = ledger.thread(run.view().thread_id).start_run(parent=None)
        other.request_approval("send")
        run.cancel()  # its approval is withdrawn, in the same transaction
        blocks = list(stream.blocks())
    assert names(blocks) == ["approval.requested", "approval.withdrawn", "end"]
    assert {block.data["context"]["run_id"] for block in blocks[:-1] if block.data} == {run.id}
    ended = {"reason": "the run has ended", "run_status": "cancelled", "stream_status": "cancelled"}
    assert blocks[-1].data == {"position": blocks[-1].id, **ended}


@pytest.mark.row("CV-03", "LT-75", "LT-81")
@pytest.mark.parametrize("end", ["complete", "fail"])
def test_an_ended_run_is_replayed_at_any_age_and_ends_with_the_same_mark(
    address: str, run: Run, ledger: Ledger, end: str
) -> None:
    messages = [run.add_message("user", str(number)) for number in range(60)]
    run.complete() if end == "complete" else run.fail("it took too long")
    messages[0].redact(legal_basis="GDPR 17")  # said about a run that has ended
    ledger.create_thread(agent_id="sales").start_run()
    with Stream.open(address, f"/runs/{run.id}/events", Last_Event_ID="40") as stream:
        blocks = list(stream.blocks())
    assert positions(blocks) == list(range(41, 66))
    assert names(blocks)[-2:] == ["caught_up", "end"]
    told = ("completed", "success") if end == "complete" else ("failed", "failed")
    assert (blocks[-1].data["run_status"], blocks[-1].data["stream_status"]) == told


@pytest.mark.row("LT-75")
def test_the_end_of_a_run_comes_after_all_of_a_large_transaction(address: str, ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    with Stream.open(address, f"/runs/{run.id}/events") as stream:
        stream.until_named("caught_up")
        with ledger.batch() as batch:
            message = batch.run(run.id).add_message("user", "first")
            batch.run(run.id).complete()
            for number in range(1200):
                batch.run(run.id).report_problem("warning", f"seen later: {number}")
        blocks = list(stream.blocks())
    assert message.id == blocks[0].data["data"]["message_id"] if blocks[0].data else True
    assert positions(blocks) == list(range(4, ledger.position() + 1))
    assert names(blocks)[-1] == "end"


@pytest.mark.fault("G9")
def test_the_stream_of_another_tenant_holds_nothing(address: str, ledger: Ledger, run: Run) -> None:
    with Stream.open(address, f"/runs/{run.id}/events", X_Tenant="acme") as stream:
        assert stream.status == 404
    with Stream.open(address, "/events", X_Tenant="acme") as stream:
        blocks = stream.until_named("caught_up")
        run.add_message("user", "secret")
        blocks += stream.until(lambda block: block.id == 4)
    assert positions(blocks) == []


def test_clients_that_hang_up_free_their_place(app: Starlette, address: str, run: Run) -> None:
    streams = [Stream.open(address, "/events") for _ in range(20)]
    until(lambda: app.state.feed.subscribers == 20)
    for stream in streams:
        stream.close()
    until(lambda: app.state.feed.subscribers == 0)
    assert not app.state.feed._parked


def test_a_hundred_wait_at_the_cost_of_one_and_only_those_concerned_are_woken(
    app: Starlette, address: str, database, ledger: Ledger, run: Run
) -> None:
    others = [ledger.create_thread(agent_id="support") for _ in range(40)]
    streams = [Stream.open(address, f"/threads/{other.id}/events") for other in others]
    streams += [Stream.open(address, "/events") for _ in range(60)]
    for stream in streams:
        stream.until_named("caught_up")
    threads = threading.active_count()
    run.add_message("user", "for all who read everything")
    for stream in streams[40:]:
        assert positions(stream.until_named("message.added")) == [44]
    assert threading.active_count() <= threads + 1
    until(lambda: app.state.feed.sent == 40 + 60 * 44)
    for stream in streams:
        stream.close()


@pytest.mark.fault("D6")
def test_a_client_that_reads_nothing_is_dropped_and_resumes_while_all_others_go_on(
    app: Starlette, address: str, ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "READ_ON_SECONDS", 600.0)  # until this test comes to it
    slow = Stream.open(address, "/events", receive_bytes=8192)
    slow.until_named("caught_up")
    text = "x" * 20_000
    with Stream.open(address, "/events") as quick:
        quick.until_named("caught_up")
        for number in range(400):  # 8 MB: far more than the buffers of a connection
            run.add_message("user", f"{number} {text}")
            if number % 20 == 19:
                quick.until(lambda block, position=number + 4: block.id == position)
        until(lambda: app.state.feed.dropped == 1)
        until(lambda: app.state.feed.subscribers == 1)
    blocks = []
    with contextlib.suppress(OSError, ValueError, AssertionError):  # the server hung up
        blocks += list(slow.blocks())
    seen = positions(slow_blocks(slow.raw))
    assert 3 < max(seen) < 403
    slow.close()
    with Stream.open(address, "/events?follow=false", Last_Event_ID=str(max(seen))) as again:
        assert sorted(set(seen)) + positions(list(again.blocks())) == list(range(1, 404))


def slow_blocks(raw: bytes) -> list[object]:
    """The whole blocks of what came."""
    from tests.http.streams import _block  # noqa: PLC0415  # only here a stream ends in the middle

    return [_block(text) for text in raw.decode().split("\n\n")[:-1]]


def test_one_that_reads_on_in_time_is_told_that_it_was_dropped(
    app: Starlette, address: str, ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "READ_ON_SECONDS", 600.0)  # so that it is in time
    with Stream.open(address, "/events", receive_bytes=8192) as slow:
        slow.until_named("caught_up")
        for number in range(400):
            run.add_message("user", f"{number} {'x' * 20_000}")
            if app.state.feed.dropped:
                break
        until(lambda: app.state.feed.dropped == 1)
        blocks = list(slow.blocks())
    assert names(blocks)[-1] == "dropped"
    assert positions(blocks)[-1] == blocks[-1].id == blocks[-1].data["position"]


@pytest.mark.fault("D4", "H9")
def test_streams_outlive_the_sessions_that_feed_them(address: str, database, ledger: Ledger, run: Run) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'runfold' AND pid <> pg_backend_pid()"
    )
    with Stream.open(address, "/events") as stream, psycopg.connect(database.admin_url, autocommit=True) as admin:
        blocks = stream.until_named("caught_up")
        for number in range(40):
            run.add_message("user", str(number))
            if number % 8 == 3:
                admin.execute(kill)
        blocks += stream.until(lambda block: block.id == 43)
    assert positions(blocks) == list(range(1, 44))


@pytest.mark.fault("D4")
def test_while_the_database_is_away_heartbeats_go_on_and_nothing_is_skipped(
    address: str, database, ledger: Ledger, run: Run
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database.url)["dbname"]
    elsewhere = psycopg.conninfo.make_conninfo(database.admin_url, dbname="postgres")
    with Stream.open(address, "/events") as stream, psycopg.connect(elsewhere, autocommit=True) as admin:
        stream.until_named("caught_up")
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", [name]
        )
        beats = []
        for block in stream.blocks():
            beats.append(block)
            if len(beats) == 8:
                break
        assert {block.comment for block in beats} == {"heartbeat"}
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        until(lambda: _added(run))
        assert positions(stream.until_named("message.added")) == [4]


def _added(run: Run) -> bool:
    from runfold import LedgerUnavailable  # noqa: PLC0415

    try:
        run.add_message("user", "after all", message_id="msg_after")
    except LedgerUnavailable:
        return False
    return True


def test_one_far_behind_what_is_kept_reads_the_log_until_it_is_not(
    address: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "KEPT", 5)
    monkeypatch.setattr(tails, "PAGE", 4)
    with Stream.open(address, "/events") as stream:
        blocks = stream.until_named("caught_up")
        for number in range(300):
            run.submit_add_message("user", str(number))
        blocks += stream.until(lambda block: block.id == 303)
    assert positions(blocks) == list(range(1, 304))


def test_what_is_kept_of_large_events_is_bounded_and_nobody_misses_any(
    app: Starlette, address: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtering, "PAGE_BYTES", 10_000)
    monkeypatch.setattr(tails, "KEPT_BYTES", 30_000)
    monkeypatch.setattr(feeds, "KEPT_BYTES", 30_000)
    monkeypatch.setattr(feeds, "BLOCK", 50)
    feed: feeds.Feed = app.state.feed
    for number in range(297):
        run.submit_add_message("user", f"{number} {'x' * 1000}")
    run.add_message("user", "the 301st event")
    streams = [Stream.open(address, f"/events?types=run.*&after={after}") for after in (0, 7, 40, 44, 49, 120)]
    for stream in streams:
        stream.until_named("caught_up")
    assert sum(block.result().size for block in feed._blocks.values()) <= 30_000
    for number in range(100):
        run.add_message("user", f"{number} {'y' * 1000}")
    run.complete()
    for stream in streams:
        assert positions(stream.until_named("run.completed"))[-1] == 402
        stream.close()
    assert 0 < len(feed._entries) < 50
    with Stream.open(address, "/events") as stream:
        assert positions(stream.until_named("run.completed")) == list(range(1, 403))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """After which positions a block of 20 was read for all who come by."""
    monkeypatch.setattr(feeds, "BLOCK", 20)
    read: list[int] = []
    really = tails.Tail.read

    def noted(tail: tails.Tail, after: int, up_to: int) -> Stretch:
        read.append(after)
        return really(tail, after, up_to)

    monkeypatch.setattr(tails.Tail, "read", noted)
    return read


def test_what_comes_next_is_read_ahead_once_and_nothing_beyond_the_end(address: str, run: Run, read: list[int]) -> None:
    for number in range(200):
        run.submit_add_message("user", str(number))
    run.complete()
    with Stream.open(address, "/events?up_to=130") as stream:
        assert positions(stream.until_named("end")) == list(range(1, 131))
    assert sorted(read) == list(range(0, 130, 20))


def test_far_behind_too_it_is_read_ahead_for_who_wants_most_of_it_and_for_nobody_else(
    address: str, run: Run, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "NEAR", 0)
    for number in range(200):
        run.submit_add_message("user", str(number))
    run.complete()
    with Stream.open(address, "/events?types=run.*&up_to=130") as stream:
        assert positions(stream.until_named("end")) == [2, 3]
    assert read == []
    with Stream.open(address, "/events?types=message.*&up_to=130") as stream:
        assert positions(stream.until_named("end")) == list(range(4, 131))
    assert sorted(read) == list(range(min(read), 130, 20))
    with monkeypatch.context() as patched:
        patched.setattr(feeds, "MOST_BLOCKS", 2)  # as if too many were behind to read ahead for each
        before = len(read)
        with Stream.open(address, "/events?up_to=130") as stream:
            assert positions(stream.until_named("end")) == list(range(1, 131))
        assert len(read) == before


def test_whoever_comes_to_a_block_that_is_here_has_what_follows_read_as_whoever_had_it_read(
    address: str, run: Run, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        run.submit_add_message("user", str(number))
    run.complete()
    entered: list[int] = []
    really = feeds.Feed.fetch_after

    def noted(feed: feeds.Feed, block: Block, up_to: int) -> None:
        entered.append(block.begins)
        really(feed, block, up_to)

    monkeypatch.setattr(feeds.Feed, "fetch_after", noted)
    with Stream.open(address, "/events?up_to=100") as first, Stream.open(address, "/events?up_to=100&types=message.*") as second:
        assert positions(first.until_named("end")) == list(range(1, 101))
        assert positions(second.until_named("end")) == list(range(4, 101))
    assert sorted(entered) == sorted([*range(1, 100, 20)] * 2)
    assert len(read) == len(set(read))


@pytest.mark.parametrize("damage", ["state = '[]'", "recorded_at = 'infinity'"])
def test_an_event_of_the_past_that_cannot_be_read_ends_the_streams_that_want_it_and_no_others(
    address: str, database, run: Run, read: list[int], damage: str
) -> None:
    for number in range(100):
        run.submit_add_message("user", str(number))
    run.complete()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
        admin.execute(f"UPDATE runfold.log SET {damage} WHERE notification_id = 50")
    with Stream.open(address, "/events?up_to=90") as everything:
        blocks = everything.until_named("problem")
    assert positions(blocks) == list(range(1, 50))[: len(positions(blocks))]
    assert "position 50" in blocks[-1].data["detail"]
    for path, expected in (("types=run.*", [2, 3]), ("after=50", list(range(51, 91)))):
        with Stream.open(address, f"/events?up_to=90&{path}") as stream:
            assert positions(stream.until_named("end")) == expected


def test_events_that_cannot_be_read_end_the_streams_that_want_them_and_no_others(
    address: str, database, ledger: Ledger, run: Run
) -> None:
    other = ledger.create_thread(agent_id="sales").start_run()  # 4 to 6
    with Stream.open(address, "/events") as everything, Stream.open(address, f"/runs/{other.id}/events") as one:
        everything.until_named("caught_up")
        one.until_named("caught_up")
        with psycopg.connect(database.admin_url, autocommit=True) as admin:
            admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
            with admin.transaction():
                admin.execute("UPDATE runfold.head SET position = 7")
                admin.execute("CREATE TEMP TABLE seventh AS SELECT * FROM runfold.log WHERE notification_id = 3")
                admin.execute(
                    "UPDATE seventh SET notification_id = 7, originator_version = 9, state = '[]', event_id = gen_random_uuid()"
                )
                admin.execute("INSERT INTO runfold.log SELECT * FROM seventh")
        problem = everything.until_named("problem")[-1]
        assert (problem.id, "run.started at position 7 cannot be read" in problem.data["detail"]) == (6, True)
        other.add_message("user", "8")
        assert positions(one.until_named("message.added")) == [8]


def test_a_server_that_stops_ends_its_streams_at_once_and_they_say_where_to_go_on(ledger: Ledger, run: Run) -> None:
    app = create_app(ledger, Anybody(), Limits(stuck_seconds=600))
    ended: list[list[str]] = []
    with serving(app) as address:
        streams = [Stream.open(address, "/events") for _ in range(50)]
        stuck = Stream.open(address, "/events", receive_bytes=4096)
        for stream in streams:
            stream.until_named("caught_up")
        readers = [
            threading.Thread(target=lambda stream=stream: ended.append(names(list(stream.blocks())))) for stream in streams
        ]
        for number in range(100):
            run.add_message("user", f"{number} {'x' * 20_000}")
        for reader in readers:
            reader.start()
        began = time.monotonic()
    took = time.monotonic() - began
    for reader in readers:
        reader.join()
    assert [found[-1] for found in ended] == ["bye"] * 50
    assert took < 30, f"{took:.2f} s"  # and not until the one that is stuck is dropped
    for stream in [*streams, stuck]:
        stream.close()


def test_sixty_who_hang_up_again_and_again_are_each_given_exactly_the_log(address: str, ledger: Ledger, run: Run) -> None:
    other = ledger.create_thread(agent_id="sales").start_run()
    paths = ["/events", "/events?types=message.*", f"/threads/{other.view().thread_id}/events"]
    seen: list[list[int]] = [[] for _ in range(60)]
    goal = 6 + 600

    def follow(number: int) -> None:
        rng, last = Random(number), 0  # noqa: S311
        while last < goal:
            with Stream.open(address, paths[number % 3], Last_Event_ID=str(last)) as stream:
                left = rng.randint(1, 400)
                for block in stream.blocks():
                    seen[number] += positions([block])
                    last, left = stream.last_id, left - 1
                    if left == 0 or last >= goal:
                        break

    readers = [threading.Thread(target=follow, args=(number,)) for number in range(60)]
    for reader in readers:
        reader.start()
    for number in range(300):
        run.submit_add_message("user", str(number))
        other.submit_usage(model="m", input_tokens=number)
        if number % 10 == 0:
            time.sleep(0.02)
    for reader in readers:
        reader.join(60)
    log = ledger.events(limit=2000)
    expected = [
        [each.position for each in log],
        [each.position for each in log if each.type.startswith("message.")],
        [each.position for each in log if each.thread_id == other.view().thread_id],
    ]
    assert [found == expected[number % 3] for number, found in enumerate(seen)] == [True] * 60


def test_bytes_are_made_once_for_all_who_want_them(
    app: Starlette, address: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int]] = []
    framing = sse.framing

    def noting(epoch: UUID, form: Form) -> Framing:
        framed = framing(epoch, form)
        return lambda recorded: made.append((form, recorded.position)) or framed(recorded)

    monkeypatch.setattr(sse, "framing", noting)
    forms = ("runfold", "cloudevents")
    streams = [Stream.open(address, f"/events?after=3&format={form}") for form in forms * 5]
    for stream in streams:
        stream.until_named("caught_up")
    for number in range(5):
        run.add_message("user", str(number))
    for stream in streams:
        stream.until(lambda block: block.id == 8)
        stream.close()
    assert sorted(made) == sorted((form, position) for form in forms for position in range(4, 9))
