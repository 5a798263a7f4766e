"""`runfold demo`."""

import shlex
import sys
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.demo_story import Cast, _the_claim
from tests.cli.conftest import Command
from tests.docs.pages import README, blocks


def test_the_demo_shows_its_tree_two_moments_two_branches_and_what_to_try_next(runfold: Command) -> None:
    answer = runfold("demo")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("80 events, 80 of them new.\n")
    assert "approvals: 1 granted, 1 denied, 1 withdrawn" in answer.out
    for shown in ("← main", "← exchange", "One conversation at two moments", "One thread on two branches", "Try next"):
        assert shown in answer.out
    assert max(len(line) for line in answer.out.splitlines()) <= 100


def test_what_the_readme_shows_of_it_is_what_it_shows(runfold: Command) -> None:
    shown = blocks(README)[0].text
    out = runfold("demo").out
    parts = shown.split("\n\n")
    assert len(parts) == 3
    for part in parts:
        assert part.strip() in out


def test_the_commands_that_the_demo_names_work_as_they_stand(runfold: Command) -> None:
    commands, in_browser = runfold("demo").out.partition("Try next\n")[2].split("\n\n")
    assert "runfold serve --open" in in_browser
    assert "/ui/threads/thread_demo7" in in_browser
    named = [shlex.split(line) for line in commands.splitlines()]
    assert len(named) == 3
    for name, *arguments in named:
        assert name == "runfold"
        answer = runfold(*arguments)
        assert answer.code == 0
        assert answer.out


def test_the_demo_says_how_the_shell_finds_the_command_where_it_does_not(
    runfold: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("runfold", "activate"):
        (tmp_path / ".venv" / "bin" / name).touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/runfold", "demo"])
    assert runfold("demo", "--json").json["try_next"][:2] == ["source .venv/bin/activate", "runfold thread thread_demo7 --at 26"]
    monkeypatch.setenv("PATH", f"{tmp_path / '.venv' / 'bin'}:/usr/bin")
    assert runfold("demo", "--json").json["try_next"][0] == "runfold thread thread_demo7 --at 26"


def test_the_demo_told_twice_records_nothing_the_second_time(runfold: Command, ledger: Ledger) -> None:
    first = runfold("demo", "--json").json
    position = ledger.position()
    second = runfold("demo", "--json").json
    assert first["events_appended"] == position == 80
    assert second["events_appended"] == 0
    assert ledger.position() == position
    assert {**second, "events_appended": 80} == first
    assert "none of them new" in runfold("demo").out


def test_a_demo_that_broke_off_goes_on_where_it_stopped(runfold: Command, ledger: Ledger) -> None:
    with ledger.batch() as batch:
        _the_claim(batch, Cast.of(7, "default"))
    assert runfold("demo", "--json").json["events_appended"] == 80 - batch.appended


def test_the_same_seed_tells_the_same_and_another_seed_tells_another(runfold: Command, ledger: Ledger) -> None:
    def told(seed: str) -> list[tuple[str, str, object]]:
        thread_id = runfold("demo", "--seed", seed, "--json").json["thread_id"]
        return [
            (line["stream"], line["type"], {key: value for key, value in line["data"].items() if key != "expires_at"})
            for line in runfold("events", "--thread", thread_id, "--json").lines
        ]

    assert told("3") == told("3")
    assert told("3") != told("4")
    assert ledger.position() == 160


def test_the_story_holds_all_that_it_promises(runfold: Command, ledger: Ledger) -> None:
    answer = runfold("demo", "--json").json
    types = {recorded.type for recorded in ledger.events()}
    assert types >= {
        "run.created",
        "message.revised",
        "message.part_appended",
        "message.sealed",
        "decision.made",
        "decision.outcome_recorded",
        "problem.reported",
        "problem.resolved",
        "approval.granted",
        "approval.denied",
        "approval.withdrawn",
        "approval.consumed",
        "run.cancelled",
        "state.snapshot_taken",
        "state.patched",
        "usage.recorded",
        "tool.failed",
        "thread.head_named",
        "step.finished",
    }
    kinds = {run["parent"]["kind"] for run in answer["tree"]["runs"] if run["parent"]}
    assert kinds == {"continues", "branches", "spawned_by"}
    granted = ledger.now.approval("approval_demo7_refund")
    assert granted.effective_arguments_text != granted.arguments_text
    models = {recorded.event.model for recorded in ledger.events(types=["usage.recorded"])}  # type: ignore[attr-defined]
    assert len(models) >= 3
    early, now = answer["moments"]
    assert len(early["messages"]) == 1
    assert len(now["messages"]) == 4
    assert [name for name, value in answer["totals"].items() if value == 0] == []


def test_another_tenant_has_a_demo_of_its_own(runfold: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = runfold("demo", "--json").json
    monkeypatch.setenv("RUNFOLD_TENANT", "acme")
    theirs = runfold("demo", "--json").json
    assert theirs["events_appended"] == 80
    assert theirs["thread_id"] != ours["thread_id"]
    assert runfold("thread", ours["thread_id"]).code == 3
