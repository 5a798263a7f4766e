"""`runfold serve`: a real process, as people start it."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import psutil
import pytest

from runfold import Ledger, Settings
from runfold.settings import environment
from tests.cli.conftest import Command, Process

SECONDS = 60
"""For what takes one or two, on a machine that others use as well."""
LONGEST_QUESTION = 60
EVERYWHERE = "0.0.0.0"  # noqa: S104


class Served:
    """A server that was started, its address and its first key."""

    def __init__(self, process: "subprocess.Popen[str]", said: dict[str, Any]) -> None:
        self.process, self.address, self.key, self.owner = process, said["address"], said["key"], said["owner"]
        assert said["pid"] == process.pid

    def client(self, key: str | None = None) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=SECONDS)

    def folding(self) -> psutil.Process | None:
        """The process that folds beside it."""
        children = psutil.Process(self.process.pid).children()
        return next((child for child in children if "--watched" in child.cmdline()), None)

    def in_progress(self) -> int:
        """Requests that are being answered, besides this one."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        (line,) = (line for line in lines if line.startswith("runfold_http_requests_in_progress "))
        return int(float(line.split()[1])) - 1

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@pytest.fixture
def serve(started: Process) -> Iterator[Callable[..., Served]]:
    """Starts servers on free ports, and ends what is left of them."""
    all_started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> Served:
        process = started(["serve", "--port", "0", "--json", *arguments])
        all_started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return Served(process, json.loads(line))

    yield start
    for process in all_started:
        process.kill()
        process.communicate()


