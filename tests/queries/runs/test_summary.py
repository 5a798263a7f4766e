"""A run in a few sentences, by hive's rules."""

from typing import Any

import pytest

from runfold import Ledger, Run, RunNotFound, Thread
from runfold.domain.decision import DecisionEvaluated, DecisionMade, Outcome, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.problem import ProblemReported
from runfold.domain.run_events import RunCompleted
from runfold.errors import ReadModelBehind
from runfold.projections.run_summaries import RunSummaries
from runfold.queries.runs.summary import RunSummaryView
from tests.queries.listed import DAWN, MINUTE, Listed

OPTIONS = [{"id": "how-to", "description": "answer with a how-to"}, {"id": "bug", "description": "file a bug"}]


def decide(run: Run, intent: str, *, chosen: str = "how-to", node_id: str | None = None, **outcome: Any) -> Any:
    """A decision, with an outcome where one is given."""
    decision = run.decide(intent, options=OPTIONS, chosen=chosen, node_id=node_id)
    if outcome:
        decision.outcome(**outcome)
    return decision


def told(ledger: Ledger, run: Run) -> RunSummaryView:
    """Its summary as of now."""
    ledger.fold("run_summaries", "decision_log", "problems")
    return ledger.now.summary(run.id, min_position=ledger.position())


