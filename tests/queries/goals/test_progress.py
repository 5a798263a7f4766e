"""How far goals have come, and the decisions that were made towards them."""

from typing import Any

import pytest

from runfold import Ledger, Run, Thread
from runfold.errors import UsageError
from runfold.queries.goals.progress import CriterionProgress
from tests.queries.decided import GOAL, choose, decisions_of, of_goal, progress_of, tell, told


def towards(thread: Thread, *criteria: dict[str, Any], **goal: Any) -> Run:
    return thread.start_run(parent=None, goal={"id": "refund", "criteria": criteria, **goal})


def criterion(folded: Any, number: int = 0) -> CriterionProgress:
    found: CriterionProgress = folded().goal_progress("refund").criteria[number]
    return found


def test_a_goal_is_told_as_the_last_run_described_it(folded, thread: Thread) -> None:
    towards(thread, {"id": "old", "description": "as it was"}, description="before")
    thread.start_run(parent=None, goal=GOAL)
    thread.start_run(parent=None, goal={"id": "refund"})
    found = folded().goal_progress("refund")
    assert (found.description, found.runs) == ("Refunds are right and quick", 3)
    assert [(each.id, each.target, each.weight, each.metric) for each in found.criteria] == [
        ("right", "90%", 0.6, "custom"),
        ("quick", None, 0.3, "custom"),
        ("kind", "50%", 0.1, "custom"),
    ]
    assert [(each.id, each.kind, each.category) for each in found.constraints] == [("budget", "hard", "cost")]


@pytest.mark.row("HV-72")
def test_a_decision_has_to_do_with_a_criterion_that_its_constraints_name(folded, thread: Thread) -> None:
    run = towards(thread, {"id": "quick", "description": "something else entirely"})
    choose(run, constraints=["quick: within a day"]).outcome(success=True)
    choose(run, constraints=["cheap"]).outcome(success=False)
    found = criterion(folded)
    assert (found.decisions, found.outcomes, found.progress) == (1, 1, 1.0)


@pytest.mark.row("HV-72")
def test_a_decision_has_to_do_with_a_criterion_of_whose_words_it_has_two(folded, thread: Thread) -> None:
    run = towards(thread, {"id": "c1", "description": "Refund the customer"})
    choose(run, "work out the REFUND", reasoning="The Customer waits").outcome(success=True)
    choose(run, "refund", reasoning="why not").outcome(success=False)
    choose(run, "greet", reasoning="it is polite").outcome(success=False)
    found = criterion(folded)
    assert (found.decisions, found.successes, found.progress) == (1, 1, 1.0)


@pytest.mark.row("HV-72")
@pytest.mark.parametrize(
    ("target", "successes", "met"),
    [
        ("75%", 3, True),
        ("76%", 3, False),
        ("0%", 0, True),
        ("33.3%", 1, False),
        ("25%", 1, True),
        (None, 3, False),
        (None, 4, True),
        ("often", 3, False),
        ("lots%", 4, True),
        ("lots%", 3, False),
        ("nan%", 3, False),
        (0.5, 3, False),
        ("100%", 4, True),
    ],
)
def test_a_criterion_is_met_at_its_percentage_or_else_at_eighty(
    folded, thread: Thread, target, successes: int, met: bool
) -> None:
    run = towards(thread, {"id": "c1", "description": "", "target": target})
    for number in range(4):
        choose(run, constraints=["c1"]).outcome(success=number < successes)
    choose(run, constraints=["c1"])
    found = criterion(folded)
    assert (found.decisions, found.outcomes, found.progress, found.met) == (5, 4, successes / 4, met)


@pytest.mark.row("HV-72")
def test_without_a_decision_that_has_to_do_with_it_no_criterion_is_met(folded, thread: Thread) -> None:
    run = towards(thread, {"id": "c1", "description": "", "target": "0%"})
    choose(run).outcome(success=True)
    assert (criterion(folded).met, criterion(folded).progress) == (False, 0.0)
    choose(run, constraints=["c1"])
    assert (criterion(folded).met, criterion(folded).outcomes) == (True, 0)


@pytest.mark.row("HV-72", "HV-77")
def test_the_evidence_is_of_the_first_five_decisions_and_says_of_which_run(folded, thread: Thread) -> None:
    first = towards(thread, {"id": "c1", "description": ""})
    second = towards(thread)
    silent = choose(first, "number 0", constraints=["c1"])
    made = [choose(run, f"number {n}", constraints=["c1"]) for n, run in enumerate((first, second, first, second, first), 1)]
    for number, decision in enumerate(made):
        decision.outcome(success=number % 2 == 0)
    evidence = criterion(folded).evidence
    assert [(each.intent, each.success, each.run_id) for each in evidence] == [
        ("number 1", True, first.id),
        ("number 2", False, second.id),
        ("number 3", True, first.id),
        ("number 4", False, second.id),
    ]
    assert silent.id not in {each.decision_id for each in evidence}
    assert evidence[0].position == made[0].receipt.position