def until(so: Callable[[], Any]) -> Any:
    """What it is, once it is something."""
    end = time.monotonic() + SECONDS
    while not (found := so()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def is_refused(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


def is_gone(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # it may go between one question and the next
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


def test_what_it_prints_is_true_and_can_be_copied(started: Process) -> None:
    process = started(["serve", "--port", "0"])
    assert process.stdout is not None
    printed = ""
    while "For people" not in printed:
        printed += process.stdout.readline()
    assert "shown only once; `runfold keys create` creates more" in printed
    export, *tries = [line.strip() for line in printed.partition("Try,")[2].splitlines()[1:5]]
    assert re.fullmatch("export RUNFOLD_KEY=rf_key_[0-9a-f]{32}_[A-Za-z0-9_-]{43}", export)
    create, start, follow = (f"{export}; {line.replace('curl', f'curl -sS --max-time {SECONDS}', 1)}" for line in tries)
    for line, position in ((create, 2), (start, 4)):
        answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert json.loads(answer.stdout)["position"] == position, answer
    following = subprocess.Popen(["bash", "-c", follow], stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None
    assert any("run.started" in line for line in following.stdout)
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 0
    following.communicate()
    process.communicate()


def test_the_first_key_is_a_persons(serve: Callable[..., Served], ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "mira")
    first = serve("--no-work")
    (key,) = ledger.keys()
    assert (first.owner, key.owner, key.created_by) == ("human:mira", "human:mira", "service:runfold")
    first.end()
    ledger.revoke_key(key.id)
    named = serve("--no-work", "--owner", "human:ada")
    assert (named.owner, ledger.keys()[1].owner) == ("human:ada", "human:ada")
    run = ledger.create_thread(agent_id="support").start_run()
    approval = run.request_approval("refund").id
    with named.client() as client:
        assert client.post(f"/approvals/{approval}/votes", json={"verdict": "approve"}).status_code == 200


@pytest.mark.parametrize(
    ("owner", "said"),
    [("agent:a", "--owner takes a person, not agent:a"), ("ada", "not kind:id"), ("human:\ud800", "--owner")],
)
def test_a_first_key_of_nobody_is_not_made(runfold: Command, ledger: Ledger, owner: str, said: str) -> None:
    refused = runfold("serve", "--port", "0", "--owner", owner)
    assert (refused.code, said in refused.err, ledger.position()) == (2, True, 0)


def test_a_second_start_shows_no_key_and_with_the_first_one_others_can_be_served_too(serve: Callable[..., Served]) -> None:
    first = serve("--no-work")
    assert first.end() == 0
    second = serve("--no-work", "--host", EVERYWHERE)
    assert second.key is None
    assert second.folding() is None
    with second.client(first.key) as client:
        assert client.get("/keys").status_code == 200
        assert client.get("/keys", headers={"Authorization": ""}).status_code == 401


def test_of_servers_that_begin_at_once_one_makes_the_first_key(started: Process, settings: Settings) -> None:
    processes = [started(["serve", "--port", "0", "--json", "--no-work"]) for _ in range(3)]
    keys = [json.loads(process.stdout.readline())["key"] for process in processes]
    (made,) = [key for key in keys if key is not None]
    with Ledger.open(settings=settings) as ledger:
        (key,) = ledger.keys()
    assert made.startswith(f"rf_{key.id}")
    for process in processes:
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 0


def test_told_to_end_it_answers_what_it_was_asked_ends_streams_and_says_that_all_is_well(
    serve: Callable[..., Served], settings: Settings
) -> None:
    served = serve()
    child = until(served.folding)
    began = threading.Event()
    seen: list[str] = []
    answers: list[int] = []

    def follow() -> None:
        with served.client() as client, client.stream("GET", "/events", headers={"Accept": "text/event-stream"}) as stream:
            for line in stream.iter_lines():
                seen.append(line)
                began.set()

    def wait() -> None:
        with served.client() as client:
            answers.append(client.get("/usage", params={"min_position": 1, "wait_seconds": 1.5}).status_code)

    child.suspend()  # so that the question is not answered before
    with served.client() as client:
        client.post("/threads", json={})
    threads = [threading.Thread(target=target) for target in (follow, wait)]
    for thread in threads:
        thread.start()
    assert began.wait(SECONDS)
    until(lambda: answers or served.in_progress() == len(threads))
    child.resume()
    asked = time.monotonic()
    assert served.end() == 0
    took = time.monotonic() - asked
    for thread in threads:
        thread.join(SECONDS)
    assert answers in ([200], [503])
    assert "event: bye" in seen
    assert is_gone(child)
    assert took < SECONDS / 2
    with Ledger.open(settings=settings) as ledger:
        assert [event.type for event in ledger.events()][-1] == "thread.created"


def test_a_server_that_is_killed_takes_the_folding_process_with_it(serve: Callable[..., Served]) -> None:
    served = serve()
    child = until(served.folding)
    served.process.kill()
    served.process.wait()
    until(lambda: is_gone(child))


def test_it_becomes_ready_by_itself_and_a_folding_process_that_is_killed_is_followed_by_another(
    serve: Callable[..., Served],
) -> None:
    served = serve()
    first = until(served.folding)
    with served.client() as client:
        until(lambda: client.get("/readyz").status_code == 200)
        first.kill()
        thread = client.post("/threads", json={"agent_id": "support"}).json()
        listed = client.get("/threads", params={"min_position": thread["position"], "wait_seconds": LONGEST_QUESTION}).json()
        assert [item["thread_id"] for item in listed["items"]] == [thread["id"]]
    second = until(served.folding)
    assert second.pid != first.pid
    assert not first.is_running(), "a zombie would be"
    assert served.end(signal.SIGINT) == 0
    assert is_gone(second)


@pytest.fixture
def asked_in_vain(serve: Callable[..., Served]) -> Iterator[Served]:
    """A server that is busy with a question that it cannot answer for a long time."""
    served = serve("--no-work")

    def ask() -> None:
        with served.client() as client, contextlib.suppress(httpx2.HTTPError):  # the server goes away
            client.get("/usage", params={"min_position": 1, "wait_seconds": LONGEST_QUESTION})

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: served.in_progress() == 1)
    yield served
    served.process.kill()
    asking.join(SECONDS)


def test_a_second_interrupt_waits_for_nobody(asked_in_vain: Served) -> None:
    asked_in_vain.process.send_signal(signal.SIGINT)
    port = int(asked_in_vain.address.rpartition(":")[2])
    until(lambda: is_refused(port))
    assert asked_in_vain.end(signal.SIGINT) == 130


def test_a_question_that_takes_too_long_does_not_keep_it_from_ending(asked_in_vain: Served) -> None:
    began = time.monotonic()
    assert asked_in_vain.end() == 0
    assert time.monotonic() - began < LONGEST_QUESTION - 10


def test_a_port_that_another_has_is_named(runfold: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = runfold("serve", "--port", str(port))
    assert answer.code == 1
    assert f"127.0.0.1:{port} is not available (address already in use); pass another --port" in answer.err


def test_a_host_that_is_none_is_named(runfold: Command) -> None:
    answer = runfold("serve", "--host", "no such host", "--json")
    assert answer.code == 1
    assert answer.error["type"] == "AddressUnusable"
    assert answer.error["facts"]["host"] == "no such host"


def test_a_port_that_is_none_is_a_wrong_call(runfold: Command) -> None:
    answer = runfold("serve", "--port", "70000")
    assert answer.code == 2
    assert answer.err == "runfold: --port takes 65535 or less, not 70000; give a valid value, or leave it out\n"


def test_a_database_that_cannot_be_reached_is_an_error_before_anything_is_served(
    runfold: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", "postgresql:///x?host=/nonexistent")
    monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "0.2")
    answer = runfold("serve", "--port", "0")
    assert answer.code == 1
    assert "check that PostgreSQL runs" in answer.err
    assert answer.out == ""


def test_what_others_can_reach_is_not_served_before_somebody_has_a_key(runfold: Command, settings: Settings) -> None:
    answer = runfold("serve", "--host", EVERYWHERE, "--port", "0")
    assert answer.code == 2
    assert "there are no API keys yet" in answer.err
    assert "runfold keys create" in answer.err
    with Ledger.open(settings=settings) as ledger:
        assert ledger.keys() == []


def test_a_setting_given_as_a_flag_holds_for_the_folding_process_too(settings: Settings) -> None:
    given = environment(settings.model_copy(update={"tenant": "acme", "unsafe_durability": True}))
    assert given["RUNFOLD_TENANT"] == "acme"
    assert given["RUNFOLD_PROJECTOR_URL"] == settings.projector_url.get_secret_value()  # type: ignore[union-attr]
    assert "RUNFOLD_PG_BIN" not in given
    again = Settings(**{name.removeprefix("RUNFOLD_").lower(): value for name, value in given.items()})
    assert again == settings.model_copy(update={"tenant": "acme", "unsafe_durability": True})
