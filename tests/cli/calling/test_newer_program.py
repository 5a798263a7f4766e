"""A program of before, as after an upgrade that was taken back, says what it leaves alone: nobody takes that for folded."""

import pytest

from runfold import Ledger
from runfold.projections.registry import known
from tests.cli.conftest import Command


@pytest.mark.parametrize("words", [("work", "--once", "--projection", "goals"), ("goals", "--fold"), ("goals",)])
def test_what_a_newer_program_folded_is_named_and_not_counted(
    runfold: Command, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    thread = ledger.create_thread(agent_id="a")
    thread.start_run(goal={"id": "g"})
    folded, goals = ledger.fold(), known()["goals"]
    thread.start_run(goal={"id": "g"})
    monkeypatch.setattr(type(goals), "version", goals.version - 1)
    answer = runfold(*words)
    said = f"goals stays at position {folded}: a newer program folded it, with version {goals.version + 1}"
    assert (answer.code, said in " ".join(answer.err.split())) == (0, True), answer.err
    assert "--fold catches up" not in answer.err
    assert "1 read model folded" not in answer.out
    monkeypatch.undo()
    assert "1 read model folded" in runfold("work", "--once", "--projection", "goals").out
