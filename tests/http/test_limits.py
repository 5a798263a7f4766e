"""What a client may send before it is known whose it is, and how many may send it at once."""

import contextlib
import gzip
import http.client
import inspect
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from runfold import Ledger, Run
from runfold.access.admission import Connections
from runfold.access.keys import Keys
from runfold.access.limits import BytesInFlight, Limits
from runfold.http.app import create_app
from tests.http.raw import answer_of, connect, is_closed, send_all
from tests.serving import Anybody, serving

JSON = {"Content-Type": "application/json"}
MIB = 2**20
SHORT = Limits(head_seconds=0.4, body_seconds=0.4, body_bytes_a_second=10 * MIB, stuck_seconds=0.5)

Start = Callable[[Limits], str]


@pytest.fixture
def start(ledger: Ledger) -> Iterator[Start]:
    """Starts a service within limits; its address."""
    with contextlib.ExitStack() as stack:
        yield lambda limits: stack.enter_context(serving(create_app(ledger, Anybody(), limits)))


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="support").start_run()


def is_well(address: str) -> bool:
    return httpx2.get(f"{address}/healthz", timeout=20).status_code == 200


# Heads


@pytest.mark.fault("K2")
@pytest.mark.parametrize(
    ("head", "status", "name"),
    [
        (itertools.repeat(b"x-filler: " + b"a" * 8000 + b"\r\n", 24_000), 431, "HeadTooLarge"),
        ([b"x-huge: ", *itertools.repeat(b"a" * 65536, 3000)], 431, "HeadTooLarge"),
        (itertools.repeat(b"a: b\r\n", 200), 431, "HeadTooLarge"),
        (itertools.repeat(b"\r\n", 0), 200, ""),
    ],
    ids=["many headers", "one huge header", "many small headers", "no more"],
)
def test_a_head_that_is_too_large_is_refused_and_not_kept(address: str, head: Any, status: int, name: str) -> None:
    with connect(address) as connection:
        sent = send_all(connection, itertools.chain([b"GET /healthz HTTP/1.1\r\nHost: x\r\n"], head, [b"\r\n"]))
        answer = answer_of(connection)
    assert answer is not None
    assert answer.status == status
    if name:
        assert answer.problem["type"] == f"urn:runfold:error:{name}"
        assert answer.headers["content-type"] == "application/problem+json"
        assert sent < 150 * MIB
    assert is_well(address)


@pytest.mark.fault("K2")
def test_a_url_that_is_too_long_is_refused(address: str) -> None:
    with connect(address) as connection:
        send_all(connection, [b"GET /healthz?", *itertools.repeat(b"a" * 65536, 400), b" HTTP/1.1\r\nHost: x\r\n\r\n"])
        answer = answer_of(connection)
    assert answer is not None
    assert (answer.status, answer.problem["title"]) == (414, "Url too long")
    most = "a" * (Limits().url_bytes - 100)
    assert httpx2.get(f"{address}/healthz?{most}").status_code == 200


