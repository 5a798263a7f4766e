"""Nothing that lies in the folder one stands in is run or believed, but what the user names."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

import runfold
from runfold import Ledger, Settings
from runfold.cli.commands import COMMANDS as TABLE
from runfold.embedded.binaries import find_binaries
from runfold.embedded.server import EmbeddedServer
from runfold.errors import EmbeddedServerFailed
from tests.folders import own_folder

RUNFOLD = str(Path(sys.executable).with_name("runfold"))
SECONDS = 120
OWN = """
from runfold import Projection, Row
from runfold.domain.thread import ThreadCreated


class R(Row):
    n: int = 0
    agent: str


class Own(Projection[R]):
    "Threads of an agent."
    name, version, row, key, events = "own", 1, R, ("agent",), (ThreadCreated,)

    def keys(self, recorded):
        return [(recorded.event.agent_id or "",)]

    def evolve(self, row, recorded):
        return row.but(n=row.n + 1)
"""
PROGRAMS = ("initdb", "postgres", "pg_config", "pg_ctl", "pg_dump", "pg_restore", "psql", "sh", "nice")


@dataclass(frozen=True)
class Trapped:
    """A folder full of modules and programs that leave a line when they run, and settings that lead to them."""

    folder: Path
    caught: Path
    environment: dict[str, str]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [RUNFOLD, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def ran(self) -> list[str]:
        return self.caught.read_text().splitlines()


def modules() -> set[str]:
    """Every top-level module that comes with Python, or that Runfold has loaded in any process of this test run."""
    return {name.partition(".")[0] for name in (*sys.stdlib_module_names, *sys.modules)} - {"__main__"}


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trapped]:
    folder = tmp_path_factory.mktemp("trapped")
    caught = folder / "caught"
    caught.touch()
    caught.chmod(0o666)
    for name in modules():
        (folder / f"{name}.py").write_text(f"with open({str(caught)!r}, 'a') as file: file.write('module {name}\\n')\n")
    for name in PROGRAMS:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho program {name} >> {caught}\n")
        program.chmod(0o755)
    evil = f"RUNFOLD_PG_BIN={folder}\nRUNFOLD_HOME={folder}/elsewhere\nRUNFOLD_DATABASE_URL=postgresql:///x?host={folder}\n"
    (folder / ".env").write_text(evil + "RUNFOLD_LOG_LEVEL=debug\nRUNFOLD_KEY=rf_evil\n")
    home = own_folder("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNFOLD_", "PYTHON"))}
    yield Trapped(folder, caught, {**kept, "RUNFOLD_HOME": str(home), "HOME": str(home)})
    server = EmbeddedServer.start(home)
    server.delete()
    shutil.rmtree(home, ignore_errors=True)


def calls() -> list[list[str]]:
    """One call of each command, from its own examples; those that go on until they are stopped come in other tests."""
    changed = {
        "work": ["work", "--once"],
        "relay nats": ["relay", "nats", "--once", "--url", "nats://127.0.0.1:1"],
        "rebuild": ["rebuild", "usage", "tool_calls", "--workers", "2"],
        "export": ["export", "events", "--format", "jsonl", "--output", "exported"],
        "import": ["import", "ag-ui", "nothing.jsonl"],
    }
    found = [["demo"]]
    for name, examples in ((command.name, command.examples) for command in TABLE):
        if name not in {"demo", "serve"}:
            found.append(changed.get(name) or shlex.split(examples[0])[1:])
    return found


@pytest.mark.fault("K7")
def test_no_command_runs_what_lies_in_the_folder(trapped: Trapped, pytestconfig: pytest.Config) -> None:
    (trapped.folder / "nothing.jsonl").write_text("{}\n")
    assert {words[0] for words in calls()} | {"serve"} == {command.name.split()[0] for command in TABLE}
    first, *others = calls()
    others = others[:: 1 if pytestconfig.getoption("--long") else 4]
    trapped.run(*first)
    with ThreadPoolExecutor(3) as threads:
        for words, done in zip(others, threads.map(lambda words: trapped.run(*words), others), strict=True):
            assert "this should not happen" not in done.stderr, (words, done.stderr)
    assert trapped.ran() == []
    assert json.loads(trapped.run("doctor", "--json").stdout)["settings"]["RUNFOLD_PG_BIN"] is None
    assert not (trapped.folder / "elsewhere").exists()


@pytest.mark.fault("K7")
def test_no_process_that_a_server_starts_runs_what_lies_in_the_folder(trapped: Trapped) -> None:
    (trapped.folder / "of_mine.py").write_text(OWN)
    server = subprocess.Popen(
        [RUNFOLD, "serve", "--port", "0", "--json", "--projection", "of_mine:Own"],
        cwd=trapped.folder,
        env=trapped.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        said = json.loads(server.stdout.readline())
        key = (
            said["key"]
            or json.loads(trapped.run("keys", "create", "--owner", "human:ada", "--scope", "admin", "--json").stdout)["text"]
        )
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        with httpx2.Client(base_url=said["address"], headers=headers, timeout=SECONDS) as client:
            created = client.post("/threads", json={"agent_id": "support"}).json()
            folded = client.get("/runs", params={"min_position": created["position"], "wait_seconds": 60})
            assert folded.status_code == 200, folded.text  # by the process beside the server
            frames = client.post("/projections/usage/rebuild", json={"processes": 2}).text
            assert '"state":"done"' in frames
            own = client.post("/projections/own/rebuild", json={"processes": 1}).text  # what the server was started with
            assert '"state":"done"' in own, own
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=SECONDS)
    assert trapped.ran() == []


@pytest.mark.fault("K7")
def test_every_python_that_is_started_looks_into_no_folder_of_its_own_accord() -> None:
    found = 0
    for path in Path(runfold.__file__).parent.rglob("*.py"):
        for match in re.finditer(r"[\[(]\s*sys\.executable,\s*(\S+)", path.read_text()):
            assert match[1].strip('",') in {"-P", "-I"}, f"{path} starts Python with the working folder before all else"
            found += 1
    assert found >= 3


@pytest.mark.fault("K7")
def test_a_library_reads_no_settings_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("RUNFOLD_PG_BIN=/evil\nRUNFOLD_TENANT=evil\n")
    monkeypatch.chdir(tmp_path)
    assert (Settings().pg_bin, Settings().tenant) == (None, "default")


def test_a_file_that_the_user_names_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "mine.env"
    named.write_text("RUNFOLD_TENANT=acme\nRUNFOLD_ACTOR=human:ada\n")
    assert (Settings(env_file=named).tenant, Settings(env_file=named, tenant="own").tenant) == ("acme", "own")
    monkeypatch.setenv("RUNFOLD_ENV_FILE", str(named))
    monkeypatch.setenv("RUNFOLD_ACTOR", "human:bob")
    assert (Settings().tenant, Settings().actor) == ("acme", "human:bob")


def test_a_file_that_is_named_and_not_there_is_an_error(trapped: Trapped) -> None:
    for words in (("doctor", "--env-file", "no.env"), ("--env-file", "no.env", "threads")):
        done = trapped.run(*words)
        assert (done.returncode, "--env-file: 'no.env' is not there" in done.stderr) == (2, True), done.stderr


@pytest.mark.fault("K7")
def test_a_program_that_is_found_by_a_relative_path_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "pg_config"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/caught\n")
    trap.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("runfold.embedded.binaries.wheel_folders", list)
    with pytest.raises(EmbeddedServerFailed):
        find_binaries(None, 1)
    assert not (tmp_path / "caught").exists()


def test_a_projection_of_the_folder_is_found_when_it_is_named_and_nothing_beside_it(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"own_{os.getpid()}"
    (tmp_path / f"{module}.py").write_text(OWN)
    (tmp_path / "orjson.py").write_text("raise RuntimeError('caught')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in {"", str(tmp_path)}])
    ledger.create_thread(agent_id="support")
    ledger.fold(f"{module}:Own")
    (rebuilt,) = ledger.rebuild(f"{module}:Own", processes=1)
    assert rebuilt.switched
    assert str(tmp_path) not in sys.path
