"""A sample in a folder: the events of each drawn run as of its position, the same bytes whenever it is made."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.errors import ExportDamaged, ExportRefused
from runfold.export.run_samples import export_sample
from runfold.queries.runs.sample import RunSample
from tests.databases import TestDatabase


@pytest.fixture
def ledger(database: TestDatabase) -> Iterator[Ledger]:
    with Ledger.open(settings=database.settings) as opened:
        thread = opened.create_thread(agent_id="a")
        for number in range(6):
            run = thread.start_run(run_id=f"run_{number}", parent=None)
            run.add_message("user", f"hello {number}")
            run.request_approval("refund", approval_id=f"approval_{number}")
        opened.fold("run_summaries")
        yield opened


def sample_of(ledger: Ledger) -> RunSample:
    return ledger.now.sample_runs("2026-Q3", n=4)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_events_of_each_run_and_its_approvals_are_there_with_their_checksums(ledger: Ledger, tmp_path: Path) -> None:
    sample = sample_of(ledger)
    export_sample(ledger, sample, tmp_path / "audit")
    said = json.loads((tmp_path / "audit" / "manifest.json").read_text())
    assert (said["seed"], said["n"], said["population"], said["drawn"]) == ("2026-Q3", 4, 6, 4)
    assert (said["position"], said["tenant_id"], said["filters"]) == (ledger.position(), "default", {})
    assert [run["run_id"] for run in said["runs"]] == [run.run_id for run in sample.runs]
    for run in said["runs"]:
        raw = (tmp_path / "audit" / run["file"]).read_bytes()
        assert hashlib.sha256(raw).hexdigest() == run["sha256"]
        lines = [json.loads(line) for line in raw.splitlines()]
        known = ledger.events(run_id=run["run_id"])
        assert [line["position"] for line in lines] == [recorded.position for recorded in known]
        assert len(lines) == run["events"]
        assert {"approval.requested", "message.added"} <= {line["type"] for line in lines}


def test_the_same_sample_is_the_same_bytes_whatever_was_recorded_meanwhile(ledger: Ledger, tmp_path: Path) -> None:
    export_sample(ledger, sample_of(ledger), tmp_path / "one")
    then = ledger.position()
    ledger.run("run_0").add_message("user", "later", keep_approvals=True)
    ledger.create_thread(agent_id="a").start_run()
    ledger.fold("run_summaries")
    export_sample(ledger, ledger.at(then).sample_runs("2026-Q3", n=4), tmp_path / "two")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    export_sample(ledger, ledger.at(then).sample_runs("2026-Q3", n=4), tmp_path / "one")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_a_folder_that_holds_something_else_stays_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    export_sample(ledger, sample_of(ledger), folder)
    before = bytes_of(folder)
    with pytest.raises(ExportRefused, match=r"holds another sample: 4 runs by the seed '2026-Q3' as of position \d+"):
        export_sample(ledger, ledger.now.sample_runs("other", n=4), folder)
    assert bytes_of(folder) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for place in (tmp_path / "mine", tmp_path / "mine" / "notes.txt"):
        with pytest.raises(ExportRefused, match="holds no sample"):
            export_sample(ledger, sample_of(ledger), place)
    (folder / "run-00002.jsonl").write_bytes(b"{}\n")
    with pytest.raises(ExportDamaged, match=r"run-00002\.jsonl in .* is not what the ledger gives for run_"):
        export_sample(ledger, sample_of(ledger), folder)


def test_a_killed_export_leaves_nothing_in_the_way(ledger: Ledger, tmp_path: Path) -> None:
    left = tmp_path / ".runfold-audit"
    left.mkdir()
    (left / "run-00001.jsonl").write_text("half")
    export_sample(ledger, sample_of(ledger), tmp_path / "audit")
    assert not left.exists()
    assert len(bytes_of(tmp_path / "audit")) == 5
