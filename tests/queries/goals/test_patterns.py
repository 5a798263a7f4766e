"""What repeats over the runs towards a goal, and what could be made better."""

import pytest

from runfold import Ledger, Run, Thread
from runfold.errors import GoalNotFound
from runfold.queries.goals.patterns import Patterns
from tests.queries.decided import choose, decisions_of, of_goal, patterns_of, tell, told


def towards(thread: Thread, goal_id: str = "refund") -> Run:
    return thread.start_run(parent=None, goal={"id": goal_id})


@pytest.mark.row("HV-65")
def test_the_five_commonest_errors_are_counted(folded, thread: Thread) -> None:
    run = towards(thread)
    for error, times in (("seldom", 1), ("often", 4), ("tie A", 2), ("tie B", 2), ("now and then", 3), (None, 2), ("tie C", 2)):
        for _ in range(times):
            choose(run).outcome(success=False, error=error)
    choose(run).outcome(success=True)
    choose(run)
    found = folded().patterns("refund").common_failures
    assert [(each.error, each.count) for each in found] == [
        ("often", 4),
        ("now and then", 3),
        ("tie A", 2),
        ("tie B", 2),
        ("unknown error", 2),
    ]


@pytest.mark.row("HV-65")
def test_an_error_that_was_corrected_away_is_not_counted(folded, thread: Thread) -> None:
    run = towards(thread)
    choose(run).outcome(success=False, error="timeout")
    wrong = choose(run)
    wrong.outcome(success=False, error="timeout")
    wrong.correct_outcome(success=True)
    other = choose(run)
    other.outcome(success=True)
    other.correct_outcome(success=False, error="no such order")
    found = folded().patterns("refund").common_failures
    assert {(each.error, each.count) for each in found} == {("timeout", 1), ("no such order", 1)}


@pytest.mark.row("HV-65")
def test_nodes_that_fail_more_than_every_tenth_time_are_named_the_worst_first(folded, thread: Thread) -> None:
    run = towards(thread)
    for node, good, bad in (("fine", 9, 1), ("weak", 8, 1), ("worst", 1, 3), ("half", 1, 1)):
        for number in range(good + bad):
            choose(run, node_id=node).outcome(success=number < good)
    choose(run, node_id="silent")
    choose(run).outcome(success=False)
    found = folded().patterns("refund").problematic_nodes
    assert [(node.node_id, node.failed, node.decisions) for node in found] == [
        ("silent", 1, 1),
        ("worst", 3, 4),
        ("half", 1, 2),
        ("weak", 1, 9),
    ]
    assert found[1].failure_rate == 0.75


@pytest.mark.row("HV-65")
def test_the_commonest_choice_is_named_for_each_intent(folded, thread: Thread) -> None:
    run = towards(thread)
    for chosen in ("search", "ask", "ask", "stop"):
        choose(run, "find the order", among=("search", "ask", "stop"), chosen=chosen, decision_type="tool_selection")
    long = "x" * 50
    choose(run, long + "A", chosen="ask")
    choose(run, long + "B", chosen="search")
    found = folded().patterns("refund")
    assert [(each.intent, each.choice, each.count, each.alternatives, each.decisions) for each in found.common_choices] == [
        ("find the order", "use ask", 2, 2, 4),
        (long, "use ask", 1, 1, 2),
    ]
    assert found.intents == 2
    assert found.decision_types == {"tool_selection": 4, "custom": 2}


def test_of_very_many_intents_the_commonest_are_told_and_how_many_there_are(folded, ledger: Ledger, thread: Thread) -> None:
    run = towards(thread)
    with ledger.batch() as batch:
        for number in range(60):
            choose(batch.run(run.id), f"intent {number}")
        choose(batch.run(run.id), "intent 59")
    found = folded().patterns("refund")
    assert (len(found.common_choices), found.intents) == (50, 60)
    assert (found.common_choices[0].intent, found.common_choices[0].decisions) == ("intent 59", 2)


@pytest.mark.row("HV-65")
def test_the_success_rate_of_a_goal_is_completed_runs_among_all(folded, thread: Thread) -> None:
    towards(thread).complete()
    towards(thread).fail("no")
    towards(thread).cancel()
    towards(thread)
    towards(thread, "order").complete()
    found = folded().patterns("refund")
    assert (found.run_count, found.completed_runs, found.success_rate) == (4, 1, 0.25)


