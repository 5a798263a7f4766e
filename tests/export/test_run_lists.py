"""The runs that filters find, as files of one moment: of each the line that the export of the whole read model has."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.errors import ExportRefused, UsageError
from runfold.export import run_lists
from runfold.export.exporting import export
from runfold.export.folder import digest
from runfold.export.manifest import NAME
from runfold.export.run_lists import RunListManifest, export_runs
from tests.export.reading import Rows

FORMATS = ("jsonl", "csv", "parquet")
HARD_AGENT = "a {} %s 'q' \"w\""


@pytest.fixture
def folded(recorded: Ledger) -> Ledger:
    """Three runs that completed, and four that another agent began."""
    for number in range(4):
        recorded.create_thread(agent_id=HARD_AGENT).start_run(run_id=f"run_{number}")
    recorded.fold("run_summaries")
    return recorded


def rows_in(folder: Path, said: RunListManifest) -> Rows:
    """All rows of JSON lines, of which each part is as the manifest says."""
    rows = []
    for part in said.parts:
        assert (digest(folder / part.file), (folder / part.file).stat().st_size) == (part.sha256, part.bytes)
        rows += [json.loads(line) for line in gzip.decompress((folder / part.file).read_bytes()).splitlines()]
    assert {path.name for path in folder.iterdir()} == {NAME, *(part.file for part in said.parts)}
    return rows


def test_all_runs_are_the_same_bytes_as_the_exported_read_model(folded: Ledger, tmp_path: Path) -> None:
    for kind in FORMATS:
        whole = export(folded, "run_summaries", kind, tmp_path / "whole" / kind)
        made = export_runs(folded, folded.now, kind, tmp_path / "list" / kind)
        assert [part.sha256 for part in made.parts] == [part.sha256 for part in whole.manifest.parts]
        assert (made.columns, made.as_of, made.epoch) == (whole.manifest.columns, folded.position(), whole.manifest.epoch)


def test_the_runs_of_a_list_are_there_and_no_others(folded: Ledger, tmp_path: Path) -> None:
    made = export_runs(folded, folded.now, "jsonl", tmp_path / "some", agent_id=[HARD_AGENT], status="running")
    rows = rows_in(tmp_path / "some", made)
    assert [row["run_id"] for row in rows] == [f"run_{number}" for number in range(4)]
    assert {row["agent_id"] for row in rows} == {HARD_AGENT}
    assert made.filters == {"agent_id": [HARD_AGENT], "status": ["running"]}
    assert RunListManifest.model_validate_json((tmp_path / "some" / NAME).read_bytes()) == made


def test_a_list_of_the_past_is_of_that_position_and_one_of_nothing_has_no_part(folded: Ledger, tmp_path: Path) -> None:
    thread_id = folded.now.run("run_1").thread_id
    then = folded.position()
    folded.run("run_1").complete()
    made = export_runs(folded, folded.at(then), "jsonl", tmp_path / "past", thread_id=thread_id)
    assert made.as_of == then
    assert [(row["run_id"], row["status"]) for row in rows_in(tmp_path / "past", made)] == [("run_1", "running")]
    nothing = export_runs(folded, folded.now, "csv", tmp_path / "none", agent_id="nobody")
    assert (nothing.rows, nothing.parts) == (0, ())


def test_many_runs_come_in_several_parts(folded: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lists, "ROWS_PER_PART", 3)
    made = export_runs(folded, folded.now, "jsonl", tmp_path / "parts")
    assert [(part.first, part.last, part.rows) for part in made.parts] == [(1, 3, 3), (4, 6, 3), (7, 7, 1)]
    assert [row["run_id"] for row in rows_in(tmp_path / "parts", made)] == sorted(run.run_id for run in folded.now.runs().items)


def test_what_threads_stand_for_is_left_out_as_in_the_list(folded: Ledger, tmp_path: Path) -> None:
    old, new = folded.create_thread(agent_id="a"), folded.create_thread(agent_id="a")
    old.start_run(run_id="run_old")
    new.start_run(run_id="run_new")
    old.supersede([new.id], "read otherwise")
    folded.fold("run_summaries")
    wanted: list[dict[str, Any]] = [{}, {"include_superseded": True}]
    for asked in wanted:
        made = export_runs(folded, folded.now, "jsonl", tmp_path / f"list-{len(asked)}", agent_id="a", **asked)
        assert made.rows == len(folded.now.runs(agent_id="a", **asked).items) == 1 + len(asked)


def test_what_is_no_format_or_no_filter_is_refused_before_anything_is_written(folded: Ledger, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown export format"):
        export_runs(folded, folded.now, "xlsx", tmp_path / "no")
    with pytest.raises(UsageError, match="unknown status"):
        export_runs(folded, folded.now, "csv", tmp_path / "no", status="gone")
    assert not (tmp_path / "no").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportRefused):
        export_runs(folded, folded.now, "csv", tmp_path / "file")
