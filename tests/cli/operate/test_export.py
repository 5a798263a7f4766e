"""`runfold export`."""

import gzip
import json
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.demo_story import Cast
from tests.cli.conftest import Command, Process


def test_events_are_exported_and_the_answer_says_what_is_where(runfold: Command, story: Cast, tmp_path: Path) -> None:
    answer = runfold("export", "events", "--output", str(tmp_path / "out"), "--rows-per-part", "30")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[0].startswith("events: 80 rows in 3 parts (3 new), ")
    assert answer.out.splitlines()[0].endswith(f"in {tmp_path / 'out' / 'events'}")
    assert answer.out.splitlines()[1] == "as of position 80"
    manifest = json.loads((tmp_path / "out" / "events" / "manifest.json").read_text())
    assert [part["file"] for part in manifest["parts"]][-1] == "part-000000000061-000000000080.parquet"


def test_without_a_folder_it_goes_into_export_and_positions_narrow_it(runfold: Command, story: Cast) -> None:
    call = ("export", "events", "--format", "jsonl", "--after", "10", "--up-to", "20", "--json")
    said = runfold(*call).json
    assert (said["table"], said["first_position"], said["last_position"], said["as_of"]) == ("events", 11, 20, 20)
    assert (said["folder"], said["rows"], said["parts"], said["new_parts"]) == ("export/events", 10, 1, 1)
    lines = gzip.decompress(next(Path("export/events").glob("part-*.jsonl.gz")).read_bytes()).splitlines()
    assert [json.loads(line)["position"] for line in lines] == list(range(11, 21))
    assert runfold(*call).json["new_parts"] == 0


@pytest.mark.usefixtures("left_to_workers")
def test_a_read_model_is_folded_first_where_that_is_asked_for(runfold: Command, story: Cast, ledger: Ledger) -> None:
    answer = runfold("export", "run_summaries", "--format", "csv")
    assert (answer.code, "has not been built yet" in answer.err) == (1, True)
    said = runfold("export", "run_summaries", "--format", "csv", "--fold", "--json").json
    assert (said["rows"], said["as_of"], said["new_rows"]) == (5, 80, 5)
    ledger.create_thread(agent_id="a")
    behind = runfold("export", "run_summaries", "--format", "csv")
    assert "1 events" in behind.err
    assert "as of position 80" in behind.out


def test_mistakes_are_told_with_their_exit_codes(runfold: Command, story: Cast) -> None:
    for arguments, code, words in (
        (("nothing",), 3, "there is no projection 'nothing'"),
        (("events", "--format", "orc"), 2, "unknown export format 'orc'"),
        (("events", "--up-to", "81"), 2, "position 81 is not in the ledger"),
        (("events", "--fold"), 2, "--fold applies to read models"),
    ):
        answer = runfold("export", *arguments)
        assert (answer.code, words in answer.err) == (code, True), answer.err
    runfold("export", "events", "--format", "csv")
    next(Path("export/events").glob("part-*")).unlink()
    damaged = runfold("export", "events", "--format", "csv", "--json")
    assert (damaged.code, damaged.error["type"]) == (5, "ExportDamaged")
    assert damaged.error["facts"]["file"] == "part-000000000001-000000000080.csv.gz"


def test_a_place_that_is_no_folder_is_told_of_without_how_full_the_disk_is(runfold: Command, story: Cast, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    fact = f"runfold: {place} cannot be written (File exists); choose another folder with --output\n"
    assert runfold("export", "events", "--output", str(place)).err == fact


def test_it_runs_as_a_command_of_its_own(started: Process, story: Cast, tmp_path: Path) -> None:
    process = started(["export", "events", "--output", str(tmp_path / "out")])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "80 rows in 1 part (1 new)" in out
