"""Everything at once, as it stands or as of a moment: what was recorded up to there, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.cli.main import main
from runfold.errors import ExportRefused, UsageError
from runfold.export.exporting import export, export_all
from runfold.projections.registry import known
from tests.databases import TestDatabase
from tests.export.conftest import record
from tests.export.reading import rows_of, said_by

TABLES = {"events", *known()} - {"search"}


@pytest.fixture
def command(database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the command; its exit code and what it printed."""
    for name, url in {"DATABASE": database.url, "ADMIN": database.admin_url, "PROJECTOR": database.projector_url}.items():
        monkeypatch.setenv(f"RUNFOLD_{name}_URL", url)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_as_of_a_moment_it_is_what_it_was_when_that_was_the_last(recorded: Ledger, to: Path, command: Any) -> None:
    recorded.fold()
    last, before = list(recorded.events(limit=100_000))[-1], to / "before"
    then = {each.manifest.table: each.manifest for each in export_all(recorded, "jsonl", before)}
    assert then.keys() == TABLES
    record(recorded, 2)
    recorded.fold()
    assert recorded.position() > last.position
    made = {each.manifest.table: each.manifest for each in export_all(recorded, "jsonl", to / "past", as_of=last.recorded_at)}
    assert made.keys() == TABLES
    for table in TABLES:
        assert (made[table].as_of, said_by(to / "past" / table).last_position) == (last.position, last.position)
        assert rows_of(to / "past" / table) == rows_of(before / table), table
    at = ("--at", str(last.position), "--format", "jsonl", "--output", str(to / "past"))
    code, out, _ = command("export", "--all", *at, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, {line["table"] for line in lines}, {line["new_parts"] for line in lines}) == (0, TABLES, {0})
    assert {line["as_of"] for line in lines} == {last.position}
    code, out, _ = command("export", "events", *at)
    assert (code, f"events: {last.position} rows in 1 part (0 new)" in out) == (0, True)


def test_a_folder_of_events_that_holds_later_ones_is_not_as_of_before(recorded: Ledger, to: Path) -> None:
    export(recorded, "events", "jsonl", to)
    with pytest.raises(ExportRefused, match=r"holds events up to position \d+, beyond 5; choose another folder"):
        export(recorded, "events", "jsonl", to, as_of=5)
    assert export(recorded, "events", "jsonl", to).new_parts == 0


def test_the_past_of_ones_own_projection_is_not_exported(recorded: Ledger, to: Path) -> None:
    with pytest.raises(UsageError, match="the past is that of those that are installed"):
        export(recorded, "tests.projector.toys:Tools", "jsonl", to, as_of=5)
    with pytest.raises(UsageError, match="as_of and up_to both say where to end"):
        export(recorded, "events", "jsonl", to, as_of=5, up_to=4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export",), "what to export is missing; name events or a read model, or give --all"),
        (("export", "events", "--all"), "leave out the table, --after and --up-to"),
        (("export", "--all", "--at", "3", "--fold"), "not to events or --at; leave it out"),
        (("export", "--all", "--at", "999999"), "position 999999"),
    ],
)
def test_what_contradicts_itself_is_refused(arguments: tuple[str, ...], said: str, recorded: Ledger, command: Any) -> None:
    code, _, err = command(*arguments)
    assert (code, said in err) == (2, True), err
