"""Why runs failed, what they decided, and how two of them differ."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import Ledger, Run, RunNotFound, Thread
from runfold.errors import ReadModelBehind, UsageError
from runfold.queries.reading import Reading
from runfold.queries.runs.failure import NOTHING_BEFORE
from tests.queries.decided import GOAL, choose, tell, told

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def failed(thread: Thread, number: int, **request: object) -> Run:
    run = thread.start_run(parent=None, run_id=f"run_{number}", **request)  # type: ignore[arg-type]
    run.fail(f"broke {number}", code="broken", occurred_at=NOON + timedelta(minutes=number))
    return run


@pytest.mark.row("HV-61")
def test_failures_are_listed_newest_first_ten_to_a_page(folded, thread: Thread) -> None:
    for number in (3, 1, 2, *range(4, 13)):
        failed(thread, number)
    thread.start_run(parent=None).complete()
    thread.start_run(parent=None).cancel()
    first = folded().failures()
    assert [summary.run_id for summary in first.items] == [f"run_{number}" for number in range(12, 2, -1)]
    second = folded().failures(cursor=first.next_cursor)
    assert [summary.run_id for summary in second.items] == ["run_2", "run_1"]
    assert (second.next_cursor, second.standing.behind_events) == (None, 0)


@pytest.mark.row("HV-61")
def test_a_failure_is_listed_with_its_summary(folded, thread: Thread) -> None:
    run = thread.start_run(parent=None, goal={"id": "refund"})
    choose(run, "find the order", node_id="plan").outcome(success=False, error="timeout")
    run.report_problem("critical", "the shop is down")
    run.fail("gave up", code="down")
    (summary,) = folded().failures(limit=5).items
    assert (summary.run_id, summary.status, summary.goal_id, summary.decision_count) == (run.id, "failed", "refund", 1)
    assert summary.error
    assert (summary.error.code, summary.error.message) == ("down", "gave up")
    assert summary.critical_problems == ("the shop is down",)
    assert summary.key_decisions == ("✗ [plan] find the order → use search",)


def test_failures_of_a_goal_leave_out_the_others(folded, thread: Thread) -> None:
    failed(thread, 1, goal={"id": "refund"})
    failed(thread, 2, goal={"id": "order"})
    assert [summary.run_id for summary in folded().failures(goal_id="refund").items] == ["run_1"]
    assert [summary.run_id for summary in folded().failures(goal_id=["refund", "order"]).items] == ["run_2", "run_1"]
    with pytest.raises(UsageError, match="unknown parameter 'status'"):
        folded().failures(status="completed")


@pytest.mark.row("HV-62")
def test_the_trace_of_a_run_has_a_line_for_each_decision(folded, run: Run) -> None:
    run.enter_node("plan")
    choose(run, "find the order").outcome(success=True)
    second = choose(run, "pay it back", chosen="ask", node_id="act")
    choose(run, "say so", node_id="act").outcome(success=False)
    second.outcome(success=True)
    second.evaluate(outcome_quality=0.85)
    page = folded().trace(run.id)
    assert [line.line for line in page.items] == [
        "✓ [plan] find the order → use search",
        "✓ [act] pay it back → use ask [quality: 0.8]",
        "✗ [act] say so → use search",
    ]
    assert [(line.ordinal, line.was_successful, line.node_id) for line in page.items] == [
        (1, True, "plan"),
        (2, True, "act"),
        (3, False, "act"),
    ]
    assert page.items[1].decision_id == second.id
    assert page.next_cursor is None


@pytest.mark.row("LT-62")
def test_no_trace_is_cut_short_however_long_it_is(folded, ledger: Ledger, run: Run) -> None:
    with ledger.batch() as batch:
        for number in range(2345):
            choose(batch.run(run.id), f"step {number}")
    lines = folded().trace(run.id).items
    assert [line.ordinal for line in lines] == list(range(1, 2346))
    assert lines[2344].line == "? [unknown] step 2344 → use search"


def test_a_run_that_decided_nothing_has_an_empty_trace(folded, run: Run) -> None:
    assert folded().trace(run.id).items == ()
    with pytest.raises(RunNotFound):
        folded().trace("run_none")


@pytest.fixture
def broken(run: Run) -> Run:
    choose(run, "find the order", context={"order": 7}).outcome(success=True)
    choose(run, "pay it back", constraints=("budget", "no cash")).outcome(success=False, error="card refused")
    choose(run, "say so", among=["mail"], chosen="mail", context={"to": "mira"}).outcome(success=True)
    choose(run, "hand over", chosen="ask", context={"to": "ada"})
    run.report_problem("warning", "the card expired", suggested_fix="ask for another card")
    run.report_problem("minor", "a typo")
    run.fail("no refund", code="refund_failed", error_type="CardError")
    return run


@pytest.mark.row("HV-63")
def test_a_failure_is_traced_to_the_first_decision_that_did_not_come_out_well(folded, broken: Run) -> None:
    found = folded().analyze_failure(broken.id)
    assert found.failure_point == "✗ [unknown] pay it back → use search"
    assert found.root_cause == "card refused"
    assert found.decision_chain == ("✓ [unknown] find the order → use search", found.failure_point)
    assert found.problems == ("[warning] the card expired", "[minor] a typo")
    assert (found.error.code, found.error.message, found.error.type) == ("refund_failed", "no refund", "CardError")


@pytest.mark.row("HV-64")
def test_it_is_suggested_what_to_try_instead_of_each_decision_that_failed(folded, broken: Run) -> None:
    assert folded().analyze_failure(broken.id).suggestions == (
        "Try 'use ask' instead of 'use search'",
        "Give 'pay it back' the context that it was decided without",
        "Look whether these constraints are too restrictive: budget, no cash",
        "Try 'use search' instead of 'use ask'",
        "ask for another card",
    )


@pytest.mark.row("HV-63")
def test_where_nothing_failed_before_the_end_the_run_alone_says_why(folded, run: Run) -> None:
    choose(run, "find the order", context={"order": 7}).outcome(success=True)
    run.call_tool("search").succeed({})
    run.fail("killed")
    found = folded().analyze_failure(run.id)
    assert (found.failure_point, found.root_cause, found.failed_parts) == (NOTHING_BEFORE, "killed", ())
    assert found.decision_chain == ("✓ [unknown] find the order → use search",)
    assert (found.problems, found.suggestions) == ((), ())


def test_a_decision_without_an_outcome_is_where_it_failed(folded, run: Run) -> None:
    choose(run, "find the order", context={"order": 7}, among=["search"])
    run.fail("killed")
    found = folded().analyze_failure(run.id)
    assert found.failure_point == "? [unknown] find the order → use search"
    assert found.root_cause == "killed; nobody said what came of that decision"


def test_an_outcome_without_an_error_leaves_the_cause_unknown_and_a_correction_counts(folded, run: Run) -> None:
    decision = choose(run, context={"a": 1}, among=["search"])
    decision.outcome(success=False)
    run.fail("killed")
    assert folded().analyze_failure(run.id).root_cause == "killed; the decision's outcome names no error"
    decision.correct_outcome(success=False, error="the index was empty")
    assert folded().analyze_failure(run.id).root_cause == "the index was empty"
    decision.correct_outcome(success=True)
    assert folded().analyze_failure(run.id).failure_point == NOTHING_BEFORE


def test_a_failure_is_where_the_part_failed_of_whose_error_the_run_speaks(folded, run: Run) -> None:
    run.call_tool("search", {"q": 1}).fail("index is empty", code="empty")
    choose(run, "pay it back", context={"a": 1}, among=["search"]).outcome(success=False, error="card refused")
    run.call_tool("refund", {"order": 7}).fail("No such order 7", code="not_found")
    run.start_step("tidy up").finish(error="disk full")
    run.call_tool("wait")
    run.fail("tool error: No such order 7", code="tool_failed")
    found = folded().analyze_failure(run.id)
    assert (found.failure_point, found.root_cause) == (
        '✗ tool call refund {"order":7}: No such order 7',
        "No such order 7",
    )
    assert [(part.kind, part.name, part.message, part.closed_with_run) for part in found.failed_parts] == [
        ("tool_call", "search", "index is empty", False),
        ("tool_call", "refund", "No such order 7", False),
        ("step", "tidy up", "disk full", False),
        ("tool_call", "wait", "tool error: No such order 7", True),
    ]


def test_where_the_run_speaks_of_none_a_failed_decision_comes_first_and_then_what_failed_last(folded, thread: Thread) -> None:
    for decides, point in ((True, "✗ [unknown] pay it back → use search"), (False, "✗ model call small: overloaded")):
        run = thread.start_run(parent=None)
        if decides:
            choose(run, "pay it back", context={"a": 1}, among=["search"]).outcome(success=False, error="card refused")
        run.call_tool("search").fail("index is empty")
        run.start_model_call(request_model="small").finish(error="overloaded")
        run.fail("killed")
        assert folded().analyze_failure(run.id).failure_point == point


def test_only_a_failed_run_has_a_failure_to_explain(folded, run: Run) -> None:
    run.complete()
    with pytest.raises(UsageError, match=f"{run.id} is completed, and only a failed run"):
        folded().analyze_failure(run.id)
    with pytest.raises(RunNotFound):
        folded().analyze_failure("run_none")


def test_a_run_that_the_read_models_have_not_seen_is_said_to_be_so(folded, ledger: Ledger, thread: Thread) -> None:
    reading = folded()
    with pytest.raises(ReadModelBehind, match="run_summaries"):
        reading.analyze_failure(failed(thread, 1).id)


@pytest.mark.row("HV-66")
def test_two_runs_are_compared_and_part_at_the_first_other_choice(folded, thread: Thread) -> None:
    a, b = thread.start_run(parent=None), thread.start_run(parent=None)
    for run, third in ((a, "search"), (b, "ask")):
        choose(run, node_id="plan").outcome(success=True)
        choose(run, node_id="act").outcome(success=run is a)
        choose(run, chosen=third, node_id="check" if run is a else "act")
    choose(b, chosen="ask", node_id="ship")
    a.complete()
    b.fail("no")
    found = folded().diff(a.id, b.id)
    assert (found.a.status, found.a.decisions, found.a.success_rate) == ("completed", 3, 2 / 3)
    assert (found.b.status, found.b.decisions, found.b.success_rate) == ("failed", 4, 1 / 4)
    assert (found.status_differs, found.decisions_differ) == (True, True)
    parted = found.own_divergence
    assert parted
    assert (parted.ordinal, parted.a.option_id, parted.b.option_id) == (3, "search", "ask")
    assert (parted.a.description, parted.b.line) == ("use search", "? [act] pick a tool → use ask")
    assert (found.nodes_only_in_a, found.nodes_only_in_b) == (("check",), ("ship",))


@pytest.mark.row("HV-66")
def test_runs_that_choose_alike_do_not_part_even_if_one_goes_further(folded, thread: Thread) -> None:
    a, b = thread.start_run(parent=None), thread.start_run(parent=None)
    choose(a)
    for _ in range(2):
        choose(b)
    found = folded().diff(a.id, b.id)
    assert (found.own_divergence, found.decisions_differ, found.status_differs) == (None, True, False)
    assert (found.nodes_only_in_a, found.nodes_only_in_b) == ((), ())
    with pytest.raises(RunNotFound):
        folded().diff(a.id, "run_none")


def test_choices_that_have_only_their_option_id_in_common_are_not_the_same(folded, thread: Thread) -> None:
    a, b = thread.start_run(parent=None), thread.start_run(parent=None)
    a.decide("go on", options=[{"id": "action", "description": "search"}], chosen="action")
    b.decide("go on", options=[{"id": "action", "description": "give up"}], chosen="action")
    divergence = folded().diff(a.id, b.id).own_divergence
    assert (divergence.ordinal, divergence.a.description, divergence.b.description) == (1, "search", "give up")


def answers(reading: Reading, run_id: str, thread_id: str) -> list[object]:
    """What is answered to every question, without the position that it is true as of."""
    said = [
        reading.failures(),
        reading.failures(thread_id=thread_id),
        reading.analyze_failure(run_id),
        reading.trace(run_id),
        reading.diff(run_id, run_id),
        reading.patterns("refund"),
        reading.node_performance("plan"),
        reading.goals(),
        reading.goal_progress("refund"),
        reading.attention(),
        reading.attention(thread_id=thread_id),
        reading.decisions(run_id=run_id),
        reading.decisions(),
    ]
    return [_without_standing(answer.model_dump(mode="json")) for answer in said]


def _without_standing(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _without_standing(value) for name, value in answer.items() if name != "standing"}
    return [_without_standing(each) for each in answer] if isinstance(answer, list) else answer


def test_every_question_about_the_past_is_answered_as_it_was_then(folded, ledger: Ledger, thread: Thread) -> None:
    run = thread.start_run(parent=None, goal=GOAL)
    decision = choose(run, "work out the amount", node_id="plan", constraints=["right"])
    decision.outcome(success=False, error="timeout")
    run.violate_constraint("budget", "hard", "too much")
    run.fail("gave up")
    before, then = answers(folded(), run.id, thread.id), ledger.position()
    decision.correct_outcome(success=True)
    thread.start_run(parent=None).fail("so did this")
    other = ledger.create_thread(agent_id="other").start_run(goal={"id": "refund", "description": "something else"})
    choose(other, node_id="plan").outcome(success=True)
    other.fail("it too")
    after = answers(folded(), run.id, thread.id)
    assert [one == two for one, two in zip(before, after, strict=True)] == [False] * len(before)
    assert answers(ledger.at(then), run.id, thread.id) == before


def test_lines_and_failures_of_all_runs_are_what_the_events_say(folded, ledger: Ledger) -> None:
    tell(ledger, seed=4)
    reading = folded()
    runs = told(ledger.subscribe(follow=False))
    assert len([run for run in runs.values() if run.status == "failed" and run.decisions]) > 3
    for run in runs.values():
        assert [line.line for line in reading.trace(run.id).items] == [made.line for made in run.made]
        if run.status == "failed":
            chain = [made.line for made in run.made]
            failed = [index for index, made in enumerate(run.made) if made.outcome and not made.was_successful]
            point = next(iter([*failed, *(index for index, made in enumerate(run.made) if made.outcome is None)]), None)
            found = reading.analyze_failure(run.id)
            assert found.decision_chain == tuple(chain if point is None else chain[: point + 1])
            assert found.problems == tuple(f"[{problem.severity}] {problem.description}" for problem in run.problems)
            hints = sum(
                (len(made.made.options) > 1) + (not made.made.input_context) + bool(made.made.active_constraints)
                for made in run.made
                if not made.was_successful
            )
            assert len(found.suggestions) == hints + sum(problem.suggested_fix is not None for problem in run.problems)
