"""`runfold serve --workers 2`: real processes that share a port, as people start them."""

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from runfold import Ledger, Settings
from tests.cli.conftest import Command, Process
from tests.rooms import no_room
from tests.waiting import until

pytestmark = pytest.mark.paired

SECONDS = 60
WRITERS = 4


class Served:
    """A server of several processes, and what it said."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        said = json.loads(line)
        self.key, self.workers, self.place = said["key"], said["workers"], urlsplit(said["address"])
        assert said["pid"] == process.pid

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own, open already."""
        made = http.client.HTTPConnection(str(self.place.hostname), self.place.port, timeout=SECONDS)
        made.connect()
        return made

    def ask(self, connection: http.client.HTTPConnection, verb: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(verb, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def once(self, verb: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """The same, on a connection that is closed then."""
        with contextlib.closing(self.connect()) as connection:
            return self.ask(connection, verb, path, body)

    def metric(self, name: str, **labels: str) -> dict[str, float]:
        """A metric of each process."""
        lines = self.once("GET", "/metrics")[1].decode().splitlines()
        found: dict[str, float] = {}
        for line in lines:
            if line.startswith(f"{name}{{") and all(f'{label}="{value}"' in line for label, value in labels.items()):
                process = re.search(r'process="(\d+)"', line)
                assert process, line
                found[process[1]] = found.get(process[1], 0) + float(line.rpartition(" ")[2])
        return found

    def end(self, number: int) -> tuple[int, str]:
        """End it; its exit code and what it logged."""
        self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, logged


@pytest.fixture
def serve(started: Process, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    all_started: list[subprocess.Popen[str]] = []

    monkeypatch.setenv("RUNFOLD_LOG_LEVEL", "warning")  # nobody reads what it logs while it runs

    def start(*arguments: str) -> Served:
        all_started.append(started(["serve", "--workers", "2", "--port", "0", "--json", "--no-work", *arguments]))
        return Served(all_started[-1])

    yield start
    for process in all_started:
        process.kill()
        process.communicate()


def is_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a connection on which nothing else is to come."""
    connection.sock.setblocking(False)
    try:
        return connection.sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        connection.sock.settimeout(SECONDS)


def are_gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


def test_both_answer_one_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(
    serve: Callable[..., Served], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_MAX_CONNECTIONS", "20")
    monkeypatch.setenv("RUNFOLD_MAX_CONNECTIONS_PER_ADDRESS", "12")
    served = serve()
    assert len(set(served.workers)) == 2
    acknowledged: list[list[str]] = [[] for _ in range(WRITERS)]
    enough = threading.Event()

    def write(number: int) -> None:
        connection = served.connect()
        while not enough.is_set():
            try:
                status, body = served.ask(connection, "POST", "/threads", {"agent_id": "support"})
            except (OSError, http.client.HTTPException):  # the process behind it was killed; whether it was stored is not known
                connection.close()
                connection = served.connect()
                continue
            assert status == 201, body
            acknowledged[number].append(json.loads(body)["id"])
        connection.close()

    def goes_on() -> Callable[[], bool]:
        before = [len(each) for each in acknowledged]
        return lambda: all(len(now) > then for now, then in zip(acknowledged, before, strict=True))

    threads = [threading.Thread(target=write, args=[number]) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    until(lambda: all(acknowledged))
    assert set(served.metric("runfold_http_requests_total", operation="threads.create")) == {"1", "2"}
    os.kill(served.workers[0], signal.SIGKILL)
    until(goes_on())
    until(lambda: served.metric("runfold_server_process_up") == {"1": 1.0, "2": 1.0}, seconds=180)
    until(goes_on())
    enough.set()
    for thread in threads:
        thread.join(SECONDS)
    _hold_together(served)
    children = [child.pid for child in psutil.Process(served.process.pid).children()]
    code, logged = served.end(signal.SIGINT)
    assert code == 0
    assert are_gone(children)
    (replaced,) = [line for line in map(json.loads, logged.splitlines()) if "is started again" in line["event"]]
    assert (replaced["process"], replaced["exit_code"]) == (1, -signal.SIGKILL)
    with Ledger.open(settings=settings) as ledger:
        recorded = {event.thread_id for event in ledger.subscribe(follow=False, types=["thread.created"])}
    assert {thread_id for each in acknowledged for thread_id in each} <= recorded


def _hold_together(served: Served) -> None:
    """Of one address there are no more connections than one process would take, whichever process they are at."""
    following: list[http.client.HTTPConnection] = []
    headers = {"Authorization": f"Bearer {served.key}", "Accept": "text/event-stream"}
    for _ in range(12):
        following.append(served.connect())  # each asks at once: one that has not asked yet is the first to make room
        following[-1].request("GET", "/events?after=now", headers=headers)
        assert following[-1].getresponse().status == 200
    with contextlib.closing(served.connect()) as refused:
        status, body = served.ask(refused, "GET", "/healthz")
    assert (status, json.loads(body)["title"]) == (503, "Too many connections")
    for connection in following:
        connection.close()
    until(lambda: served.once("GET", "/healthz")[0] == 200)


def test_limits_hold_together_and_the_processes_end_with_the_one_that_started_them(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_MAX_CONNECTIONS", "4")
    monkeypatch.setenv("RUNFOLD_MAX_CONNECTIONS_PER_ADDRESS", "4")
    monkeypatch.setenv("RUNFOLD_REQUESTS_A_SECOND", "0.001")
    served = serve()
    idle: list[http.client.HTTPConnection] = []
    for _ in range(7):
        idle.append(served.connect())
        assert served.ask(idle[-1], "GET", "/healthz")[0] == 200
    until(lambda: all(map(is_closed, idle[:3])))
    spread, statuses = [], []
    for _ in range(4):
        spread.append(served.connect())
        statuses.append(served.ask(spread[-1], "GET", "/keys")[0])
    assert statuses == [200, 429, 429, 429], "a key may ask once, whichever process it asks"
    assert set(served.metric("runfold_http_requests_total", operation="keys.list")) == {"1", "2"}
    children = [child.pid for child in psutil.Process(served.process.pid).children()]
    assert set(served.workers) <= set(children)
    served.process.kill()
    until(lambda: are_gone(children))
    for connection in (*idle, *spread):
        connection.close()


def test_one_that_there_is_no_room_for_is_started_later(serve: Callable[..., Served]) -> None:
    served = serve()
    stderr = served.process.stderr
    assert stderr is not None
    logged = b""
    with no_room(served.process.pid):
        os.kill(served.workers[0], signal.SIGKILL)
        while b"a server process cannot be started yet" not in logged:
            assert select.select([stderr], [], [], SECONDS)[0], logged
            more = os.read(stderr.fileno(), 65536)
            assert more, logged
            logged += more
    until(lambda: [*served.metric("runfold_server_process_up").values()] == [1, 1])
    assert served.end(signal.SIGTERM)[0] == 0


def test_fewer_than_one_is_a_wrong_call(runfold: Command) -> None:
    for number in ("0", "65", "two"):
        answer = runfold("serve", "--workers", number)
        assert (answer.code, "--workers" in answer.err) == (2, True), answer.err
