"""An import that is killed goes on where it stopped, and ends as one that was not."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runfold import Ledger, Settings
from runfold.importers import recording
from runfold.importers.importing import import_paths
from runfold.importers.recording import Recording
from tests.importers.conftest import SessionFile, everything, text, tool_use
from tests.waiting import until

PROGRAM = """
import sys, time
from runfold import Ledger
from runfold.importers.importing import import_paths
url, format, path, enough = sys.argv[1:]
with Ledger.open(url) as ledger:
    def stay(*_):
        while ledger.position() >= float(enough):
            time.sleep(1)
    import_paths(ledger, format, [path], stay)
"""
"""Imports a path, and stays where it is once there are enough events."""


def _import_and_kill(ledger: Ledger, url: str, format: str, path: Path, after: int) -> None:
    """Import in another process, and kill it once so many events are in, before all are.

    What it had sent by then is stored all the same, so that is waited for.
    """
    ledger.position()
    with psycopg.connect(url, autocommit=True) as connection:
        before = _sessions(connection)
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, url, format, str(path), str(after)])
        try:
            while ledger.position() < after and process.poll() is None:
                time.sleep(0.002)
        finally:
            process.kill()
            process.wait()
        until(lambda: _sessions(connection) <= before, otherwise=lambda: "the server still works for the process that was killed")


def _sessions(connection: psycopg.Connection[Any]) -> set[int]:
    found = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()").fetchall()
    return {pid for (pid,) in found}


@pytest.mark.fault("A1")
def test_killed_in_the_middle_and_again_ends_as_if_it_never_was(
    ledger: Ledger, settings: Settings, new_database: Callable[[], object], trajectories: Path
) -> None:
    path = trajectories / "tau2-retail-gpt4o" / "tudor" / "eval_tudor_gpt4o-refined_gpt-4o_test_1trial.json.gz"
    with Ledger.open(new_database().url) as unkilled:  # type: ignore[attr-defined]
        whole = import_paths(unkilled, "tau2", [path])
        expected = everything(unkilled)
    assert settings.database_url is not None
    url, partial = settings.database_url.get_secret_value(), []
    for share in sorted(random.uniform(0.05, 0.8) for _ in range(2)):  # noqa: S311
        _import_and_kill(ledger, url, "tau2", path, after=int(whole.events * share))
        partial.append(ledger.position())
    assert 0 < partial[0] <= partial[1] < whole.events, "each was killed in the middle"
    rest = import_paths(ledger, "tau2", [path])
    assert 0 < rest.skipped < rest.threads
    assert rest.events == whole.events - partial[1]
    assert everything(ledger) == expected


def _long_session(folder: Path) -> Path:
    session = SessionFile(folder / "session.jsonl")
    session.say("Begin.")
    here = session.reply("msg-0", text("Begun."))
    for number in range(1, 6):
        session.say(f"Question {number}")
        session.reply(f"msg-{number}", text("Look: "), tool_use(f"call-{number}", "Agent"))
        session.result(f"call-{number}", "seen", toolUseResult={"agentId": "helper"} if number == 3 else None)
    session.say("Something else.", parent=here)
    session.reply("msg-9", text("Gladly."))
    agent = SessionFile(folder / "agent-helper.jsonl")
    agent.say("Help")
    agent.reply("msg-h", text("Helped."))
    agent.write()
    session.write()
    return folder


@pytest.mark.parametrize("steps", range(2, 20, 3))
def test_a_thread_that_was_stored_in_part_goes_on_where_it_stopped(
    ledger: Ledger, new_database: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    folder, of, begun = _long_session(tmp_path), Recording.of, 0
    with Ledger.open(new_database().url) as unbroken:  # type: ignore[attr-defined]
        import_paths(unbroken, "claude-code", [folder])
        expected = everything(unbroken)

    def stopping(self: Recording, piece: object) -> object:
        nonlocal begun
        begun += 1
        if begun == steps:
            raise KeyboardInterrupt
        return of(self, piece)  # type: ignore[arg-type]

    monkeypatch.setattr(recording, "STORE_AFTER", 0)
    monkeypatch.setattr(Recording, "of", stopping)
    with pytest.raises(KeyboardInterrupt):
        import_paths(ledger, "claude-code", [folder])
    assert 0 < ledger.position() < sum(map(len, expected.values())), "a part of it is in"
    monkeypatch.setattr(Recording, "of", of)
    assert import_paths(ledger, "claude-code", [folder]).problems == []
    assert everything(ledger) == expected


def test_two_imports_of_one_source_at_once_are_one_import(
    ledger: Ledger, settings: Settings, new_database: Callable[[], object], trajectories: Path
) -> None:
    path = trajectories / "claude-code" / "src-experiments-claude_p"
    with Ledger.open(new_database().url) as alone:  # type: ignore[attr-defined]
        import_paths(alone, "claude-code", [path])
        expected = everything(alone)
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    processes = [subprocess.Popen([sys.executable, "-c", PROGRAM, url, "claude-code", str(path), "inf"]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert everything(ledger) == expected
