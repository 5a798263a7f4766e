"""`runfold moments`: prepared, listed, dropped; and a server that is killed while it prepares one."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import psutil
import psycopg
import pytest

from runfold import Ledger, Settings
from runfold.demo_story import Cast
from runfold.projector.past import moments
from tests.cli.conftest import Command, Process
from tests.databases import TestDatabase

SECONDS = 60

Serve = Callable[[], tuple["subprocess.Popen[str]", httpx2.Client]]


def test_a_moment_is_prepared_listed_and_dropped(runfold: Command, story: Cast) -> None:
    made = runfold("moments", "prepare", "26", "--expires-in", "2h")
    listed = runfold("moments", "list", "--json").json
    (view,) = listed["items"]
    assert made.out == f"{view['id']} is ready, as of position 26\n"
    assert made.err.startswith("Ask with at=26. It expires at ")
    assert (listed["as_of"], view["state"], view["position"], view["expires_in_seconds"]) == (80, "ready", 26, 7200)
    assert runfold("moments", "prepare", "26", "--json").json["id"] == view["id"]
    lines = runfold("moments", "list").out.splitlines()
    assert (lines[1].split()[0], lines[-1]) == (view["id"], "1 moment")
    (schema,) = runfold("schemas", "--json").json["items"]
    assert (schema["schema"], schema["kept"]) == (moments.schema_of(view["id"]), False)
    assert runfold("moments", "drop", view["id"]).out == f"{view['id']} is dropped\n"
    assert runfold("moments", "list").out.splitlines()[-1] == "0 moments"
    again = runfold("moments", "drop", view["id"])
    assert (again.code, "`runfold moments list` lists them all" in again.err) == (3, True)


@pytest.mark.shares
@pytest.mark.parametrize(
    ("moment", "code", "words"),
    [("999", 2, "is not in the ledger"), ("soon", 2, "neither a position nor a time"), ("2026-01-01T00:00:00", 2, "has no zone")],
)
def test_what_is_no_moment_is_refused(runfold: Command, story: Cast, moment: str, code: int, words: str) -> None:
    answer = runfold("moments", "prepare", moment)
    assert (answer.code, words in answer.err) == (code, True)
    assert runfold("moments", "list", "--json").json["items"] == []


@pytest.fixture
def serve(started: Process) -> Iterator[Serve]:
    """Starts servers on free ports, and ends what is left of them."""
    all_started: list[subprocess.Popen[str]] = []
    clients = contextlib.ExitStack()

    def start() -> tuple["subprocess.Popen[str]", httpx2.Client]:
        process = started(["serve", "--port", "0", "--json", "--no-work"])
        all_started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        said: dict[str, Any] = json.loads(line)
        return process, clients.enter_context(httpx2.Client(base_url=said["address"], timeout=SECONDS))

    with clients:
        yield start
    for process in all_started:
        process.kill()
        process.communicate()


@pytest.fixture
def headers(settings: Settings, story: Cast) -> dict[str, str]:
    """Those of who may prepare and read."""
    with Ledger.open(settings=settings) as ledger:
        key = ledger.create_key(owner="human:ada", scopes=["runs:read", "moments:create"], label="test").text
    return {"Authorization": f"Bearer {key}"}


def until(so: Callable[[], Any]) -> Any:
    """What it is, once it is something."""
    end = time.monotonic() + SECONDS
    while not (found := so()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def half_made(process: "subprocess.Popen[str]", client: httpx2.Client, moment_id: str, headers: dict[str, str]) -> Any:
    """The process that prepares one, once it is at work."""
    server = psutil.Process(process.pid)
    preparing = until(lambda: [child for child in server.children() if "runfold.projector.past.preparing" in child.cmdline()])
    until(lambda: client.get(f"/moments/{moment_id}", headers=headers).json()["state"] == "running")
    return preparing


@pytest.mark.fault("A5")
def test_a_server_killed_while_it_prepares_one_leaves_no_process_and_the_next_one_carries_on(
    database: TestDatabase, headers: dict[str, str], serve: Serve
) -> None:
    process, client = serve()
    with psycopg.connect(database.admin_url) as holder:
        holder.execute("LOCK TABLE runfold.filling_lanes IN EXCLUSIVE MODE")  # so that it is half made for as long as we like
        made = client.post("/moments", json={"as_of": "60"}, headers=headers).json()
        preparing = half_made(process, client, made["id"], headers)
        until(lambda: exists(database, made["id"]))
        assert client.get("/runs", params={"as_of": 60}, headers=headers).status_code == 409
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(preparing, SECONDS)
        assert not alive
    _, client = serve()
    until(lambda: client.get(f"/moments/{made['id']}", headers=headers).json()["state"] == "ready")
    assert client.get("/runs", params={"as_of": 60}, headers=headers).json()["items"]
    client.delete(f"/moments/{made['id']}", headers=headers)
    assert not exists(database, made["id"])


def test_a_server_that_is_asked_to_end_while_it_prepares_one_ends_with_all_its_processes(
    database: TestDatabase, headers: dict[str, str], serve: Serve
) -> None:
    process, client = serve()
    with psycopg.connect(database.admin_url) as holder:
        holder.execute("LOCK TABLE runfold.filling_lanes IN EXCLUSIVE MODE")
        made = client.post("/moments", json={"as_of": "60"}, headers=headers).json()
        preparing = half_made(process, client, made["id"], headers)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        assert not psutil.wait_procs(preparing, SECONDS)[1]


def test_one_that_is_dropped_while_it_is_being_made_is_made_no_further(
    database: TestDatabase, headers: dict[str, str], serve: Serve
) -> None:
    process, client = serve()
    with psycopg.connect(database.admin_url) as holder:
        holder.execute("LOCK TABLE runfold.filling_lanes IN EXCLUSIVE MODE")
        made = client.post("/moments", json={"as_of": "60"}, headers=headers).json()
        preparing = half_made(process, client, made["id"], headers)
        assert client.delete(f"/moments/{made['id']}", headers=headers).status_code == 200
        assert not psutil.wait_procs(preparing, SECONDS)[1]
    until(lambda: not exists(database, made["id"]))


def exists(database: TestDatabase, moment_id: str) -> bool:
    """Whether there is anything of a moment in the database."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        name = moments.schema_of(moment_id)
        return admin.execute("SELECT FROM pg_namespace WHERE nspname = %s", [name]).fetchone() is not None
