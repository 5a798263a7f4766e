"""What can be used is written where people look: in the README, or in --help."""

from pathlib import Path

import pytest
import typer

from runfold.domain.catalogue import event_types
from runfold.settings import Settings

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def _command() -> typer.main.TyperGroup:
    from runfold.cli.main import app  # noqa: PLC0415  where there is no command line, only these tests fail

    command = typer.main.get_command(app)
    assert isinstance(command, typer.main.TyperGroup)
    return command


@pytest.fixture(scope="module")
def written() -> str:
    """The README and the help of every command."""
    from typer.testing import CliRunner  # noqa: PLC0415  as above

    from runfold.cli.main import app  # noqa: PLC0415

    wide = {"COLUMNS": "300", "TERM": "dumb", "NO_COLOR": "1"}
    calls = [[], *([name] for name in _command().commands)]
    helps = [CliRunner().invoke(app, [*call, "--help"], env=wide).output for call in calls]
    return "\n".join([README.read_text(encoding="utf-8"), *helps])


def test_every_command_is_written_down(written: str) -> None:
    commands = set(_command().commands)
    assert commands >= {"demo", "import", "threads", "thread", "tree", "run", "events", "check", "migrate", "doctor", "version"}
    assert {name for name in commands if f"runfold {name}" not in written} == set()


def test_every_command_says_what_it_does() -> None:
    assert {name for name, command in _command().commands.items() if not (command.help or "").strip()} == set()


def test_every_setting_is_written_down_and_says_what_it_does(written: str) -> None:
    names = {f"RUNFOLD_{name.upper()}": field.description for name, field in Settings.model_fields.items()}
    assert {name for name in names if name not in written} == set()
    assert {name for name, description in names.items() if not description} == set()


def test_every_event_is_written_down(written: str) -> None:
    assert "schemas/events/" in written
    described = {path.name.rsplit(".v", 1)[0] for path in (ROOT / "schemas" / "events").glob("*.json")}
    assert set(event_types.all()) - described == set()


def test_every_importer_and_exit_code_is_written_down(written: str) -> None:
    for word in ("claude-code", "tau2", "tau-bench", "ag-ui", "2 usage", "3 not found", "4 conflict", "5 damage"):
        assert word in written
