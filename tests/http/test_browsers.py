"""Event streams as a browser's client takes them: without names, to an end that it keeps, and compressed."""

import gzip
import json
import shutil
import subprocess
import zlib

import httpx2
import pytest

from runfold import Ledger, Run
from tests.http.streams import Stream, names

EVENT_SOURCE = """
const source = new EventSource(process.argv[1]);
const seen = {messages: [], named: [], opened: 0};
source.onopen = () => { seen.opened += 1; };
source.onmessage = (event) => { seen.messages.push(JSON.parse(event.data)); };
for (const name of ["caught_up", "end"]) source.addEventListener(name, () => { seen.named.push(name); });
source.onerror = () => {
  if (source.readyState !== EventSource.CLOSED) return;  // it connects again by itself
  console.log(JSON.stringify(seen));
  process.exit(0);
};
setInterval(() => {}, 1000);  // the wait until it connects again keeps no program alive
"""
NODE = ["node", "--no-warnings", "--experimental-eventsource", "-e", EVENT_SOURCE]


def has_event_source() -> bool:
    """Whether there is a JavaScript of this machine that brings the EventSource of browsers."""
    if shutil.which("node") is None:
        return False
    asked = subprocess.run(["node", *NODE[1:3], "-e", "EventSource"], capture_output=True, check=False)
    return asked.returncode == 0


def test_without_names_every_event_is_a_message_and_the_streams_own_marks_keep_theirs(
    address: str, ledger: Ledger, run: Run
) -> None:
    with Stream.open(address, "/events?named=false&follow=false") as stream:
        blocks = list(stream.blocks())
    events = [block for block in blocks if block.data and not block.event]
    assert [block.data for block in events] == [each.as_json() for each in ledger.events()]
    assert [block.cursor for block in events] == [ledger.cursor(each.position) for each in ledger.events()]
    assert names(blocks) == ["caught_up", "end"]
    with Stream.open(address, "/events?named=false&after=3") as stream:
        stream.until_named("caught_up")
        run.add_message("user", "live\nevent: x")
        (live,) = stream.until(lambda block: block.id == 4)
    assert (live.event, live.data["type"]) == ("", "message.added")


@pytest.mark.parametrize("path", ["/events?follow=false", "/events?up_to=3", "/runs/{run}/events", "/events?run_id={run}"])
def test_who_connects_again_after_the_end_is_told_that_there_is_nothing_more(
    address: str, client: httpx2.Client, ledger: Ledger, run: Run, path: str
) -> None:
    run.complete()
    path = path.format(run=run.id)
    with Stream.open(address, path) as stream:
        blocks = list(stream.blocks())
    assert (blocks[-1].event, blocks[-1].cursor.endswith(".end")) == ("end", True)
    again = {"Accept": "text/event-stream", "Last-Event-ID": blocks[-1].cursor}
    assert client.get(path, headers=again).status_code == 204
    with Stream.open(address, path, Last_Event_ID=blocks[-2].cursor) as stream:
        assert names(list(stream.blocks()))[-1] == "end", "who has not been told yet is told"
    ledger.create_thread(agent_id="elsewhere")
    if "run" in path:
        run.report_cost("0.10", "EUR")
    answer = client.get(path, headers=again)
    more = [line for line in answer.text.splitlines() if line.startswith("event: ") and "." in line]
    assert (answer.status_code, more) == {
        "/events?follow=false": (200, ["event: thread.created"]),
        "/events?up_to=3": (204, []),
    }.get(path, (200, ["event: usage.cost_reported"])), "nothing that came meanwhile is lost"


def test_the_cursor_of_an_end_is_a_cursor(address: str, ledger: Ledger, run: Run) -> None:
    with Ledger.connect(address) as remote:
        for where in (ledger, remote):
            found = where.subscribe(after=f"{ledger.cursor(2)}.end", follow=False)
            assert [each.position for each in found] == [3]


@pytest.mark.skipif(not has_event_source(), reason="there is no node with an EventSource")
@pytest.mark.parametrize("query", ["?named=false", "?named=false&follow=false"])
def test_an_event_source_takes_all_messages_and_stays_away_after_the_end(address: str, run: Run, query: str) -> None:
    run.complete()
    url = f"{address}/runs/{run.id}/events{query}"
    done = subprocess.run([*NODE, url], capture_output=True, text=True, timeout=60, check=True)
    seen = json.loads(done.stdout)
    assert [message["type"] for message in seen["messages"]] == ["run.created", "run.started", "run.completed"]
    assert (seen["named"], seen["opened"]) == (["caught_up", "end"], 1), "connecting again it is not let in, and gives up"


def test_it_is_compressed_where_that_is_asked_for_and_each_event_can_be_read_at_once(
    address: str, ledger: Ledger, run: Run
) -> None:
    with Stream.open(address, "/events", Accept_Encoding="br, gzip;q=0.5") as stream:
        assert (stream.headers["content-encoding"], "Accept-Encoding" in stream.headers["vary"]) == ("gzip", True)
        reading, text, chunks = zlib.decompressobj(wbits=31), b"", stream._chunks()
        while b"caught_up" not in text:
            text += reading.decompress(next(chunks))
        for number in range(4, 8):
            run.add_message("user", "x" * 5000)
            while f"id: {ledger.cursor(number)}\n".encode() not in text:
                text += reading.decompress(next(chunks))
        assert len(text) > 20_000
    with Stream.open(address, "/events?follow=false", Accept_Encoding="gzip") as stream:
        whole = b"".join(stream._chunks())
    with Stream.open(address, "/events?follow=false") as stream:
        list(stream.blocks())
        assert gzip.decompress(whole) == stream.raw
        assert len(whole) < len(stream.raw) / 10
        assert "content-encoding" not in stream.headers


@pytest.mark.shares
@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip;q=0.0", "x", "*"])
def test_it_is_not_compressed_where_gzip_is_not_named(address: str, run: Run, accepted: str) -> None:
    with Stream.open(address, "/events?follow=false", Accept_Encoding=accepted) as stream:
        assert "content-encoding" not in stream.headers
        assert names(list(stream.blocks()))[-1] == "end"


def test_a_real_client_reads_what_is_compressed(address: str, run: Run) -> None:
    with httpx2.Client(base_url=address, timeout=30) as client, client.sse("/events") as stream:
        assert stream.response.headers["content-encoding"] == "gzip"
        found = []
        for event in stream:
            found.append(event.event)
            if event.event == "caught_up":
                run.complete()
            if event.event == "run.completed":
                break
    assert found[-1] == "run.completed"