@pytest.mark.fault("K2")
def test_blank_lines_and_what_is_no_http_are_refused(address: str) -> None:
    for text in (b"\r\n", b"\x16\x03\x01", b"GET / HTTP/9.9\r\n\r\n"):
        with connect(address) as connection:
            send_all(connection, itertools.repeat(text * (65536 // len(text)), 20))
            answer = answer_of(connection)
        assert answer is not None
        assert answer.status in {400, 431}
        assert answer.problem["status"] == answer.status


@pytest.mark.fault("K2")
def test_chunks_that_are_little_but_framing_are_refused(address: str, run: Run) -> None:
    head = f"PUT /runs/{run.id}/state HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(address) as connection:
        send_all(connection, [head.encode(), b"1;", *itertools.repeat(b"a" * 65536, 200)])
        answer = answer_of(connection)
    assert answer is None or answer.status == 400
    assert is_well(address)


@pytest.mark.fault("K2")
def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(start: Start) -> None:
    address = start(SHORT)
    with connect(address) as silent, connect(address) as slow, connect(address) as again:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        again.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_of(again) is not None
        again.sendall(b"GET /")
        for connection in (slow, again):
            answer = answer_of(connection)
            assert answer is not None
            assert answer.status == 408
        assert is_closed(silent, 10)


def test_a_body_that_comes_with_its_head_is_no_part_of_it(start: Start) -> None:
    address = start(Limits(head_bytes=1024))
    body = json.dumps({"agent_id": "support", "title": "a" * 5000}).encode()
    with connect(address) as connection:
        for _ in range(2):
            connection.sendall(b"POST /threads HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            answer = answer_of(connection)
            assert answer is not None
            assert answer.status == 201


# Connections


def test_a_connection_that_rests_is_closed_but_none_that_is_used(ledger: Ledger) -> None:
    with serving(create_app(ledger, Anybody()), rest_seconds=0.5) as address, connect(address) as connection:
        began = time.monotonic()
        for _ in range(4):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer_of(connection) is not None
            time.sleep(0.2)
        assert not is_closed(connection, 0.05)
        assert is_closed(connection, 10)
        assert time.monotonic() - began >= 0.6 + 0.5, "since the last answer, and not since an earlier one"


class Guest:
    """A connection as the registry knows it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.evicted = False

    def evict(self) -> None:
        self.evicted = True


def test_who_has_no_request_makes_room_the_oldest_first() -> None:
    known = Connections(Limits(connections=3, connections_an_address=3))
    first, second, third, fourth, fifth = (Guest("a") for _ in range(5))
    for guest in (first, second, third):
        assert known.admit(guest)
    known.is_busy(first)
    known.is_busy(second)
    known.is_idle(second)
    assert known.admit(fourth)
    assert [first.evicted, second.evicted, third.evicted] == [False, False, True], "the third had asked nothing"
    known.is_busy(fourth)
    assert known.admit(fifth)
    assert second.evicted, "it had been answered"
    known.is_busy(fifth)
    assert not known.admit(Guest("a"))
    assert len(known) == 3


def test_one_address_does_not_take_all() -> None:
    known = Connections(Limits(connections=10, connections_an_address=2))
    greedy = [Guest("a") for _ in range(3)]
    for guest in greedy[:2]:
        assert known.admit(guest)
        known.is_busy(guest)
    assert not known.admit(greedy[2])
    assert known.admit(Guest("b"))
    known.leave(greedy[0])
    assert known.admit(greedy[2])
    for _ in range(100):
        assert known.admit(Guest("c")), "those of one address make room for each other"
    assert len(known) == 5


@pytest.mark.fault("K2")
def test_silent_connections_lock_nobody_out(start: Start) -> None:
    address = start(Limits(connections=20, connections_an_address=20))
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(address)) for _ in range(100)]
        assert is_well(address)
        slow = [stack.enter_context(connect(address)) for _ in range(30)]
        for connection in slow:
            send_all(connection, [b"GET / HTTP/1.1\r\n"])
        assert is_well(address)
        assert is_closed(silent[0], 5)


@pytest.mark.fault("K2")
def test_where_all_connections_are_at_work_another_is_told_to_come_again(start: Start, run: Run) -> None:
    address = start(Limits(connections=2, connections_an_address=2))
    head = f"PUT /runs/{run.id}/state HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n".encode()
    with connect(address) as one, connect(address) as other:
        for connection in (one, other):
            connection.sendall(head)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
        with connect(address) as third:
            answer = answer_of(third)
    assert answer is not None
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.problem["title"] == "Too many connections"


# Bodies


@pytest.mark.fault("K2")
def test_nothing_of_a_body_is_taken_before_the_key_is_known(ledger: Ledger, run: Run) -> None:
    with serving(create_app(ledger, Keys(ledger))) as address, connect(address) as connection:
        head = f"PUT /runs/{run.id}/state HTTP/1.1\r\nHost: x\r\nContent-Length: {16 * MIB}\r\n\r\n"
        connection.sendall(head.encode())
        answer = answer_of(connection)
        assert answer is not None
        assert answer.status == 401
        assert answer.headers["connection"] == "close"


@pytest.mark.fault("K2", "F9")
def test_a_body_that_does_not_come_is_not_waited_for(start: Start, run: Run) -> None:
    address = start(SHORT)
    with connect(address) as connection:
        head = f"PUT /runs/{run.id}/state HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b'{"state":')
        answer = answer_of(connection)
    assert answer is not None
    assert answer.status == 408
    assert answer.problem["type"].endswith("TooSlow")
    assert run.view().version == 2


@pytest.mark.fault("K2", "F9")
def test_bodies_in_flight_are_bounded_in_all_and_for_each_owner() -> None:
    in_flight = BytesInFlight(10 * MIB)
    with in_flight.holding("ada") as hold, in_flight.holding("bob") as other, in_flight.holding("eve") as third:
        hold.add(5 * MIB)
        with pytest.raises(Exception, match="retry in 1 s"), in_flight.holding("ada") as more:
            more.add(MIB)
        other.add(5 * MIB)
        with pytest.raises(Exception, match="retry"):
            third.add(MIB)
        third.release()
        with in_flight.holding("eve") as small:
            small.add(60_000)
    assert in_flight.total == 0


@pytest.mark.fault("K2")
def test_unfinished_bodies_hold_up_nobody_and_are_bounded(start: Start, run: Run) -> None:
    address = start(Limits(bytes_in_flight=8 * MIB))
    head = f"PUT /runs/{run.id}/state HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {16 * MIB}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        attackers = [stack.enter_context(connect(address)) for _ in range(8)]
        for connection in attackers:
            connection.settimeout(2)
            send_all(connection, [head.encode(), *itertools.repeat(b" " * 65536, 40)])
        statuses = [answer.status for connection in attackers[1:] if (answer := answer_of_soon(connection))]
        assert 503 in statuses
        assert httpx2.put(f"{address}/runs/{run.id}/state", json={"state": 1}, timeout=30).status_code == 200
        assert is_well(address)


def answer_of_soon(connection: socket.socket) -> Any:
    connection.settimeout(0.5)
    try:
        return answer_of(connection)
    except TimeoutError:
        return None


@pytest.mark.fault("F9")
@pytest.mark.parametrize("mebibytes", [17, 40])
def test_pythons_own_client_reads_why_its_body_is_refused(address: str, run: Run, mebibytes: int) -> None:
    where = urlsplit(address)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    connection.request("PUT", f"/runs/{run.id}/state", body=b" " * (mebibytes * MIB), headers=JSON)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["most"] == 16 * MIB
    connection.close()


@pytest.mark.fault("K1", "F9")
def test_a_body_of_too_many_small_values_is_refused(client: httpx2.Client, run: Run) -> None:
    many = b'{"state":[' + b"[]," * 400_000 + b"[]]}"
    answer = client.put(f"/runs/{run.id}/state", content=many, headers=JSON)
    assert answer.status_code == 413
    assert "JSON values" in answer.json()["detail"]
    prose = json.dumps({"state": [", [{:" * 100_000] * 2}).encode()
    assert client.put(f"/runs/{run.id}/state", content=prose, headers=JSON).status_code == 200


@pytest.mark.fault("F10")
def test_a_packed_body_of_several_members_is_read_whole(client: httpx2.Client, run: Run) -> None:
    packed = {**JSON, "Content-Encoding": "gzip"}
    members = b"".join(gzip.compress(part) for part in (b'{"state"', b":", b"[1,2", b",3]}"))
    assert client.put(f"/runs/{run.id}/state", content=members, headers=packed).status_code == 200
    assert run.state() == [1, 2, 3]
    bomb = gzip.compress(b" " * MIB) * 40
    answer = client.put(f"/runs/{run.id}/state", content=bomb, headers=packed)
    assert answer.status_code == 413
    assert "unpacked" in answer.json()["detail"]
    for broken in (members[:-3], members + b"x", gzip.compress(b"{}") + b"\x1f\x8b"):
        assert client.put(f"/runs/{run.id}/state", content=broken, headers=packed).status_code == 422


def test_a_client_that_does_not_read_its_answer_is_dropped(ledger: Ledger, run: Run) -> None:
    run.set_state("x" * 2_000_000)
    app = create_app(ledger, Anybody(), SHORT)
    with serving(app) as address, connect(address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        send_all(connection, [f"GET /runs/{run.id}/state HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 20])
        given_up = time.monotonic() + 30
        while len(app.state.connections):
            assert time.monotonic() < given_up
            time.sleep(0.01)


def test_what_we_rely_on_inside_of_uvicorn_is_there() -> None:
    methods = [
        "connection_made",
        "connection_lost",
        "data_received",
        "on_message_begin",
        "on_url",
        "on_header",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
        "on_response_complete",
        "send_400_response",
        "pause_writing",
        "resume_writing",
        "shutdown",
        "_unset_keepalive_if_required",
    ]
    assert [name for name in methods if not callable(getattr(HttpToolsProtocol, name, None))] == []
    made = inspect.getsource(HttpToolsProtocol)
    assert all(f"self.{name}" in made for name in ("cycle", "pipeline", "url", "headers", "flow", "server_state", "client"))
    cycle = inspect.getsource(RequestResponseCycle)
    assert all(f"self.{name}" in cycle for name in ("transport", "more_body", "keep_alive", "response_complete", "body"))
    assert "self.send_400_response" in inspect.getsource(HttpToolsProtocol.data_received)
    assert callable(FlowControl.resume_reading)


def test_a_request_that_names_no_host_is_refused_in_the_version_that_asks_for_one(address: str) -> None:
    for version, more, wanted in (("1.1", "", 400), ("1.1", "Upgrade: h2c\r\nConnection: Upgrade\r\n", 400), ("1.0", "", 200)):
        with connect(address) as connection:
            send_all(connection, [f"GET /healthz HTTP/{version}\r\n{more}\r\n".encode()])
            answer = answer_of(connection)
            assert answer is not None
            assert answer.status == wanted, version
            assert wanted == 200 or answer.problem["type"] == "urn:runfold:error:HostNotNamed"


@pytest.mark.parametrize(
    "hosts", ["Host: x\r\nHost: x\r\n", "Host: x\r\nhOST: evil.example\r\n", "host:\r\nHost: x\r\nHost: y\r\n"]
)
def test_a_request_that_names_several_hosts_is_refused_whatever_else_it_asks_for(address: str, hosts: str) -> None:
    for more in ("", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Transfer-Encoding: chunked\r\n"):
        with connect(address) as connection:
            send_all(connection, [f"GET /healthz HTTP/1.1\r\n{hosts}{more}\r\n".encode()])
            answer = answer_of(connection)
            assert answer is not None
            assert (answer.status, answer.problem["type"]) == (400, "urn:runfold:error:HostNamedTwice")
