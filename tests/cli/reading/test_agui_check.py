"""`runfold agui-check` names the first rule that a stream breaks; what `export run` writes breaks none."""

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from runfold import Ledger
from runfold.demo_story import Cast
from tests.cli.conftest import Command

STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}


def written(*events: object) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def test_a_file_that_breaks_no_rule_is_counted_also_packed(runfold: Command, tmp_path: Path) -> None:
    file, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    file.write_text(written(STARTED, {"type": "NEW"}, FINISHED))
    packed.write_bytes(gzip.compress(file.read_bytes()))
    for path in (file, packed):
        answer = runfold("agui-check", str(path))
        assert (answer.code, answer.out) == (0, "3 events, no rule broken\n")
        assert "1 event of type NEW, which AG-UI 1.0 does not have" in answer.err
        assert runfold("agui-check", str(path), "--json").json == {
            "valid": True,
            "events": 3,
            "unknown_types": {"NEW": 1},
            "violation": None,
        }


def test_a_broken_rule_is_named_with_what_is_right_and_exit_code_5(runfold: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([STARTED, {"type": "TEXT_MESSAGE_END", "messageId": "m"}]))
    answer = runfold("agui-check", str(file))
    assert answer.code == 5
    assert "event 1 (TEXT_MESSAGE_END) breaks text-start: no text message 'm' is open" in answer.out
    said = runfold("agui-check", str(file), "--json")
    assert (said.code, said.json["valid"], said.json["violation"]["rule"], said.json["violation"]["index"]) == (
        5,
        False,
        "text-start",
        1,
    )
    request = {"threadId": "t", "runId": "r", "messages": []}
    for text in (json.dumps(request), json.dumps(request, indent=2), json.dumps([request]), f"\n{json.dumps(request)}\n"):
        file.write_text(text)
        said = runfold("agui-check", str(file))
        assert said.code == 5
        assert "event 0 breaks type: it has none: it is a RunAgentInput, the request of a client" in said.out
    file.write_text(json.dumps(STARTED, indent=2))
    assert "event 1 breaks terminal" in runfold("agui-check", str(file)).out
    file.write_text("{no json\n{}")
    assert "event 0 breaks json" in runfold("agui-check", str(file)).out


def test_what_cannot_be_read_is_said_with_exit_code_2(runfold: Command, tmp_path: Path) -> None:
    assert runfold("agui-check", str(tmp_path / "none")).code == 2
    assert runfold("agui-check", str(tmp_path)).code == 2
    bad = tmp_path / "bad.gz"
    bad.write_bytes(b"no gzip")
    assert "bad.gz cannot be read" in runfold("agui-check", str(bad)).err
    assert "for a URL" in runfold("agui-check", str(bad), "--post", str(bad)).err
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    answer = runfold("agui-check", f"http://127.0.0.1:{port}/", "--timeout", "5")
    assert (answer.code, "could not be read" in answer.err) == (2, True)


@pytest.mark.parametrize("at", range(12, 60, 6))
def test_a_packed_file_that_is_damaged_anywhere_cannot_be_read(offline: Command, tmp_path: Path, at: int) -> None:
    packed = bytearray(gzip.compress(written(*[{"type": "NEW", "number": number} for number in range(50)]).encode()))
    packed[at] ^= 0xFF
    (tmp_path / "bad.gz").write_bytes(packed)
    answer = offline("agui-check", str(tmp_path / "bad.gz"))
    assert (answer.code, "bad.gz cannot be read: " in answer.err) == (2, True), answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://[::1"],
        ["http://é\udcdc/"],
        ["http://127.0.0.1:1/\udcdc"],
        ["http://127.0.0.1:1/", "--header", "X-Who: ü"],
        ["http://127.0.0.1:1/", "--header", "é: x"],
        ["http://127.0.0.1:1/", "--header", "X-Who: a\nb"],
        ["http://127.0.0.1:1/", "--timeout", "inf"],
        ["http://127.0.0.1:1/", "--timeout", "1e300"],
    ],
)
def test_what_can_be_no_request_is_said_with_exit_code_2(offline: Command, arguments: list[str]) -> None:
    answer = offline("agui-check", *arguments)
    assert (answer.code, "unexpected" in answer.err) == (2, False), answer.err


