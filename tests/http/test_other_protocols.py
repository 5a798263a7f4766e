"""Who asks to go on in another protocol, as Java's client does with every first request, is answered in HTTP/1.1, whole.

And what breaks off inside a body is answered, as what breaks off before it is, and what was done before it.
"""

import json
import socket
from typing import Any

import pytest

from runfold import Ledger, Run
from tests.http.raw import answer_of, connect, is_closed, send_all

UPGRADES = {
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
    "websocket": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhl\r\n",
    "unknown, and it ends": "Connection: close, upgrade\r\nUpgrade: teapot/1\r\n",
}


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


def asked(run: Run, text: str, more: str, *, is_chunked: bool = False) -> bytes:
    """A request that adds a message."""
    body = json.dumps({"role": "user", "content": text})
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    framed = f"{len(body[:9]):x}\r\n{body[:9]}\r\n{len(body[9:]):x}\r\n{body[9:]}\r\n0\r\n\r\n" if is_chunked else body
    head = f"POST /runs/{run.id}/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n{more}\r\n"
    return f"{head}{framed}".encode()


def require_answers(connection: socket.socket, status: int, number: int) -> None:
    """Read so many answers with a status."""
    read = b""
    while read.count(b"HTTP/1.1 %d" % status) < number:
        more = connection.recv(65536)
        assert more, read[-200:]
        read += more


def said(run: Run) -> list[str]:
    return [message.text for message in run.messages()]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("protocol", UPGRADES)
def test_a_body_comes_whole_wherever_it_is_cut_and_what_follows_is_a_request(
    address: str, run: Run, protocol: str, *, is_chunked: bool
) -> None:
    request = asked(run, "Hello", UPGRADES[protocol], is_chunked=is_chunked)
    head = request.index(b"\r\n\r\n") + 4
    cuts = [*range(head - 5, len(request), 5), len(request)]
    ends = "close" in UPGRADES[protocol]
    for cut in cuts:
        with connect(address) as connection:
            for piece in (request[:cut], request[cut:]):
                connection.sendall(piece)
            answer = answer_of(connection)
            assert answer is not None
            assert answer.status == 201, answer
            if not ends:
                connection.sendall(asked(run, "and", UPGRADES[protocol]) + asked(run, "then", ""))
                require_answers(connection, 201, 2)
    expected = ["Hello"] if ends else ["Hello", "and", "then"]
    assert said(run) == expected * len(cuts)


def test_what_has_no_body_is_followed_by_requests(address: str) -> None:
    one = f"GET /healthz HTTP/1.1\r\nHost: x\r\n{UPGRADES['h2c']}\r\n".encode()
    with connect(address) as connection:
        connection.sendall(one * 200)
        require_answers(connection, 200, 200)


@pytest.mark.parametrize(
    "rest",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n{}", b"2\r\n{}zz0\r\n\r\n", b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n"],
    ids=["no size", "too large a size", "no end", "no trailer"],
)
@pytest.mark.parametrize("more", ["", UPGRADES["h2c"]], ids=["plain", "h2c"])
def test_a_body_that_breaks_off_is_refused_and_nothing_of_it_is_recorded(
    address: str, ledger: Ledger, run: Run, rest: bytes, more: str
) -> None:
    before = ledger.position()
    head = asked(run, "", more, is_chunked=True).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for pieces in ([head + rest], [head, rest]):
        with connect(address) as connection:
            send_all(connection, pieces)
            answer: Any = answer_of(connection)
        assert answer is not None
        assert (answer.status, answer.problem["type"]) == (400, "urn:runfold:error:RequestMalformed")
    assert ledger.position() == before


@pytest.mark.parametrize(
    "rest", [b'user"}', b"\x16\x03\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]
)
@pytest.mark.parametrize("before", [1, 3])
def test_what_was_done_is_answered_though_what_follows_is_no_request(address: str, run: Run, rest: bytes, before: int) -> None:
    """As behind a body that is longer than was said."""
    requests = b"".join(asked(run, f"{number}", "") for number in range(before))
    for pieces in ([requests + rest], [requests, rest, b"and so on\r\n" * 10_000]):
        with connect(address) as connection:
            send_all(connection, pieces)
            require_answers(connection, 201, before)
            assert is_closed(connection, 10)
    assert len(said(run)) == 2 * before
