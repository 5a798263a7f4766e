"""Trials of tau2-bench and tau-bench, made up: calls without ids, scores, costs, and records that do not fit."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.domain.decision import OutcomeCorrected, OutcomeRecorded
from runfold.domain.usage import CostReported, UsageRecorded
from runfold.importers.cleaning import ESCAPED, TWICE
from runfold.importers.formats.tau2 import IN_TICKS
from runfold.importers.tally import Tally
from runfold.importers.trials import money
from tests.importers.made_trials import results, said, simulation, write

Importing = Callable[..., Tally]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "results.json"


def the_run(ledger: Ledger) -> str:
    """The only run there is."""
    (created,) = ledger.events(types=["run.created"])
    return created.stream


def test_results_with_empty_ids_go_to_the_calls_before_them_in_order(ledger: Ledger, importing: Importing, file: Path) -> None:
    tally = importing("tau2", write(file, simulation()))
    assert (tally.threads, tally.messages, tally.tool_calls, tally.tool_errors) == (1, 6, 2, 1)
    look, book = ledger.now.tool_calls(run_id=the_run(ledger)).items
    assert (look.name, look.status, look.result) == ("look", "succeeded", "seen")
    assert (book.name, book.status) == ("book", "failed")
    assert look.provider_call_id is None
    tools = [message for message in ledger.run(the_run(ledger)).messages() if message.role == "tool"]
    assert [message.tool_call_id for message in tools] == [look.call_id, book.call_id]


def test_a_result_that_names_its_call_goes_to_it_in_any_order(ledger: Ledger, importing: Importing, file: Path) -> None:
    made = [{"id": "a", "name": "look", "arguments": {}}, {"id": "b", "name": "book", "arguments": {}}]
    messages = [said("assistant", tool_calls=made), said("tool", "for b", id="b"), said("tool", "for a", id="a")]
    importing("tau2", write(file, simulation(messages=messages)))
    assert [call.result for call in ledger.now.tool_calls(run_id=the_run(ledger)).items] == ["for a", "for b"]


def test_a_result_that_names_a_call_which_is_not_open_is_no_other_calls(ledger: Ledger, importing: Importing, file: Path) -> None:
    made = [{"id": "a", "name": "look", "arguments": {}}, {"id": "b", "name": "book", "arguments": {}}]
    again = [said("tool", "for a", id="a"), said("tool", "for a", id="a"), said("tool", "for c", id="c")]
    messages = [said("assistant", tool_calls=made), *again, said("tool", "for b", id="b")]
    assert importing("tau2", write(file, simulation(messages=messages))).messages == 5
    assert [call.result for call in ledger.now.tool_calls(run_id=the_run(ledger)).items] == ["for a", "for b"]
    tools = [message for message in ledger.run(the_run(ledger)).messages() if message.role == "tool"]
    assert [message.tool_call_id is None for message in tools] == [False, True, True, False]


def test_a_reward_of_nothing_is_a_failed_outcome_of_a_completed_run(ledger: Ledger, importing: Importing, file: Path) -> None:
    assert importing("tau2", write(file, results(simulation(reward=0.0)))).decisions == 1
    (outcome,) = (item.event for item in ledger.events(types=["decision.outcome_recorded"]))
    assert isinstance(outcome, OutcomeRecorded)
    assert (outcome.outcome.success, outcome.outcome.summary) == (False, "reward 0")
    assert outcome.outcome.result == {"reward": 0.0, "db_check": {"db_match": False}}
    view = ledger.run(the_run(ledger)).view()
    assert (view.status, view.agent_id) == ("completed", "model-a")
    assert view.goal is not None
    assert view.goal.id == "task:shop:7"


def test_a_trial_without_a_score_has_no_decision(ledger: Ledger, importing: Importing, file: Path) -> None:
    assert importing("tau2", write(file, results(simulation()))).decisions == 0
    assert ledger.events(types=["decision.*"]) == []


def test_a_score_that_came_later_is_recorded_in_a_run_that_continues(ledger: Ledger, importing: Importing, file: Path) -> None:
    importing("tau2", write(file, results(simulation())))
    tally = importing("tau2", write(file, results(simulation(reward=1.0))))
    assert (tally.problems, tally.skipped) == ([], 0)
    _, second = (item.stream for item in ledger.events(types=["run.created"]))
    assert [item.stream for item in ledger.events(types=["decision.*"])] == [second, second]
    assert ledger.run(second).view().status == "completed"


def test_a_score_that_was_changed_corrects_the_outcome(ledger: Ledger, importing: Importing, file: Path) -> None:
    importing("tau2", write(file, results(simulation(reward=0.0))))
    assert importing("tau2", write(file, results(simulation(reward=1.0)))).problems == []
    (corrected,) = (item.event for item in ledger.events(types=["decision.outcome_corrected"]))
    assert isinstance(corrected, OutcomeCorrected)
    assert (corrected.previous.success, corrected.replacement.success) == (False, True)
    assert importing("tau2", file).events == 0


def test_a_trial_that_ran_out_of_steps_is_completed_and_one_that_broke_has_failed(
    ledger: Ledger, importing: Importing, file: Path
) -> None:
    steps = simulation("sim-steps", termination_reason="max_steps")
    broken = simulation("sim-broken", termination_reason="too_many_errors")
    importing("tau2", write(file, results(steps, broken)))
    runs = [ledger.run(item.stream).view() for item in ledger.events(types=["run.created"])]
    assert {(run.status, run.stop_reason) for run in runs} == {("completed", "max_steps"), ("failed", "error")}


def test_times_without_zone_are_taken_for_utc(ledger: Ledger, importing: Importing, file: Path) -> None:
    importing("tau2", write(file, simulation()))
    first = ledger.run(the_run(ledger)).messages()[0]
    assert first.added_at == datetime(2026, 2, 17, 21, 18, 58, 948676, tzinfo=UTC)


def test_costs_are_decimals_and_the_sources_figure_is_kept(ledger: Ledger, importing: Importing, file: Path) -> None:
    importing("tau2", write(file, results(simulation())))
    costs = [item.event for item in ledger.events(types=["usage.cost_reported"])]
    assert [(cost.amount, cost.node_id) for cost in costs if isinstance(cost, CostReported)] == [
        (Decimal(0), "agent"),
        (Decimal("0.00102"), "user_simulator"),
    ]
    used = [item.event for item in ledger.events(types=["usage.recorded"])]
    assert [(event.node_id, event.model) for event in used if isinstance(event, UsageRecorded)] == [
        ("user_simulator", "model-u"),
        ("agent", "model-a"),
    ]
    assert isinstance(used[0], UsageRecorded)
    assert used[0].raw == {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.0010199999999999999}


@pytest.mark.parametrize(
    ("cost", "usage", "amounts"),
    [
        (0.0, {"prompt_tokens": 7, "completion_tokens": 3}, []),  # no price was found
        (0, {"prompt_tokens": 7}, []),
        (0.0, {"prompt_tokens": 0, "completion_tokens": 0}, [Decimal(0)]),
        (0.0, None, [Decimal(0)]),  # words that no model was asked for
        (0.25, {"prompt_tokens": 7, "completion_tokens": 3}, [Decimal("0.25")]),
        (None, {"prompt_tokens": 7, "completion_tokens": 3}, []),
    ],
)
def test_a_cost_is_the_benchmarks_own_sum_and_nought_for_tokens_is_no_cost(
    ledger: Ledger, importing: Importing, file: Path, cost: float | None, usage: dict[str, int] | None, amounts: list[Decimal]
) -> None:
    importing("tau2", write(file, {"id": "s", "task_id": "7", "messages": [said("assistant", "Hi!", cost=cost, usage=usage)]}))
    reported = [item.event for item in ledger.events(types=["usage.cost_reported"])]
    assert [(event.amount, event.source) for event in reported if isinstance(event, CostReported)] == [
        (amount, "local") for amount in amounts
    ]
    used = [item.event for item in ledger.events(types=["usage.recorded"])]
    assert [event.raw for event in used if isinstance(event, UsageRecorded)] == (
        [] if usage is None else [usage if cost is None else {**usage, "cost": cost}]
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [(0.0, "0"), (0.0010199999999999999, "0.00102"), (1e-07, "0.0000001"), (2.5, "2.5"), (999_999_999_999.5, "999999999999.5")],
)
def test_money_is_written_out(written: float, kept: str) -> None:
    assert Decimal(money(written)) == Decimal(kept)
    assert "e" not in money(written).lower()


def test_a_bad_message_is_named_and_the_rest_of_its_trial_goes_in(ledger: Ledger, importing: Importing, file: Path) -> None:
    bad = simulation("sim-bad")
    bad["messages"][1]["content"] = "a NUL: \0"
    bad["messages"][5]["role"] = "stranger"
    write(file, results(simulation("sim-good"), bad))
    tally = importing("tau2", file)
    assert (tally.threads, tally.messages) == (2, 6 + 5)
    lines = file.read_text().splitlines()
    (problem,), (note,) = tally.problems, tally.notes
    assert "simulations.1.messages.5.role" in problem.reason
    assert "stranger" in lines[problem.line or 0], "the line is that on which the message begins"
    assert (note.kind, note.count) == (ESCAPED, 1)
    assert "\\u0000" in lines[(note.line or 0) + 1]


def test_a_bad_trial_is_named_and_the_others_go_in(ledger: Ledger, importing: Importing, file: Path) -> None:
    nameless = simulation()
    del nameless["id"]
    tally = importing("tau2", write(file, results(nameless, simulation("sim-2"))))
    assert tally.threads == 1
    (problem,) = tally.problems
    assert "simulations.0.id: Field required" in problem.reason


def test_a_simulation_that_is_told_in_ticks_is_noted_and_its_score_goes_in(
    ledger: Ledger, importing: Importing, file: Path
) -> None:
    spoken = simulation("sim-2", reward=1.0)
    ticks = {**spoken, "messages": None, "ticks": [{"tick_id": 0, "agent_chunk": spoken["messages"][0]}]}
    tally = importing("tau2", write(file, results({**simulation("sim-1"), "ticks": None}, ticks)))
    assert (tally.threads, tally.messages, tally.decisions, tally.problems) == (2, 6, 1, [])
    assert [(note.kind, note.count) for note in tally.notes] == [(IN_TICKS, 1)]


@pytest.mark.fault("F5")
def test_of_a_key_that_stands_twice_the_last_is_taken(ledger: Ledger, importing: Importing, file: Path) -> None:
    document = json.dumps(simulation()).replace('"role": "assistant", "content": "Hi!"', '"role": "user", "role": "assistant"')
    file.write_text(document)
    tally = importing("tau2", file)
    assert (tally.messages, tally.problems) == (6, [])
    assert [(note.kind, note.count) for note in tally.notes] == [(TWICE, 1)]


@pytest.mark.fault("F3")
@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
def test_a_number_that_json_does_not_have_is_left_out_and_the_rest_of_its_message_goes_in(
    ledger: Ledger, importing: Importing, file: Path, number: str
) -> None:
    file.write_text(json.dumps(simulation()).replace('"cost": 0.0', f'"cost": {number}', 1))
    tally = importing("tau2", file)
    assert (tally.messages, len(tally.problems)) == (6, 1)
    assert "messages.0.cost: " in tally.problems[0].reason


def test_a_file_that_breaks_off_gives_what_stands_before(ledger: Ledger, importing: Importing, file: Path) -> None:
    write(file, results(simulation("sim-1"), simulation("sim-2"), simulation("sim-3")))
    file.write_text(file.read_text()[:-900])
    tally = importing("tau2", file)
    assert tally.threads == 2
    (problem,) = tally.problems
    assert "what stands before it goes in" in problem.reason
    assert problem.file == str(file)


@pytest.mark.fault("F6")
def test_nesting_without_end_is_a_problem(ledger: Ledger, importing: Importing, file: Path) -> None:
    file.write_text("[" * 100_000)
    assert len(importing("tau-bench", file).problems) == len(importing("tau2", file).problems) == 1


def test_a_document_of_another_kind_is_a_problem(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"a": 1})
    write(tmp_path / "b.json", [1])
    tally = importing("tau2", tmp_path)
    assert [problem.reason for problem in tally.problems] == [
        "is not of tau2-bench: it has neither simulations nor messages",
        "is not an object",
    ]
    assert len(importing("tau-bench", tmp_path).problems) == 2


def _trial(*messages: dict[str, Any], reward: float = 1.0, task_id: int = 3) -> dict[str, Any]:
    info = {"task": {"instruction": "Book a flight."}, "user_cost": 0.25}
    return {"task_id": task_id, "trial": 0, "reward": reward, "info": info, "traj": list(messages)}


def _call(arguments: str) -> dict[str, Any]:
    function = {"name": "book", "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "same", "type": "function", "function": function}]}


def _answer(content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "same", "name": "book", "content": content}


def test_one_id_for_two_calls_is_two_calls(ledger: Ledger, importing: Importing, file: Path) -> None:
    trial = _trial(_call('{"n":  1}'), _answer("one"), _call("not json"), _answer("Error: no"))
    tally = importing("tau-bench", write(file, [trial]))
    assert (tally.tool_calls, tally.tool_errors, tally.decisions) == (2, 1, 1)
    first, second = ledger.now.tool_calls(run_id=the_run(ledger)).items
    assert (first.arguments_text, first.arguments, first.result) == ('{"n":  1}', {"n": 1}, "one")
    assert (second.arguments_text, second.arguments, second.status) == ("not json", None, "failed")
    assert first.provider_call_id == second.provider_call_id == "same"
    assert first.call_id != second.call_id


def test_a_renamed_file_is_the_same_trials(ledger: Ledger, importing: Importing, tmp_path: Path) -> None:
    trials = [_trial(_call("{}"), _answer("one")), _trial(_call("{}"), _answer("two"))]
    importing("tau-bench", write(tmp_path / "one.json", trials))
    tally = importing("tau-bench", write(tmp_path / "two.json", trials))
    assert (tally.events, tally.skipped, tally.threads) == (0, 2, 2)


def test_a_trial_has_its_task_as_goal_and_its_customers_cost(ledger: Ledger, importing: Importing, file: Path) -> None:
    importing("tau-bench", write(file, [_trial(_call("{}"), _answer("one"), reward=0.0)]))
    goal = ledger.run(the_run(ledger)).view().goal
    assert goal is not None
    assert (goal.id, goal.description) == ("task:3", "Book a flight.")
    (cost,) = (item.event for item in ledger.events(types=["usage.cost_reported"]))
    assert isinstance(cost, CostReported)
    assert (cost.amount, cost.node_id, cost.source) == (Decimal("0.25"), "user_simulator", "local")


@pytest.mark.parametrize(
    ("odd", "reasons"),
    [
        ({"cost": True}, ["cost: is no number; it was left out"]),
        ({"cost": -1}, ["cost: Input should be greater than or equal to 0; it was left out"]),
        ({"usage": {"prompt_tokens": True, "completion_tokens": 3}}, ["usage.prompt_tokens: is no number; it was left out"]),
    ],
)
def test_what_is_no_count_or_cost_is_none_and_the_rest_is_recorded(
    ledger: Ledger, importing: Importing, file: Path, odd: dict[str, Any], reasons: list[str]
) -> None:
    trial = simulation()
    trial["messages"][1].update(odd)
    document = results(trial)
    document["info"]["agent_info"]["llm"], document["info"]["user_info"]["llm"] = "m" * 501, ""
    write(file, document)
    tally = importing("tau2", file)
    told = [problem.reason.removeprefix("simulations.0.messages.1.") for problem in tally.problems]
    assert (told, tally.messages, tally.output_tokens) == (reasons, 6, 12)
    assert len(ledger.events(types=["usage.cost_reported"])) == (1 if "cost" in odd else 2)
    assert [recorded.event.model for recorded in ledger.events(types=["usage.recorded"])] == [None, "m" * 500]
