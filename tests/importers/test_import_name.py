"""How imports are named, and what their names keep apart."""

from pathlib import Path

import pytest

from runfold import Ledger
from runfold.errors import UsageError
from runfold.importers.import_name import MOST_OF_A_PLACE, name_of_import
from runfold.importers.importing import import_paths


def test_an_import_is_named_by_its_format_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert name_of_import("tau2", ["runs"]) == f"tau2:{tmp_path}/runs"
    assert name_of_import("tau2", [tmp_path / "runs" / ".." / "b.json"]) == f"tau2:{tmp_path}/b.json"
    assert name_of_import("tau2", ["one/a.json", "one/two/b.json"]) == f"tau2:{tmp_path}/one"
    assert name_of_import("codex", [tmp_path / "home" / ".codex"]) == "codex:~/.codex"
    assert name_of_import("codex", [tmp_path / "home"]) == "codex:~"
    assert name_of_import("otlp", ["-"]) == "otlp:-"
    assert len(name_of_import("tau2", ["x" * 3000])) == len("tau2:") + MOST_OF_A_PLACE


def test_what_two_imports_brought_under_one_agent_stays_apart(ledger: Ledger, trajectories: Path) -> None:
    sessions = (trajectories / "claude-code").resolve()
    folders = [sessions / name for name in ("experiments-ideas", "src-deep-manifest")]
    for folder in folders:
        import_paths(ledger, "claude-code", [folder])
    live = ledger.create_thread(agent_id="claude-code").start_run()
    live.usage(model="m", input_tokens=1)
    ledger.fold("usage")
    report = ledger.now.usage("source")
    assert [row.source for row in report.rows] == [*(f"claude-code:{folder}" for folder in folders), None]
    assert all(row.calls for row in report.rows)
    for folder in folders:
        of_one = ledger.now.usage("run", source=f"claude-code:{folder}")
        assert of_one.total.calls == next(row.calls for row in report.rows if row.source == f"claude-code:{folder}")
    assert ledger.now.usage("source", source="-").total.calls == 1
    assert import_paths(ledger, "claude-code", [sessions], source="all of them").skipped > 0
    ledger.fold("usage")
    assert [row for row in ledger.now.usage("source").rows if row.source != "all of them"] == list(report.rows)


def test_an_import_may_be_named(ledger: Ledger, trajectories: Path) -> None:
    import_paths(ledger, "claude-code", [trajectories / "claude-code"], source="laptop", processes=2)
    contexts = {(recorded.stream, recorded.context.source) for recorded in ledger.subscribe(follow=False)}
    assert {source for _, source in contexts} == {"laptop"}
    with pytest.raises(UsageError, match="cannot name an import"):
        import_paths(ledger, "claude-code", [trajectories / "claude-code"], source="")
