"""What is in a folder counts only as long as it is what the manifest says."""

import fcntl
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from runfold import HistoryChanged, Ledger
from runfold.errors import ExportDamaged, ExportRefused, UsageError
from runfold.export.exporting import export
from tests.databases import TestDatabase
from tests.export.conftest import record
from tests.export.reading import bytes_of, rows_of

PARTS = ["part-000000000001-000000000025.jsonl.gz", "part-000000000026-000000000050.jsonl.gz"]


@pytest.fixture
def events(recorded: Ledger, to: Path) -> Path:
    """An export of events in several parts."""
    export(recorded, "events", "jsonl", to, rows_per_part=25)
    return to / "events"


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "fact"),
    [
        (lambda folder: _flip(folder / PARTS[1]), f"{PARTS[1]} in .* was changed.*sha256"),
        (lambda folder: (folder / PARTS[0]).unlink(), f"{PARTS[0]} in .* is missing"),
        (lambda folder: (folder / PARTS[1]).write_bytes(b""), f"{PARTS[1]} in .* was changed"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json in .* cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json in .* cannot be read .*table"),
        (lambda folder: (folder / "part-000000000003-000000000004.jsonl.gz").touch(), "part-000000000003.* is not listed"),
    ],
)
def test_damage_is_named_and_nothing_is_written(
    recorded: Ledger, to: Path, events: Path, spoil: Callable[[Path], None], fact: str
) -> None:
    spoil(events)
    record(recorded, 1)
    before = bytes_of(events)
    with pytest.raises(ExportDamaged, match=fact) as told:
        export(recorded, "events", "jsonl", to, rows_per_part=25)
    assert told.value.exit_code == 5
    assert bytes_of(events) == before


def test_a_damaged_table_is_named_and_replaced_when_it_is_made_anew(recorded: Ledger, to: Path) -> None:
    recorded.fold("usage")
    (part,) = export(recorded, "usage", "csv", to).manifest.parts
    _flip(to / "usage" / part.file)
    with pytest.raises(ExportDamaged, match=part.file):
        export(recorded, "usage", "csv", to)
    record(recorded, 1)
    recorded.fold("usage")
    export(recorded, "usage", "csv", to)
    assert len(rows_of(to / "usage")) == 4


def test_another_format_tenant_or_beginning_is_refused(recorded: Ledger, neighbour: Ledger, to: Path, events: Path) -> None:
    before = bytes_of(events)
    record(neighbour, 1)
    for ledger, asked, fact in (
        (recorded, {"format": "csv"}, "holds jsonl, not csv"),
        (neighbour, {}, "holds rows of tenant default, not of tenant neighbour"),
        (recorded, {"all_tenants": True}, "holds rows of tenant default, not of all tenants"),
        (recorded, {"after": 3}, "begins at position 1"),
    ):
        with pytest.raises(ExportRefused, match=f"{fact}; choose another folder with --output"):
            export(ledger, "events", **{"format": "jsonl", "to": to, **asked})  # type: ignore[arg-type]
    assert bytes_of(events) == before


def test_another_ledgers_export_is_refused(to: Path, events: Path, new_database: Callable[[], TestDatabase]) -> None:
    database = new_database()
    with psycopg.connect(database.owner_url) as connection:  # databases of these tests are copies of one
        connection.execute("UPDATE runfold.head SET epoch = gen_random_uuid()")
    with Ledger.open(database.url) as other:
        record(other, 3)
        with pytest.raises(ExportRefused, match="holds events of another ledger"):
            export(other, "events", "jsonl", to)


def test_another_table_and_other_columns_are_refused(recorded: Ledger, to: Path, events: Path) -> None:
    recorded.fold("usage")
    events.rename(to / "usage")
    with pytest.raises(ExportRefused, match="holds events"):
        export(recorded, "usage", "jsonl", to)
    (to / "usage").rename(events)
    said = json.loads((events / "manifest.json").read_text())
    (events / "manifest.json").write_text(json.dumps({**said, "columns": said["columns"][1:]}))
    with pytest.raises(ExportRefused, match="has other columns"):
        export(recorded, "events", "jsonl", to)


