"""`runfold import`: what it prints and how it ends. What goes in is tested beside each format."""

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from runfold import Ledger, Settings
from tests.cli.conftest import Command
from tests.waiting import until

TALLY = (
    "threads",
    "runs",
    "messages",
    "tool_calls",
    "tool_errors",
    "decisions",
    "approvals",
    "problems",
    "notes",
    "input_tokens",
    "output_tokens",
    "events",
    "skipped",
    "seconds",
)


@pytest.fixture
def sessions(trajectories: Path) -> Path:
    """A folder of real sessions, packed."""
    return trajectories / "claude-code" / "src-experiments-claude_p"


def test_a_folder_goes_in_and_the_tally_says_what_it_held(runfold: Command, ledger: Ledger, sessions: Path) -> None:
    answer = runfold("import", "claude-code", str(sessions), "--json")
    assert answer.code == 0
    tally = answer.lines[-1]
    assert tuple(tally)[: len(TALLY)] == TALLY
    ledger.fold("threads")
    assert tally["threads"] == len(ledger.now.threads().items)
    assert tally["events"] == tally["as_of"] == ledger.position() > 0
    assert runfold("check").code == 0


def test_importing_the_same_again_adds_nothing(runfold: Command, ledger: Ledger, sessions: Path) -> None:
    first = runfold("import", "claude-code", str(sessions), "--json").lines[-1]
    position = ledger.position()
    second = runfold("import", "claude-code", str(sessions), "--json").lines[-1]
    assert (second["events"], second["skipped"]) == (0, first["threads"])
    assert ledger.position() == position
    assert f"{first['threads']} threads had been imported before" in runfold("import", "claude-code", str(sessions)).out


def test_people_get_a_tally_too(runfold: Command, sessions: Path) -> None:
    answer = runfold("import", "claude-code", str(sessions))
    named = [line.rsplit(maxsplit=1)[0] for line in answer.out.splitlines()[:-1]]
    assert named == [name.replace("_", " ") for name in TALLY]
    assert answer.out.splitlines()[-1].startswith("as of position ")


def _session(sessions: Path) -> bytes:
    return gzip.decompress(min(sessions.glob("*.jsonl.gz"), key=lambda file: file.stat().st_size).read_bytes())


def test_a_bad_record_is_named_and_the_rest_goes_in(runfold: Command, sessions: Path, tmp_path: Path) -> None:
    file = tmp_path / "session.jsonl"
    file.write_bytes(_session(sessions) + b"{broken\n")
    plain = runfold("import", "claude-code", str(file))
    assert plain.code == 0
    line = len(file.read_bytes().splitlines())
    assert f"problem: {file}:{line}: " in plain.err
    assert runfold("threads", "--fold", "--json").json["items"] != []
    as_json = runfold("import", "claude-code", str(file), "--json")
    assert as_json.lines[0]["problem"]["line"] == line
    assert as_json.lines[-1]["problems"] == 1
    assert runfold("import", "claude-code", str(file), "--strict").code == 1


def test_many_problems_are_counted_for_people_and_all_named_for_machines(
    runfold: Command, sessions: Path, tmp_path: Path
) -> None:
    file = tmp_path / "session.jsonl"
    file.write_bytes(_session(sessions) + b"{broken\n" * 50)
    plain = runfold("import", "claude-code", str(file))
    assert plain.err.count("problem: ") == 20
    assert "and 30 more problems" in plain.err
    assert sum("problem" in line for line in runfold("import", "claude-code", str(file), "--json").lines) == 50


def test_standard_input_is_a_source_too(environment: None, sessions: Path) -> None:
    process = _with_input(["import", "claude-code", "-", "--json"], _session(sessions))
    assert process.returncode == 0
    assert b'"threads":1' in process.stdout


def _with_input(arguments: Sequence[str], data: bytes) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-m", "runfold.cli.main", *arguments], input=data, capture_output=True, check=False)


@pytest.mark.parametrize("arguments", [["import", "csv", "."], ["import", "tau2", "nowhere.json"]])
def test_an_unknown_format_and_a_missing_file_are_mistakes_in_the_call(runfold: Command, arguments: list[str]) -> None:
    answer = runfold(*arguments, "--json")
    assert (answer.code, answer.out) == (2, "")
    assert answer.error["type"] == "UsageError"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_interrupted_says_what_is_left_and_goes_on(
    runfold: Command, ledger: Ledger, settings: Settings, trajectories: Path, number: signal.Signals
) -> None:
    assert settings.database_url is not None
    arguments = ["import", "claude-code", str(trajectories / "claude-code"), "--json"]
    given = {**os.environ, "RUNFOLD_DATABASE_URL": settings.database_url.get_secret_value()}
    command = [sys.executable, "-m", "runfold.cli.main", *[each for each in arguments if each != "--json"]]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as importing:
        until(lambda: ledger.position() > 0)
        importing.send_signal(number)
        _, said = importing.communicate(timeout=60)
    assert importing.returncode == 128 + number, "it has ended before"
    assert said == "Interrupted. What was imported stays; the same command goes on with the rest.\n"
    interrupted = ledger.position()
    again = runfold(*arguments)
    assert again.code == 0
    assert ledger.position() - interrupted == again.lines[-1]["events"] > 0