@pytest.mark.row("HV-73")
def test_met_criteria_count_whole_and_others_as_far_as_they_have_come(folded, thread: Thread) -> None:
    run = towards(
        thread,
        {"id": "met", "description": "", "weight": 0.5},
        {"id": "half", "description": "", "weight": 0.25},
        {"id": "none", "description": "", "weight": 0.25},
    )
    for number in range(10):
        choose(run, constraints=["met"]).outcome(success=number < 9)
    choose(run, constraints=["half"]).outcome(success=True)
    choose(run, constraints=["half"]).outcome(success=False)
    found = folded().goal_progress("refund")
    assert found.overall_progress == 0.5 + 0.25 / 2
    assert [each.met for each in found.criteria] == [True, False, False]


@pytest.mark.row("HV-73")
def test_without_criteria_or_weights_nothing_is_reached(folded, thread: Thread) -> None:
    choose(towards(thread)).outcome(success=True)
    assert folded().goal_progress("refund").overall_progress == 0.0
    run = towards(thread, {"id": "c1", "description": "", "weight": 0})
    choose(run, constraints=["c1"]).outcome(success=True)
    assert folded().goal_progress("refund").overall_progress == 0.0


@pytest.mark.row("HV-74")
def test_the_metrics_of_a_goal_are_over_all_its_threads_and_runs(folded, ledger: Ledger, thread: Thread) -> None:
    first, second = towards(thread), towards(thread)
    third = towards(ledger.create_thread(agent_id="other"))
    choose(first).outcome(success=True)
    choose(second).outcome(success=False)
    choose(second)
    choose(third).outcome(success=False)
    first.complete()
    towards(thread)
    found = folded().goal_progress("refund")
    assert (found.total_decisions, found.successful_outcomes, found.failed_outcomes) == (4, 1, 2)
    assert (found.success_rate, found.threads, found.deciding_runs) == (1 / 3, 2, 3)
    assert (found.runs, found.completed_runs) == (4, 1)


@pytest.mark.row("HV-70", "HV-74")
def test_the_violations_of_a_goal_are_counted_and_the_last_ones_told(folded, thread: Thread) -> None:
    first, second = towards(thread), towards(thread)
    other = thread.start_run(parent=None, goal={"id": "other"})
    first.violate_constraint("budget", "soft", "a little too much")
    other.violate_constraint("budget", "hard", "far too much")
    for number in range(21):
        second.violate_constraint("tone", "soft", f"rude {number}", details={"words": number})
    found = folded().goal_progress("refund")
    assert (found.hard_violations, found.soft_violations, len(found.violations)) == (0, 22, 20)
    last = found.violations[0]
    assert (last.run_id, last.thread_id, last.description, last.details) == (second.id, thread.id, "rude 20", {"words": 20})
    assert {each.constraint_id for each in found.violations} == {"tone"}


@pytest.mark.row("HV-75")
@pytest.mark.parametrize(
    ("good", "bad", "violated", "recommended"),
    [
        (10, 0, None, "complete"),
        (10, 0, "soft", "complete"),
        (10, 0, "hard", "adjust"),
        (5, 5, None, "continue"),
        (2, 9, None, "adjust"),
        (2, 8, None, "continue"),
        (4, 9, None, "continue"),
    ],
)
def test_what_to_do_follows_from_progress_and_violations(
    folded, thread: Thread, good: int, bad: int, violated: Any, recommended: str
) -> None:
    run = towards(thread, {"id": "c1", "description": ""})
    for number in range(good + bad):
        choose(run, constraints=["c1"]).outcome(success=number < good)
    if violated:
        run.violate_constraint("budget", violated, "too much")
    assert folded().goal_progress("refund").recommendation == recommended


@pytest.mark.row("HV-72", "HV-73", "HV-74")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_progress_is_what_going_decision_by_decision_gives(folded, ledger: Ledger, seed: int) -> None:
    tell(ledger, seed)
    wanted = progress_of(of_goal(told(ledger.subscribe(follow=False)), "refund"))
    found = folded().goal_progress("refund")
    criteria = {
        each.id: (each.progress, each.met, [f"{said.intent}: {said.success}" for said in each.evidence])
        for each in found.criteria
    }
    assert criteria == wanted.pop("criteria")
    assert found.overall_progress == pytest.approx(wanted.pop("overall_progress"))
    assert {name: getattr(found, name) for name in wanted} == wanted