def test_the_answer_of_a_url_is_checked_as_it_comes(runfold: Command, tmp_path: Path) -> None:
    given = tmp_path / "input.json"
    given.write_text("{}")
    right = f"data: {json.dumps(STARTED)}\n\ndata: {json.dumps(FINISHED)}\n\n"
    with answering("text/event-stream", right) as (url, seen):
        assert runfold("agui-check", url, "--post", str(given), "--header", "X-Who: me").out == "2 events, no rule broken\n"
        assert seen[0].startswith("POST / ")
        assert "x-who: me" in seen[0].lower()
    with answering("text/event-stream", right.replace("\n", "\r\n")) as (url, _):
        assert runfold("agui-check", url, "--json").json["violation"]["rule"] == "sse-lines"
    with answering("application/json", "[]") as (url, _):
        assert runfold("agui-check", url, "--json").json["violation"]["rule"] == "content-type"
    with answering("text/event-stream", "", "404 Not Found") as (url, _):
        assert runfold("agui-check", url).code == 2


@pytest.mark.row("AG-12")
def test_a_run_is_exported_and_the_checker_finds_nothing(runfold: Command, story: Cast, ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    runs = [recorded.stream for recorded in ledger.events(types=["run.created"])]
    for run_id in runs:
        answer = runfold("export", "run", run_id, "--format", "ag-ui")
        assert (answer.code, answer.err) == (0, "")
        assert answer.lines == ledger.run(run_id).ag_ui()
        assert all(event["metadata"]["runfold"]["position"] > 0 for event in answer.lines)
        file.write_text(answer.out)
        checked = runfold("agui-check", str(file), "--json").json
        assert checked["valid"] or checked["violation"]["rule"] == "terminal"
    before = runfold("export", "run", runs[0], "--format", "ag-ui", "--at", "10").lines
    assert before == ledger.run(runs[0]).ag_ui(10)
    assert before[-1]["type"] != "RUN_FINISHED"


def test_a_run_is_exported_in_one_way(runfold: Command, story: Cast) -> None:
    for words in (["run"], ["run", "run_x"], ["events", "--format", "ag-ui"], ["run", "run_x", "--format", "ag-ui", "--all"]):
        assert runfold("export", *words).code == 2
    assert runfold("export", "run", "run_x", "--format", "ag-ui").code == 3


def test_over_http_a_run_is_a_page_or_a_stream_of_the_same(ledger: Ledger, client: httpx2.Client) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.add_message("assistant", "Hello")
    run.complete()
    told = run.ag_ui()
    path = f"/runs/{run.id}/events?format=ag-ui"
    assert client.get(f"/runs/{run.id}/ag-ui").json()["items"] == client.get(path).json() == told
    stream = client.get(path, headers={"accept": "text/event-stream"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert [json.loads(frame.removeprefix("data: ")) for frame in stream.text.split("\n\n") if frame] == told
    assert client.get(f"{path}&limit=3").status_code == 400
    assert client.get(f"{path}&follow=false").status_code == 400
    assert client.get("/runs/run_none/events?format=ag-ui").status_code == 404
    assert client.get(f"/runs/{run.id}/events?format=xml").status_code in {400, 422}


@contextmanager
def answering(media_type: str, body: str, status: str = "200 OK") -> Iterator[tuple[str, list[str]]]:
    """A server that gives one answer."""
    seen: list[str] = []

    def answer(server: socket.socket) -> None:
        with server.accept()[0] as one:
            seen.append(one.recv(65536).decode())
            head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            one.sendall((head + body).encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", seen
        thread.join()