def test_a_folder_of_somebody_else_is_left_alone(recorded: Ledger, to: Path) -> None:
    recorded.fold("usage")
    for table in ("events", "usage"):
        (to / table).mkdir(parents=True)
        (to / table / "thesis.txt").write_text("chapter one")
        with pytest.raises(ExportRefused, match=r"holds files, and no manifest\.json"):
            export(recorded, table, "jsonl", to)
        assert [path.name for path in (to / table).iterdir()] == ["thesis.txt"]


def test_a_table_is_not_replaced_where_somebody_put_files_of_their_own(recorded: Ledger, to: Path) -> None:
    recorded.fold("usage")
    export(recorded, "usage", "jsonl", to)
    (to / "usage" / "notes.txt").write_text("mine")
    record(recorded, 1)
    recorded.fold("usage")
    with pytest.raises(ExportRefused, match=r"holds notes\.txt, which is no part of it"):
        export(recorded, "usage", "jsonl", to)


def test_two_exports_do_not_write_one_folder_at_once(recorded: Ledger, to: Path, events: Path) -> None:
    with (to / ".events.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ExportRefused, match="is being written by another export"):
            export(recorded, "events", "jsonl", to)
    assert export(recorded, "events", "jsonl", to).new_parts == 0


def test_an_unknown_format_and_no_rows_a_part_are_mistakes_in_the_call(recorded: Ledger, to: Path) -> None:
    with pytest.raises(UsageError, match="unknown export format 'orc'; expected one of parquet, jsonl, csv"):
        export(recorded, "events", "orc", to)
    with pytest.raises(UsageError, match="at least one row"):
        export(recorded, "events", "jsonl", to, rows_per_part=0)
    assert not to.exists()


def test_without_the_extra_the_next_step_is_named(recorded: Ledger, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ExportRefused, match=r"pip install 'runfold\[analytics\]'.*--format jsonl or csv"):
        export(recorded, "events", "parquet", to)
    assert not to.exists()
    export(recorded, "events", "jsonl", to)


LIMITED = """
import resource, sys
from runfold import HistoryChanged, Ledger
from runfold.errors import ExportRefused
from runfold.export.exporting import export
with Ledger.open(sys.argv[1]) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
    try:
        export(ledger, "events", sys.argv[2], sys.argv[3], rows_per_part=25)
    except ExportRefused as error:
        print(error)
"""


@pytest.mark.parametrize(("format", "limit"), [("jsonl", 2000), ("jsonl", 14_000), ("parquet", 7500)])
def test_a_disk_that_takes_no_more_is_an_error_and_what_is_whole_is_gone_on_from(
    recorded: Ledger, database: TestDatabase, to: Path, format: str, limit: int
) -> None:
    call = [sys.executable, "-c", LIMITED, database.url, format, str(to), str(limit)]
    told = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    assert "cannot be written (" in told
    assert "free space" in told
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    export(recorded, "events", format, to, rows_per_part=25)
    assert [row["position"] for row in rows_of(to / "events")] == list(range(1, recorded.position() + 1))


@pytest.mark.fault("K8")
@pytest.mark.parametrize("table", ["events", "run_summaries"])
def test_an_export_of_a_history_that_was_lost_is_refused_and_one_of_what_both_hold_goes_on(
    recorded: Ledger, database: TestDatabase, to: Path, table: str
) -> None:
    recorded.fold()
    head = recorded.position()
    export(recorded, table, "jsonl", to)
    record(recorded, 1)
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("SELECT runfold.begin_epoch('restored', %s, NULL)", [head])
    recorded.fold()
    went_on = export(recorded, table, "jsonl", to).manifest
    assert (went_on.epoch, went_on.last_position) == (recorded.head().epoch, recorded.position())
    before = bytes_of(to / table)
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("SELECT runfold.begin_epoch('restored', %s, 9999)", [head + 3])
    with pytest.raises(ExportRefused, match=rf"the same up to position {head + 3} only; choose another folder with --output"):
        export(recorded, table, "jsonl", to)
    assert bytes_of(to / table) == before


@pytest.mark.fault("K8")
def test_events_are_exported_after_a_cursor_of_the_present_history_only(
    recorded: Ledger, database: TestDatabase, to: Path
) -> None:
    good, bad = recorded.cursor(5), recorded.cursor(8)
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("SELECT runfold.begin_epoch('restored', 6, NULL)")
    with pytest.raises(HistoryChanged):
        export(recorded, "events", "jsonl", to, after=bad)
    assert export(recorded, "events", "jsonl", to, after=good, up_to=9).manifest.first_position == 6