def test_goals_are_listed_the_last_active_first(folded, thread: Thread) -> None:
    for goal_id in ("a", "b", "c", "a"):
        thread.start_run(parent=None, goal={"id": goal_id}).complete()
    page = folded().goals(limit=2)
    assert [(row.goal_id, row.runs) for row in page.items] == [("a", 2), ("c", 1)]
    assert [row.goal_id for row in folded().goals(limit=2, cursor=page.next_cursor).items] == ["b"]


@pytest.mark.row("HV-76")
def test_decisions_are_found_by_thread_run_goal_node_and_outcome(folded, ledger: Ledger, thread: Thread) -> None:
    first, second = towards(thread), thread.start_run(parent=None)
    third = ledger.create_thread(agent_id="other").start_run()
    a, b = choose(first, "a", node_id="n1"), choose(first, "b", node_id="n2", decision_type="delegation")
    c, d = choose(second, "c", node_id="n1"), choose(third, "d")
    a.outcome(success=True)
    c.outcome(success=False)
    reading = folded()
    for asked, wanted in (
        ({}, [d, c, b, a]),
        ({"thread_id": thread.id}, [c, b, a]),
        ({"run_id": first.id}, [b, a]),
        ({"goal_id": "refund"}, [b, a]),
        ({"node_id": "n1"}, [c, a]),
        ({"agent_id": "other"}, [d]),
        ({"decision_type": "delegation"}, [b]),
        ({"outcome": "success"}, [a]),
        ({"outcome": "failure"}, [c]),
        ({"outcome": "unknown"}, [d, b]),
        ({"run_id": [first.id, third.id], "outcome": "unknown"}, [d, b]),
        ({"order": "asc", "limit": 2}, [a, b]),
    ):
        assert [row.decision_id for row in reading.decisions(**asked).items] == [made.id for made in wanted], asked
    with pytest.raises(UsageError, match="unknown outcome 'good'; expected one of success, failure, unknown"):
        reading.decisions(outcome="good")


@pytest.mark.row("HV-76", "HV-05")
def test_the_last_ten_decisions_come_with_their_words(folded, run: Run) -> None:
    for number in range(12):
        choose(run, f"number {number}", reasoning="because", constraints=["budget"], context={"n": number})
    last = choose(run, "the last", node_id="act")
    last.outcome(success=True, summary="done", tokens_used=3)
    last.correct_outcome(success=True, summary="well done")
    last.evaluate(outcome_quality=0.4, explanation="could be better")
    page = folded().decisions()
    words = folded().decision_words(page.items)
    assert len(page.items) == 10
    said = [words[row.run_id, row.decision_id] for row in page.items]
    assert [each.intent for each in said][:2] == ["the last", "number 11"]
    assert said[0].line == "✓ [act] the last → use search [quality: 0.4]"
    assert said[0].outcome
    assert said[0].evaluation
    assert (said[0].outcome.summary, said[0].evaluation.explanation, said[0].was_good) == ("well done", "could be better", False)
    assert (said[1].reasoning, said[1].active_constraints, said[1].input_context) == ("because", ("budget",), {"n": 11})
    assert (said[1].outcome, said[1].evaluation, said[1].was_good) == (None, None, False)
    assert [option.id for option in said[1].options] == ["search", "ask"]
    following = folded().decisions(cursor=page.next_cursor)
    assert [row.ordinal for row in following.items] == [3, 2, 1]


@pytest.mark.row("HV-05")
def test_a_decision_was_good_if_it_was_judged_so_or_else_if_it_came_out_well(folded, run: Run) -> None:
    judged = ((True, None), (False, None), (True, 0.5), (False, 0.51), (None, None))
    for success, quality in judged:
        made = choose(run)
        if success is not None:
            made.outcome(success=success)
        if quality is not None:
            made.evaluate(outcome_quality=quality)
    choose(run).evaluate(goal_aligned=False)
    page = folded().decisions(order="asc")
    words = folded().decision_words(page.items)
    assert [words[row.run_id, row.decision_id].was_good for row in page.items] == [True, False, False, True, False, False]


def test_all_decisions_are_listed_once_page_by_page(folded, ledger: Ledger) -> None:
    tell(ledger, seed=5, threads=8)
    reading, cursor, found = folded(), None, []
    while True:
        page = reading.decisions(limit=7, cursor=cursor)
        found += [row.made_position for row in page.items]
        if (cursor := page.next_cursor) is None:
            break
    wanted = [made.recorded.position for made in decisions_of(told(ledger.subscribe(follow=False)).values())]
    assert found == wanted[::-1]
    assert len(found) > 40
