"""Decisions: given what was recorded, then these rows."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runfold import Ledger, Run
from runfold.domain.run import Run as RunState
from runfold.domain.values import digest
from runfold.importers.importing import import_paths
from runfold.projections.decision_log import DecisionLog, DecisionRow
from tests.projections.folded import rows_of

Log = Callable[[], list[DecisionRow]]
OPTIONS = [
    {"id": "howto", "description": "answer with the how-to"},
    {"id": "refund", "description": "pay it back"},
    {"id": "escalate", "description": "ask a person"},
]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    thread = ledger.create_thread(agent_id="support")
    return thread.start_run(goal={"id": "tickets"})


@pytest.fixture
def log(ledger: Ledger) -> Log:
    return lambda: list(rows_of(DecisionLog(), ledger).values())


def test_a_decision_is_a_row_without_its_words(run: Run, log: Log) -> None:
    run.enter_node("triage")
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    made = run.decide(
        "classify the ticket",
        options=OPTIONS,
        chosen="refund",
        reasoning="it is broken",
        decision_type="path_choice",
        constraints=["budget", "tone"],
        context={"ticket": 42},
        occurred_at=noon,
    )
    (row,) = log()
    assert made.receipt is not None
    assert (row.run_id, row.decision_id, row.goal_id, row.agent_id, row.node_id) == (
        run.id,
        made.id,
        "tickets",
        "support",
        "triage",
    )
    assert (row.ordinal, row.decision_type, row.made_at, row.made_position) == (1, "path_choice", noon, made.receipt.position)
    assert (row.options, row.chosen_option_id, row.first_alternative_option_id) == (3, "refund", "howto")
    assert (row.intent_digest, row.choice_digest) == (digest("classify the ticket"), digest("pay it back"))
    assert (row.active_constraints, row.has_input_context) == (2, True)
    assert (row.outcome_success, row.outcome_position, row.evaluations) == (None, None, 0)
    words = row.model_dump_json()
    assert not any(content in words for content in ("classify", "broken", "pay it", "budget", "42}"))


def test_intents_are_alike_by_their_first_fifty_characters(run: Run, log: Log) -> None:
    first = "decide what to do about the order of the customer "
    assert len(first) == 50
    for rest in ("Ada", "Bob"):
        run.decide(first + rest, options=[{"id": "action", "description": "refund it"}], chosen="action")
    run.decide(first[:-1], options=[{"id": "action", "description": "refund it"}], chosen="action")
    one, two, three = log()
    assert one.intent_digest == two.intent_digest != three.intent_digest
    assert one.choice_digest == two.choice_digest == three.choice_digest
    assert (one.first_alternative_option_id, one.has_input_context) == (None, False)
    assert [row.ordinal for row in log()] == [1, 2, 3]


def test_an_outcome_is_counted_as_it_was_reported(run: Run, log: Log) -> None:
    good = run.decide("one", options=OPTIONS, chosen="howto")
    bad = run.decide("two", options=OPTIONS, chosen="howto")
    receipt = good.outcome(success=True, summary="it helped", tokens_used=0, latency_ms=12)
    bad.outcome(success=False, error="no such page")
    one, two = log()
    assert (one.outcome_success, one.outcome_position, one.error_digest) == (True, receipt.position, None)
    assert (one.has_summary, one.tokens_used, one.latency_ms) == (True, 0, 12)
    assert (two.outcome_success, two.error_digest, two.has_summary) == (False, digest("no such page"), False)
    assert (two.tokens_used, two.latency_ms) == (None, None)


@pytest.mark.row("HV-13")
def test_a_corrected_outcome_replaces_the_first_whole(run: Run, log: Log) -> None:
    made = run.decide("one", options=OPTIONS, chosen="howto")
    made.outcome(success=False, error="no such page", tokens_used=10, latency_ms=5)
    run.complete()
    receipt = made.correct_outcome(success=True, summary="it was there", reason="looked again")
    made.correct_outcome(success=True, summary="it was there")
    (row,) = log()
    assert (row.outcome_success, row.error_digest, row.has_summary, row.tokens_used) == (True, None, True, None)
    assert (row.outcome_position, row.outcome_corrections) == (receipt.position, 1)


@pytest.mark.row("HV-09")
def test_the_last_judgement_counts(run: Run, log: Log) -> None:
    made = run.decide("one", options=OPTIONS, chosen="howto")
    run.complete()
    made.evaluate(goal_aligned=False, alignment_score=0.2, better_option_id="refund", outcome_quality=0.1, explanation="poor")
    (row,) = log()
    assert (row.evaluations, row.goal_aligned, row.alignment_score, row.outcome_quality) == (1, False, 0.2, 0.1)
    assert (row.better_option_id, row.contributed_to_success, row.outcome_success) == ("refund", None, None)
    receipt = made.evaluate(outcome_quality=0.9, contributed_to_success=True)
    (row,) = log()
    assert (row.evaluations, row.goal_aligned, row.outcome_quality, row.contributed_to_success) == (2, True, 0.9, True)
    assert (row.better_option_id, row.evaluation_position) == (None, receipt.position)


@pytest.mark.row("HV-12")
def test_equal_ids_in_two_runs_are_two_decisions(ledger: Ledger, run: Run) -> None:
    other = run.branch()
    other.start()
    for each, chosen in ((run, "howto"), (other, "refund")):
        each.decide("one", options=OPTIONS, chosen=chosen, decision_id="dec_1")
    rows = rows_of(DecisionLog(), ledger)
    assert {key: row.chosen_option_id for key, row in rows.items()} == {
        (run.id, "dec_1"): "howto",
        (other.id, "dec_1"): "refund",
    }


@pytest.mark.parametrize(
    ("folder", "kind", "outcomes"),
    [("claude-code", "claude-code", {None: 11}), ("tau-bench-airline", "tau-bench", {True: 84, False: 116})],
)
def test_real_decisions_are_what_their_runs_say(
    ledger: Ledger, trajectories: Path, folder: str, kind: str, outcomes: dict[bool | None, int]
) -> None:
    import_paths(ledger, kind, [trajectories / folder])
    rows = rows_of(DecisionLog(), ledger)
    assert Counter(row.outcome_success for row in rows.values()) == outcomes
    for run_id in {run_id for run_id, _ in rows}:
        run = RunState(run_id)
        for recorded in ledger.now.run_events(run_id):
            run.evolve(recorded.event)
        assert {decision_id for found, decision_id in rows if found == run_id} == run.decisions.by_id.keys()
        for decision_id, state in run.decisions.by_id.items():
            row = rows[run_id, decision_id]
            assert row.outcome_success == (state.outcome.success if state.outcome else None)
            assert (row.options, row.chosen_option_id in state.options) == (len(state.options), True)
            assert (row.goal_id, row.agent_id) == (
                run.created.goal.id if run.created and run.created.goal else None,
                run.created.agent_id if run.created else None,
            )