def test_a_goal_that_no_run_has_is_not_found(folded, run: Run) -> None:
    reading = folded()
    for ask in (reading.patterns, reading.improvements, reading.goal_progress):
        with pytest.raises(GoalNotFound, match="there is no goal 'none'; `runfold goals` lists them all"):
            ask("none")


@pytest.mark.row("HV-67")
def test_improvements_follow_from_the_patterns(folded, thread: Thread) -> None:
    for _ in range(4):
        towards(thread).complete()
    run = towards(thread)
    for node, good, bad, error in (("poor", 6, 4, "timeout"), ("weak", 7, 3, "odd"), ("fine", 9, 1, "once")):
        for number in range(good + bad):
            choose(run, node_id=node).outcome(success=number < good, error=None if number < good else error)
    choose(run).outcome(success=False, error="timeout")
    assert [(each.type, each.target, each.priority) for each in folded().improvements("refund")] == [
        ("node_improvement", "poor", "high"),
        ("node_improvement", "weak", "medium"),
        ("error_handling", "timeout", "high"),
        ("error_handling", "odd", "medium"),
    ]
    towards(thread).fail("no")
    *_, last = folded().improvements("refund")
    assert (last.type, last.target, last.priority) == ("architecture", "refund", "high")
    assert last.reason == "4 of 6 runs completed (66.7%)"


def test_a_goal_that_does_well_needs_no_improvement(folded, thread: Thread) -> None:
    run = towards(thread)
    choose(run, node_id="plan").outcome(success=True)
    run.complete()
    assert folded().improvements("refund") == []


@pytest.mark.row("HV-68")
def test_a_node_is_measured_over_all_runs(folded, thread: Thread) -> None:
    first, second = towards(thread), towards(thread, "order")
    choose(first, node_id="act", decision_type="delegation").outcome(success=True, latency_ms=100, tokens_used=7)
    choose(second, node_id="act").outcome(success=False, latency_ms=201)
    choose(second, node_id="act").outcome(success=False)
    choose(second, node_id="act")
    choose(second, node_id="plan").outcome(success=True, latency_ms=9, tokens_used=9)
    found = folded().node_performance("act")
    assert (found.total_decisions, found.success_rate, found.resolved_success_rate) == (4, 0.25, 1 / 3)
    assert (found.avg_latency_ms, found.total_tokens) == (150.5, 7)
    assert found.decision_types == {"custom": 3, "delegation": 1}


@pytest.mark.row("HV-68")
def test_what_no_outcome_says_of_a_node_is_null(folded, run: Run) -> None:
    choose(run, node_id="act").outcome(success=True)
    found = folded().node_performance("act")
    assert (found.avg_latency_ms, found.total_tokens) == (None, None)
    nobody = folded().node_performance("nowhere")
    assert (nobody.total_decisions, nobody.success_rate, nobody.avg_latency_ms) == (0, 0.0, None)


def as_told(found: Patterns) -> dict[str, object]:
    return {
        "run_count": found.run_count,
        "success_rate": found.success_rate,
        "decision_types": found.decision_types,
        "common_failures": [(each.error, each.count) for each in found.common_failures],
        "problematic_nodes": [(each.node_id, each.failure_rate) for each in found.problematic_nodes],
        "common_choices": {each.intent: (each.choice, each.count, each.alternatives) for each in found.common_choices},
    }


@pytest.mark.row("HV-65", "HV-68")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_patterns_are_what_counting_decision_by_decision_gives(folded, ledger: Ledger, seed: int) -> None:
    tell(ledger, seed)
    reading, runs = folded(), told(ledger.subscribe(follow=False))
    for goal_id in ("refund", "vague"):
        assert as_told(reading.patterns(goal_id)) == patterns_of(of_goal(runs, goal_id))
    decisions = decisions_of(runs.values())
    for node in ("plan", "act", "check"):
        here = [made for made in decisions if made.made.node_id == node]
        latencies = [made.outcome.latency_ms for made in here if made.outcome and made.outcome.latency_ms is not None]
        found = reading.node_performance(node)
        assert (found.total_decisions, found.successful_decisions) == (len(here), sum(made.was_successful for made in here))
        assert found.avg_latency_ms == pytest.approx(sum(latencies) / len(latencies))
        assert found.total_tokens == sum(made.outcome.tokens_used or 0 for made in here if made.outcome)
