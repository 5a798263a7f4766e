"""Event streams as a browser's client takes them: without names, to an end that it keeps, and compressed."""

import gzip
import json
import shutil
import subprocess
import zlib
from pathlib import Path

import httpx2
import pytest

from runfold import Ledger, Run
from tests.http.streams import Stream, names

EVENT_SOURCE = r"""
// As https://html.spec.whatwg.org/multipage/server-sent-events.html says of connecting, fields, dispatching and connecting again.
const http = require("http");
let lastId = "", retry = 1000;
const seen = {messages: [], named: [], connections: 0};
function dispatch(block) {
  let data = [], name = "message";
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id" && !value.includes("\0")) lastId = value;
    if (field === "event") name = value;
    if (field === "data") data.push(value);
    if (field === "retry" && /^\d+$/.test(value)) retry = Number(value);
  }
  if (data.length) (name === "message" ? seen.messages : seen.named).push([name, JSON.parse(data.join("\n"))]);
}
function connect() {
  seen.connections += 1;
  const headers = {Accept: "text/event-stream", "Accept-Encoding": "gzip", ...(lastId ? {"Last-Event-ID": lastId} : {})};
  http.get(process.argv[2], {headers}, (answer) => {
    if (answer.statusCode !== 200) { console.log(JSON.stringify({...seen, closed: answer.statusCode})); process.exit(0); }
    const body = answer.headers["content-encoding"] === "gzip" ? answer.pipe(require("zlib").createGunzip()) : answer;
    let rest = "";
    body.setEncoding("utf8");
    body.on("data", (text) => {
      rest += text;
      for (let at; (at = rest.indexOf("\n\n")) >= 0; rest = rest.slice(at + 2)) dispatch(rest.slice(0, at));
    });
    body.on("end", () => setTimeout(connect, retry));
  });
}
connect();
"""


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


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
@pytest.mark.parametrize("query", ["?named=false", "?named=false&follow=false"])
def test_an_event_source_takes_all_messages_and_stays_away_after_the_end(
    address: str, ledger: Ledger, run: Run, tmp_path: Path, query: str
) -> None:
    run.complete()
    program = tmp_path / "source.js"
    program.write_text(EVENT_SOURCE)
    done = subprocess.run(
        ["node", program, f"{address}/runs/{run.id}/events{query}"], capture_output=True, text=True, timeout=60, check=True
    )
    seen = json.loads(done.stdout)
    assert (seen["closed"], seen["connections"]) == (204, 2)
    assert [data["type"] for _, data in seen["messages"]] == ["run.created", "run.started", "run.completed"]
    assert [name for name, _ in seen["named"]] == ["caught_up", "end"]


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
