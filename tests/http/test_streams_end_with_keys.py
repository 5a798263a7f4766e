"""A stream ends when its key does: revoked here at once, revoked elsewhere or expired within a second."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import orjson
import pytest
from starlette.applications import Starlette

from runfold import Ledger, Settings
from runfold.access import key_watch
from runfold.access.keys import Keys
from runfold.access.limits import Limits
from runfold.domain.security import read_key
from runfold.errors import KeyRefused
from runfold.http.app import create_app
from runfold.store.codec import StreamKey
from tests.http.keys import make_key, with_key
from tests.http.streams import Block, Stream
from tests.waiting import soon

PATHS = ("/events", "/threads/thread_1/events", "/runs/run_1/events", "/events?types=approval.*", "/events?up_to=999999999")


@pytest.fixture
def app(ledger: Ledger) -> Starlette:
    ledger.create_thread(thread_id="thread_1", agent_id="support").start_run(run_id="run_1")
    return create_app(ledger, Keys(ledger), Limits(heartbeat_seconds=3600))  # no heartbeat: every one of them is silent


def opened(address: str, path: str, key: str) -> Stream:
    stream = Stream.open(address, path, Authorization=f"Bearer {key}")
    assert stream.status == 200
    stream.until_named("caught_up")
    return stream


def is_refusal(block: Block) -> bool:
    return block.event == "end" and (block.data["status"], block.data["type"]) == (401, "urn:runfold:error:KeyRefused")


@pytest.mark.fault("I10")
@pytest.mark.parametrize("path", PATHS)
def test_streams_of_a_key_that_is_revoked_here_end_at_once_and_no_others(
    address: str, ledger: Ledger, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_watch, "LOOK_SECONDS", 3600.0)  # nobody looks: it is told
    lost, good = (make_key(ledger, "events:read", "runs:read") for _ in range(2))
    with opened(address, path, lost) as ending, opened(address, path, lost) as other, opened(address, path, good) as going_on:
        ledger.revoke_key(read_key(lost).id)
        ledger.run("run_1").add_message("user", "after the end")
        for stream in (ending, other):
            (end,) = list(stream.blocks())
            assert is_refusal(end), end
            assert "was revoked" in end.data["reason"]
            assert b"after the end" not in stream.raw
        ledger.run("run_1").request_approval("refund")
        assert going_on.until_named("approval.requested")


@pytest.mark.fault("I10")
def test_streams_of_a_key_that_is_revoked_elsewhere_or_expires_end_soon(
    address: str, ledger: Ledger, settings: Settings, app: Starlette
) -> None:
    elsewhere, short = make_key(ledger, "events:read"), make_key(ledger, "events:read", expires_in="2s")
    with opened(address, "/events", elsewhere) as revoked, opened(address, "/events", short) as expired:
        with Ledger.open(settings=settings) as other:
            other.revoke_key(read_key(elsewhere).id)
        (end,) = list(revoked.blocks())
        assert is_refusal(end)
        (end,) = list(expired.blocks())
        assert is_refusal(end)
        assert "has expired" in end.data["reason"]
    assert soon(lambda: app.state.feed.subscribers == 0)


@pytest.mark.fault("I10")
def test_a_question_that_waits_is_not_answered_to_a_key_that_was_revoked_meanwhile(
    address: str, ledger: Ledger, app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_watch, "LOOK_SECONDS", 3600.0)  # nobody looks: it is told
    lost = make_key(ledger, "runs:read")
    url = f"{address}/runs?min_position={ledger.position()}&wait_seconds=60"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx2.get, url, headers=with_key(lost), timeout=90)
        assert soon(lambda: app.state.server.progress.waiting == 1)
        ledger.revoke_key(read_key(lost).id)
        ledger.fold()
        answer = asked.result()
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:runfold:error:KeyRefused")


@pytest.mark.fault("I10")
def test_who_waits_for_events_of_a_subscription_is_given_none_once_its_key_has_expired(address: str, ledger: Ledger) -> None:
    with httpx2.Client(
        base_url=address, headers=with_key(make_key(ledger, "events:read", expires_in="2s")), timeout=90
    ) as client:
        assert client.put("/subscriptions/billing", json={"after": "now"}).status_code == 200
        answer = client.post("/subscriptions/billing/take", json={"wait_seconds": 20})
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:runfold:error:KeyRefused")


@pytest.mark.fault("I10")
def test_however_many_streams_there_are_a_key_is_looked_up_once_at_a_time(address: str, ledger: Ledger, app: Starlette) -> None:
    key = make_key(ledger, "events:read")
    keys: Keys = app.state.server.access
    read: list[StreamKey] = []
    really = keys._watch._read
    keys._watch._read = lambda key: (read.append(key), really(key))[1]  # type: ignore[method-assign]
    streams = [opened(address, "/events", key) for _ in range(20)]
    began, before = time.monotonic(), len(read)
    assert soon(lambda: len(read) >= before + 3)
    assert len(read) - before <= 2 + (time.monotonic() - began) / key_watch.LOOK_SECONDS
    for stream in streams:
        stream.close()
    assert soon(lambda: app.state.feed.subscribers == 0)
    assert soon(lambda: keys._watch._looking is not None and keys._watch._looking.done())


@pytest.mark.fault("I10")
def test_who_reads_nothing_is_given_nothing_more_after_its_key_was_revoked(address: str, ledger: Ledger, app: Starlette) -> None:
    key = make_key(ledger, "events:read")
    run = ledger.run("run_1")
    stream = Stream.open(address, "/events", receive_bytes=4096, Authorization=f"Bearer {key}")
    with ledger.batch() as batch:
        for number in range(60):
            batch.run(run.id).add_message("user", f"{number} " + "x" * 200_000)
    time.sleep(0.5)  # until no more fits on the way to the client
    ledger.revoke_key(read_key(key).id)
    assert soon(lambda: app.state.feed.subscribers == 0)
    run.add_message("user", "after the end")
    blocks: list[Block] = []
    with contextlib.suppress(OSError, ValueError, AssertionError):  # it is cut off in the middle
        blocks.extend(stream.blocks())
    assert "after the end" not in str([block.data for block in blocks if block.event == "message.added"])
    assert len([block for block in blocks if block.event == "message.added"]) < 60
    stream.close()


@pytest.mark.fault("I10")
def test_the_progress_of_a_rebuild_is_told_no_longer_than_the_key_is_good(
    address: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    rebuild = ledger.rebuild
    monkeypatch.setattr(ledger, "rebuild", lambda *names, **said: may_go_on.wait(60) and rebuild(*names, **said))
    key = make_key(ledger, "projections:rebuild")
    headers = {**with_key(key), "Accept": "text/event-stream"}
    with (
        httpx2.Client(base_url=address, timeout=60) as client,
        client.stream("POST", "/projections/usage/rebuild", json={"processes": 1}, headers=headers) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "event: progress"
        ledger.revoke_key(read_key(key).id)
        rest = [line for line in lines if line.startswith("data: ")]
    may_go_on.set()
    assert orjson.loads(rest[-1].removeprefix("data: "))["status"] == 401


@pytest.mark.fault("I10")
def test_a_subscription_of_a_ledger_elsewhere_raises_that_its_key_is_refused(address: str, ledger: Ledger) -> None:
    key = make_key(ledger, "events:read")
    caught: list[BaseException] = []
    seen = threading.Event()

    def read(subscription: Iterator[object]) -> None:
        try:
            for _ in subscription:
                seen.set()
        except KeyRefused as error:
            caught.append(error)

    with Ledger.connect(address, key) as remote:
        subscription = remote.subscribe()
        thread = threading.Thread(target=read, args=[subscription])
        thread.start()
        assert seen.wait(60)
        ledger.revoke_key(read_key(key).id)
        thread.join(60)
        assert not thread.is_alive()
    (error,) = caught
    assert "was revoked" in str(error)
