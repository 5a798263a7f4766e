"""Decisions: what was chosen among what, what came of it, how good it was."""

from typing import get_args

import pytest
from pydantic import ValidationError

from runfold.domain.decision import (
    DecisionEvaluated,
    DecisionMade,
    DecisionType,
    Option,
    Outcome,
    OutcomeCorrected,
    OutcomeRecorded,
)

from .samples import RUNNING, decided, succeeded
from .story import fold, given

WORSE = Outcome(success=False, error="no pattern matched")
recorded = OutcomeRecorded(decision_id="dec_1", outcome=succeeded)
corrected = OutcomeCorrected(decision_id="dec_1", previous=succeeded, replacement=WORSE, reason="misread")


@pytest.mark.row("HV-06")
def test_a_decision_has_one_of_eight_types() -> None:
    assert set(get_args(DecisionType)) == {
        "tool_selection",
        "parameter_choice",
        "path_choice",
        "output_format",
        "retry_strategy",
        "delegation",
        "termination",
        "custom",
    }


@pytest.mark.row("HV-07", "HV-08", "HV-09")
def test_what_is_not_said_of_an_option_an_outcome_and_an_evaluation() -> None:
    assert Option(id="a", description="b").model_dump(exclude={"id", "description"}) == {
        "action_type": None,
        "action_params": {},
        "pros": (),
        "cons": (),
        "confidence": 0.5,
    }
    assert Outcome(success=True).model_dump() == {
        "success": True,
        "result": None,
        "error": None,
        "summary": "",
        "state_changes": {},
        "tokens_used": None,
        "latency_ms": None,
    }
    judged = DecisionEvaluated(decision_id="dec_1")
    assert (judged.goal_aligned, judged.alignment_score, judged.outcome_quality) == (True, 1.0, 1.0)
    assert judged.better_option_id is None


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_are_between_nothing_and_all(share: float) -> None:
    with pytest.raises(ValidationError):
        Option(id="a", description="b", confidence=share)
    with pytest.raises(ValidationError):
        DecisionEvaluated(decision_id="dec_1", alignment_score=share)


def test_what_was_chosen_is_among_the_options() -> None:
    given(*RUNNING).when(lambda run: run.decisions.make(decided)).then(decided)
    other = decided.model_copy(update={"chosen_option_id": "refund"})
    given(*RUNNING).when(lambda run: run.decisions.make(other)).refused("'refund' is not among the `options` (howto, bug)")
    none = decided.model_copy(update={"options": ()})
    given(*RUNNING).when(lambda run: run.decisions.make(none)).refused("none given")


def test_options_have_ids_of_their_own() -> None:
    twice = decided.model_copy(update={"options": (*decided.options, decided.options[0])})
    given(*RUNNING).when(lambda run: run.decisions.make(twice)).refused("option ids must be unique", "howto, bug, howto")


@pytest.mark.row("HV-12")
def test_a_decision_id_is_used_once_and_its_ordinal_counts_within_the_run() -> None:
    assert fold(*RUNNING).decisions.next_ordinal == 1
    assert fold(*RUNNING, decided).decisions.next_ordinal == 2
    given(*RUNNING, decided).when(lambda run: run.decisions.make(decided)).known("decision", version=3)
    repeated = decided.model_copy(update={"ordinal": 2})
    assert repeated.differs_from(decided) is None
    assert repeated.model_copy(update={"intent": "route it"}).differs_from(decided) == "intent"


@pytest.mark.row("HV-13")
def test_an_outcome_is_of_a_decision_that_was_made() -> None:
    given(*RUNNING, decided).when(lambda run: run.decisions.record_outcome("dec_1", succeeded)).then(recorded)
    for command in (
        lambda run: run.decisions.record_outcome("dec_9", succeeded),
        lambda run: run.decisions.correct_outcome("dec_9", succeeded),
        lambda run: run.decisions.evaluate(DecisionEvaluated(decision_id="dec_9")),
    ):
        given(*RUNNING, decided).when(command).refused("this run has no decision 'dec_9'")


@pytest.mark.row("HV-13")
def test_a_second_outcome_is_a_correction_that_carries_both() -> None:
    before = (*RUNNING, decided, recorded)
    given(*before).when(lambda run: run.decisions.record_outcome("dec_1", succeeded)).then()
    given(*before).when(lambda run: run.decisions.record_outcome("dec_1", WORSE)).refused(
        "has an outcome; correct it instead (`correct_outcome`)"
    )
    run = given(*before).when(lambda run: run.decisions.correct_outcome("dec_1", WORSE, "misread")).then(corrected)
    assert run.decisions.by_id["dec_1"].outcome == WORSE
    given(*before, corrected).when(lambda run: run.decisions.correct_outcome("dec_1", WORSE)).then()


def test_only_a_recorded_outcome_is_corrected() -> None:
    given(*RUNNING, decided).when(lambda run: run.decisions.correct_outcome("dec_1", WORSE)).refused("no outcome yet; record one")


def test_a_result_of_another_kind_is_another_outcome() -> None:
    one, true = Outcome(success=True, result=1), Outcome(success=True, result=True)
    before = (*RUNNING, decided, OutcomeRecorded(decision_id="dec_1", outcome=one))
    given(*before).when(lambda run: run.decisions.correct_outcome("dec_1", true)).then(
        OutcomeCorrected(decision_id="dec_1", previous=one, replacement=true)
    )


@pytest.mark.row("HV-09")
def test_a_better_option_is_one_of_those_there_were() -> None:
    judged = DecisionEvaluated(decision_id="dec_1", goal_aligned=False, better_option_id="bug", outcome_quality=0.2)
    given(*RUNNING, decided).when(lambda run: run.decisions.evaluate(judged)).then(judged)
    given(*RUNNING, decided, judged).when(lambda run: run.decisions.evaluate(judged)).then()
    kinder = judged.model_copy(update={"outcome_quality": 0.4})
    given(*RUNNING, decided, judged).when(lambda run: run.decisions.evaluate(kinder)).then(kinder)
    unheard = judged.model_copy(update={"better_option_id": "refund"})
    given(*RUNNING, decided).when(lambda run: run.decisions.evaluate(unheard)).refused("'refund' is not one of")


def test_a_decision_names_what_it_knew() -> None:
    full = DecisionMade.model_validate(
        {**decided.model_dump(), "active_constraints": ("budget",), "input_context": {"ticket": 42}, "node_id": "triage"}
    )
    given(*RUNNING).when(lambda run: run.decisions.make(full)).then(full)


def test_several_options_may_be_chosen_at_once() -> None:
    options = tuple(Option(id=name, description=words) for name, words in (("a", "Red"), ("b", "Blue"), ("c", "Grey")))
    both = decided.model_copy(update={"options": options, "chosen_option_id": "a", "also_chosen_option_ids": ("b",)})
    assert (both.chosen_option_ids, both.choice) == (("a", "b"), "Red; Blue")
    given(*RUNNING).when(lambda run: run.decisions.make(both)).then(both)
    for others, words in ((("d",), "'d' is not among the `options`"), (("a",), "each option is chosen once")):
        again = both.model_copy(update={"also_chosen_option_ids": others})
        given(*RUNNING).when(lambda run, made=again: run.decisions.make(made)).refused(words)