@pytest.mark.row("HV-40", "HV-04")
def test_a_summary_has_hives_fields_and_both_rates(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run(parent=None, goal={"id": "tickets"}, occurred_at=DAWN)
    run.traverse_edge("plan", "act")
    decide(run, "classify", node_id="plan", success=True, tokens_used=40, latency_ms=7)
    decide(run, "answer", node_id="act", success=False)
    decide(run, "close", node_id="act")
    run.report_problem("minor", "slow")
    run.complete(occurred_at=DAWN + MINUTE)
    found = told(ledger, run)
    facts = found.model_dump(include={"run_id", "goal_id", "status", "duration_ms", "decision_count", "problem_count"})
    assert facts == {
        "run_id": run.id,
        "goal_id": "tickets",
        "status": "completed",
        "duration_ms": 60_000,
        "decision_count": 3,
        "problem_count": 1,
    }
    assert (found.success_rate, found.resolved_success_rate) == (1 / 3, 1 / 2)
    assert found.metrics.model_dump() == {
        "total_decisions": 3,
        "successful_decisions": 1,
        "failed_decisions": 1,
        "success_rate": 1 / 3,
        "resolved_success_rate": 1 / 2,
        "total_tokens": 40,
        "total_latency_ms": 7,
        "nodes_executed": ("plan", "act"),
        "edges_traversed": ("plan->act",),
    }
    assert found.standing.position == ledger.position()


@pytest.mark.row("HV-41", "HV-11")
def test_the_first_five_that_went_badly_or_outstandingly_are_the_key_decisions(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    decide(run, "fine", success=True)
    decide(run, "good", success=True).evaluate(outcome_quality=0.8)
    decide(run, "outstanding", node_id="router", success=True).evaluate(outcome_quality=0.96)
    decide(run, "failed", chosen="bug", node_id="router", success=False)
    decide(run, "not known yet")
    decide(run, "failed too, and judged", node_id="router", success=False).evaluate(outcome_quality=0.25)
    corrected = decide(run, "went well\nin the end", success=False)
    decide(run, "one more", success=False)
    decide(run, "one too many", success=False)
    corrected.correct_outcome(success=True, summary="after all")
    assert told(ledger, run).key_decisions == (
        "✓ [router] outstanding → answer with a how-to [quality: 1.0]",
        "✗ [router] failed → file a bug",
        "? [unknown] not known yet → answer with a how-to",
        "✗ [router] failed too, and judged → answer with a how-to [quality: 0.2]",
        "✗ [unknown] one more → answer with a how-to",
    )
    corrected.evaluate(outcome_quality=0.9)
    assert told(ledger, run).key_decisions[-1] == "✓ [unknown] went well in the end → answer with a how-to [quality: 0.9]"


@pytest.mark.row("HV-42")
def test_all_critical_problems_and_warnings_are_told_and_minor_ones_only_counted(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    for number in range(7):
        run.report_problem("critical", f"fire {number}").resolve("water")
        run.report_problem("minor", f"dust {number}")
        run.report_problem("warning", f"smoke {number}")
    found = told(ledger, run)
    assert found.critical_problems == tuple(f"fire {number}" for number in range(7))
    assert found.warnings == tuple(f"smoke {number}" for number in range(7))
    assert found.problem_count == 21


@pytest.mark.row("HV-43")
def test_the_first_three_successes_that_say_something_are_told(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    decide(run, "0", success=True, summary="")
    decide(run, "1", success=False, summary="not a success")
    for number in range(2, 6):
        decide(run, str(number), success=True, summary=f"did {number}")
    assert told(ledger, run).successes == ("did 2", "did 3", "did 4")


@pytest.mark.row("HV-44")
def test_a_run_that_tells_nothing_itself_gets_hives_narrative(thread: Thread, ledger: Ledger) -> None:
    runs = {"completed successfully.": thread.start_run(parent=None), "failed: no way on.": thread.start_run(parent=None)}
    for run in runs.values():
        decide(run, "went well", success=True)
        for number in range(4):
            decide(run, f"failed {number}", **({"success": False} if number else {}))
        run.report_problem("critical", "no database")
        run.report_problem("critical", "no network")
        run.report_problem("warning", "slow")
        run.report_problem("minor", "dust")
    runs["completed successfully."].complete()
    runs["failed: no way on."].fail("no way on")
    for ended, run in runs.items():
        assert told(ledger, run).narrative == (
            f"Run {ended} Made 5 decisions: 1 succeeded, 3 failed, 1 without an outcome. "
            "Critical issues: no database, no network Warnings: slow Failed on: failed 1, failed 2, failed 3"
        )
    error = told(ledger, runs["failed: no way on."]).error
    assert error is not None
    assert error.message == "no way on"


@pytest.mark.row("HV-44")
def test_a_run_that_ends_with_a_narrative_keeps_it(thread: Thread, ledger: Ledger) -> None:
    own, empty = thread.start_run(parent=None), thread.start_run(parent=None)
    own.complete(narrative="All is well that ends well.")
    empty.complete(narrative="")
    assert told(ledger, own).narrative == "All is well that ends well."
    assert told(ledger, empty).narrative == "Run completed successfully. Made no decisions, tool calls or model calls."


@pytest.mark.row("HV-44", "HV-01")
def test_a_run_that_did_not_end_by_itself_is_not_said_to_have_failed(thread: Thread, ledger: Ledger) -> None:
    made = [thread.create_run(parent=None) for _ in range(7)]
    created, running, stuck, cancelled, asking, listening, linked = made
    for run in made[1:]:
        run.start()
    decide(asking, "refund?")
    decide(asking, "find the order", success=False)
    stuck.mark_stuck()
    cancelled.cancel()
    asking.request_approval("refund")
    listening.wait("input")
    linked.wait("external")
    openings = {
        created: "Run has not begun; last heard of ",
        running: "Run goes on; last heard of ",
        stuck: "Run is stuck and makes no progress; last heard of ",
        cancelled: "Run was cancelled.",
        asking: "Run waits for an approval.",
        listening: "Run waits for input.",
        linked: "Run waits for something outside.",
    }
    summaries = {run: told(ledger, run) for run in made}
    for run, opening in openings.items():
        assert summaries[run].narrative.startswith(opening)
        assert summaries[run].error is None
    assert summaries[asking].narrative.endswith(
        "Made 2 decisions: 0 succeeded, 1 failed, 1 without an outcome. Failed on: find the order"
    )
    assert [summaries[run].duration_ms for run in (created, running, stuck, asking)] == [None] * 4


def test_a_narrative_says_how_a_run_ended_and_what_came_of_its_calls(thread: Thread, ledger: Ledger) -> None:
    cut, given_up = thread.start_run(parent=None), thread.start_run(parent=None)
    for number in range(5):
        call = cut.call_tool("search")
        if number < 4:
            call.fail("no") if number == 0 else call.cancel() if number == 1 else call.succeed({})
        cut.usage(input_tokens=1)
    cut.call_tool("search").succeed({})
    cut.complete(stop_reason="max_steps")
    given_up.cancel("the customer left")
    assert told(ledger, cut).narrative == (
        "Run completed (max_steps). Made 6 tool calls: 3 succeeded, 1 failed, 1 cancelled, 1 open. Made 5 model calls."
    )
    assert told(ledger, given_up).narrative.startswith("Run was cancelled: the customer left. Made no decisions")


def test_an_open_runs_summary_goes_on_with_it(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    decision = decide(run, "classify")
    assert told(ledger, run).success_rate == 0
    decision.outcome(success=True, summary="classified")
    found = told(ledger, run)
    assert (found.success_rate, found.successes, found.key_decisions) == (1, ("classified",), ())


@pytest.mark.row("HV-40", "HV-41", "HV-42", "HV-43", "HV-44")
def test_the_summary_of_every_run_is_the_one_that_its_events_tell(listed: Listed) -> None:
    runs = listed.rows(RunSummaries())
    assert sum(row.decisions > 0 for row in runs) > 50
    for row in runs[-120:]:
        found = listed.ledger.now.summary(row.run_id)
        events = [recorded.event for recorded in listed.ledger.now.run_events(row.run_id)]
        assert found.model_dump(include={"key_decisions", "critical_problems", "warnings", "successes"}) == retold(events)
        own = next((event.narrative for event in events if isinstance(event, RunCompleted)), None)
        assert own in {None, found.narrative}


def retold(events: list[Event]) -> dict[str, tuple[str, ...]]:
    """The rules as hive states them, over a run's events."""
    made: dict[str, DecisionMade] = {}
    outcomes: dict[str, Outcome] = {}
    quality: dict[str, float] = {}
    problems: list[ProblemReported] = []
    for event in events:
        match event:
            case DecisionMade():
                made[event.decision_id] = event
            case OutcomeRecorded():
                outcomes[event.decision_id] = event.outcome
            case OutcomeCorrected():
                outcomes[event.decision_id] = event.replacement
            case DecisionEvaluated():
                quality[event.decision_id] = event.outcome_quality
            case ProblemReported():
                problems.append(event)
            case _:
                continue
    well = {name: name in outcomes and outcomes[name].success for name in made}
    key = [name for name in made if not well[name] or quality.get(name, 0) > 0.8]
    return {
        "key_decisions": tuple(line(made[name], well[name] if name in outcomes else None, quality.get(name)) for name in key[:5]),
        "critical_problems": tuple(problem.description for problem in problems if problem.severity == "critical"),
        "warnings": tuple(problem.description for problem in problems if problem.severity == "warning"),
        "successes": tuple(outcomes[name].summary for name in made if well[name] and outcomes[name].summary)[:3],
    }


def line(made: DecisionMade, well: bool | None, quality: float | None) -> str:
    """A decision in one line."""
    chosen = {option.id: option.description for option in made.options}[made.chosen_option_id] or "unknown action"
    judged = f" [quality: {quality:.1f}]" if quality is not None else ""
    text = f"{ {True: '✓', False: '✗', None: '?'}[well] } [{made.node_id or 'unknown'}] {made.intent} → {chosen}{judged}"
    return " ".join(text.split())


def test_what_is_no_run_has_no_summary(thread: Thread, ledger: Ledger) -> None:
    ledger.fold()
    for nobody in ("run_nobody", thread.id, ""):
        with pytest.raises(RunNotFound):
            ledger.now.summary(nobody)


def test_a_run_that_the_read_model_has_not_seen_is_behind_and_not_missing(thread: Thread, ledger: Ledger) -> None:
    ledger.fold()
    run = thread.start_run()
    assert run.receipt is not None
    with pytest.raises(ReadModelBehind, match="the read model run_summaries is at position 1, not yet at 2"):
        ledger.now.summary(run.id)
    with pytest.raises(ReadModelBehind, match="not yet at 3"):
        ledger.now.summary(run.id, min_position=run.receipt.position, wait_seconds=0.01)


def test_a_summary_is_as_of_the_read_model_that_is_least_far(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    ledger.fold()
    run.report_problem("critical", "fire")
    ledger.fold("problems")
    found = ledger.now.summary(run.id)
    assert found.standing.position == ledger.position() - 1
    assert found.critical_problems == ("fire",)


def test_words_are_those_of_the_runs_own_tenant(ledger: Ledger, thread: Thread) -> None:
    run = thread.start_run()
    ledger.fold()
    other = ledger.settings.model_copy(update={"tenant": "other"})
    with Ledger.open(settings=other) as elsewhere, pytest.raises(RunNotFound):
        elsewhere.now.summary(run.id)
