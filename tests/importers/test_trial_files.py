"""Files of trials that come again, that grow or break off, and what they say of who spoke and how it ended."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.tally import Tally
from runfold.importers.trial_files import TWICE

Importing = Callable[..., Tally]
UUID = "e35c25af-994c-4d92-b6c9-c55df47fff1f"


def said(role: str, content: str, **more: Any) -> dict[str, Any]:
    """A message of either benchmark."""
    return {"role": role, "content": content, **more}


def simulation(trial_id: str = UUID, **more: Any) -> dict[str, Any]:
    """A trial of tau2-bench."""
    messages = [said("assistant", "Hi!"), said("user", "Book it.", usage={"prompt_tokens": 7, "completion_tokens": 3})]
    return {"id": trial_id, "task_id": "7", "trial": 0, "termination_reason": "user_stop", "messages": messages, **more}


def results(*simulations: dict[str, Any], **info: Any) -> dict[str, Any]:
    """A file of tau2-bench."""
    return {"info": info, "simulations": list(simulations)}


def trial(words: str = "Book a flight.", **more: Any) -> dict[str, Any]:
    """A trial of tau-bench."""
    return {"task_id": 3, "trial": 0, "reward": 1.0, "info": {}, "traj": [said("user", words)], **more}


def write(path: Path, document: Any, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, **how))
    return path


def statuses(ledger: Ledger) -> list[tuple[str, str | None]]:
    """How the runs stand, in the order in which they were made."""
    runs = [ledger.run(item.stream).view() for item in ledger.events(types=["run.created"])]
    return [(run.status, run.error.code if run.error else None) for run in runs]


def test_one_task_in_two_files_of_results_is_two_trials(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    write(tmp_path / "alice" / "results.json", results(simulation("1", start_time="2026-02-17T10:00:00")))
    write(tmp_path / "bob" / "results.json", results(simulation("1", start_time="2026-02-18T10:00:00")))
    assert importing("tau2", tmp_path).threads == 2
    write(tmp_path / "bench" / "alice.json", [trial("One way.")])
    write(tmp_path / "bench" / "bob.json", [trial("Return.")])
    assert importing("tau-bench", tmp_path / "bench").threads == 2


def test_a_trial_that_stands_twice_is_in_once_and_is_noted(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    write(tmp_path / "a" / "results.json", results(simulation()))
    write(tmp_path / "b" / "results.json", results(simulation(), simulation()), indent=2)
    tally = importing("tau2", tmp_path)
    assert (tally.threads, tally.messages, tally.input_tokens) == (1, 2, 7)
    assert [(note.kind, note.count) for note in tally.notes] == [(TWICE, 2)]


def test_a_trial_of_tau_bench_that_is_spaced_otherwise_or_scored_again_is_the_same(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    importing("tau-bench", write(tmp_path / "a.json", [trial()]))
    importing("tau-bench", write(tmp_path / "b.json", [trial()], indent=2))
    importing("tau-bench", write(tmp_path / "c.json", [trial(reward=0.0)]))
    assert len(ledger.events(types=["thread.created"])) == len(ledger.events(types=["message.added"])) == 1
    assert len(ledger.events(types=["decision.outcome_corrected"])) == 1


@pytest.mark.parametrize("cut", [12, 80, 130])
def test_a_trial_that_breaks_off_goes_on_and_ends_when_it_is_whole(
    ledger: Ledger, importing: Importing, tmp_path: Path, cut: int
) -> None:
    whole = json.dumps(simulation())
    path = tmp_path / "one.json"
    path.write_text(whole[:-cut])
    importing("tau2", path)
    assert statuses(ledger) == [("running", None)]
    path.write_text(whole)
    importing("tau2", path)
    assert statuses(ledger) == [("completed", None)]
    texts = [item.as_json()["data"]["content"][0]["text"] for item in ledger.events(types=["message.added"])]
    assert texts == ["Hi!", "Book it."]


def test_a_trial_ends_as_it_says_and_goes_on_where_it_says_nothing(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    stated = {"1": "agent_stop", "2": "max_steps", "3": "too_many_errors", "4": None}
    found = [simulation(name, termination_reason=reason) for name, reason in stated.items()]
    importing("tau2", write(tmp_path / "results.json", results(*found)))
    ended = [("completed", None), ("completed", None), ("failed", "too_many_errors"), ("running", None)]
    assert sorted(statuses(ledger), key=str) == ended


def test_a_trial_of_tau_bench_that_broke_has_failed_and_says_why(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    broken = trial(reward=0.0, info={"error": "RateLimitError: slow down", "traceback": "…"})
    importing("tau-bench", write(tmp_path / "a.json", [broken, trial("Another.", reward=None)]))
    assert sorted(statuses(ledger), key=str) == [("failed", "error"), ("running", None)]
    (failed,) = ledger.events(types=["run.failed"])
    assert failed.as_json()["data"]["error"]["message"] == "RateLimitError: slow down"


@pytest.mark.parametrize(
    ("agent", "user", "actors"),
    [
        (None, None, ["agent:agent", "agent:user_simulator"]),
        ("llm_agent", "user_simulator", ["agent:agent", "agent:user_simulator"]),
        ("human_agent", "user_simulator", ["human:agent", "agent:user_simulator"]),
        ("llm_agent", "human_user", ["agent:agent", "human:user"]),
    ],
)
def test_nobody_is_a_person_unless_it_is_stated(
    ledger: Ledger, importing: Importing, tmp_path: Path, agent: str | None, user: str | None, actors: list[str]
) -> None:
    speakers = {"agent_info": {"implementation": agent}, "user_info": {"implementation": user}}
    importing("tau2", write(tmp_path / "results.json", results(simulation(), **speakers)))
    spoke = [item.as_json()["metadata"]["actor"] for item in ledger.events(types=["message.added"])]
    assert [f"{actor['kind']}:{actor['id']}" for actor in spoke] == actors


def test_times_as_numbers_are_told_by_their_size_and_odd_ones_are_left_out(
    ledger: Ledger, importing: Importing, tmp_path: Path
) -> None:
    messages = [said("user", "a", timestamp=1_771_363_138), said("user", "b", timestamp="never"), said("user", "c", cost="n/a")]
    tally = importing("tau2", write(tmp_path / "results.json", results(simulation(messages=messages))))
    assert (tally.messages, len(tally.problems)) == (3, 2)
    assert ledger.events(types=["message.added"])[0].happened_at.isoformat() == "2026-02-17T21:18:58+00:00"
