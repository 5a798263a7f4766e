"""Runs at a glance: given what happened to a run, then this row."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from runfold import Ledger, Run, Thread
from runfold.domain.context import Context
from runfold.domain.problem import ProblemResolved
from runfold.history.views import RunView
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs import counts
from runfold.projections.runs.counts import MOST_HALF_TOLD
from runfold.projections.runs.summary import RunSummary
from tests.projections.folded import rows_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "the-words-themselves"
AT_A_GLANCE = (
    "thread_id",
    "version",
    "status",
    "stop_reason",
    "agent_id",
    "workflow_id",
    "attempt",
    "worker",
    "background",
    "waiting_for",
    "tool_calls",
    "open_tool_calls",
    "decisions",
    "problems",
    "created_at",
    "last_event_at",
)
"""What the ledger's own fold of a run says under the same name."""

Summary = Callable[[Run], RunSummary]


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support", user_id="u_1")


@pytest.fixture
def run(thread: Thread) -> Run:
    return thread.start_run()


@pytest.fixture
def summary(ledger: Ledger) -> Summary:
    """A run's row, after it was held against the ledger's own fold of the run."""

    def of(run: Run) -> RunSummary:
        row = rows_of(RunSummaries(), ledger)[run.id,]
        require_agreement(row, run.view())
        return row

    return of


def require_agreement(row: RunSummary, view: RunView) -> None:
    """All that the log's own fold says of the run."""
    assert {name: getattr(row, name) for name in AT_A_GLANCE} == {name: getattr(view, name) for name in AT_A_GLANCE}
    parent = view.parent
    assert (row.parent_run_id, row.parent_kind) == ((parent.run_id, parent.kind) if parent else (None, None))
    assert row.goal_id == (view.goal.id if view.goal else None)
    assert row.error_code == (view.error.code if view.error else None)
    assert row.last_position == view.position


# Its life


def test_what_a_run_was_asked_with_is_in_its_row(thread: Thread, summary: Summary) -> None:
    first = thread.start_run()
    run = thread.create_run(
        {"question": SECRET},
        agent_id="triage",
        key="order-7",
        goal={"id": "refund"},
        background=True,
        callback_url="https://example.test/done",
        kind="branches",
        occurred_at=NOON,
    )
    row = summary(run)
    assert (row.thread_id, row.user_id, row.agent_id, row.goal_id) == (thread.id, "u_1", "triage", "refund")
    assert (row.request_key, row.background, row.has_callback) == ("order-7", True, True)
    assert (row.parent_run_id, row.parent_kind) == (first.id, "branches")
    assert (row.status, row.created_at, row.started_at, row.duration_ns, row.version) == ("created", NOON, None, None, 1)
    assert (row.created_position, row.last_position, row.ended_position) == (row.created_position, row.created_position, None)


def test_a_run_that_waits_says_for_what_and_goes_on_when_the_last_approval_is_decided(run: Run, summary: Summary) -> None:
    first, second = run.request_approval("refund"), run.request_approval("mail")
    row = summary(run)
    assert (row.status, row.waiting_reason, row.stop_reason) == ("waiting", "approval", "requires_approval")
    assert (row.waiting_for, row.approvals_requested) == ((first.id, second.id), 2)
    first.grant(actor="human:ada")
    assert (summary(run).status, summary(run).waiting_for) == ("waiting", (second.id,))
    second.deny("no", actor="human:ada")
    row = summary(run)
    assert (row.status, row.waiting_reason, row.waiting_for, row.stop_reason) == ("running", None, (), None)
    assert row.approvals_requested == 2


def test_an_approvals_own_events_do_not_count_as_events_of_the_run(run: Run, summary: Summary) -> None:
    approval = run.request_approval("refund", quorum=2)
    before = summary(run)
    approval.grant(actor="human:ada")
    assert summary(run) == before


def test_a_run_cancelled_while_it_waits_waits_no_more(run: Run, summary: Summary) -> None:
    run.wait("input")
    assert (summary(run).waiting_reason, summary(run).stop_reason) == ("input", None)
    run.resume()
    run.request_approval("refund")
    run.request_cancellation("enough")
    assert summary(run).cancellation_requested
    run.cancel("enough", stop_reason="client_disconnected")
    row = summary(run)
    assert (row.status, row.stop_reason, row.waiting_reason, row.waiting_for) == ("cancelled", "client_disconnected", None, ())
    assert (row.ended_position, row.error_code) == (row.last_position, None)


def test_any_progress_ends_being_stuck_and_what_is_only_said_about_the_run_does_not(run: Run, summary: Summary) -> None:
    decision = run.decide("choose", options=[{"id": "a", "description": "the one"}], chosen="a")
    run.mark_stuck("idle")
    run.report_problem("minor", "slow")
    run.request_cancellation()
    run.link("workflow-1")
    run.merge_metadata({"seen": True})
    decision.evaluate(outcome_quality=0.5)
    assert summary(run).status == "stuck"
    run.add_message("assistant", "I go on.")
    assert summary(run).status == "running"
    run.mark_stuck("manual")
    run.wait("external")
    assert summary(run).status == "waiting"


def test_a_lease_is_held_renewed_taken_over_and_given_back(run: Run, summary: Summary) -> None:
    execution = run.claim("worker-1", lease="5m")
    first = summary(run)
    assert (first.worker, first.execution_id) == ("worker-1", execution)
    run.claim("worker-1", execution_id=execution, lease="10m")
    renewed = summary(run)
    assert renewed.lease_expires_at is not None
    assert first.lease_expires_at is not None
    assert renewed.lease_expires_at > first.lease_expires_at
    run.release(execution)
    assert (summary(run).worker, summary(run).execution_id, summary(run).lease_expires_at) == (None, None, None)
    run.claim("worker-2")
    run.wait("external")
    assert summary(run).worker is None
    run.resume()
    run.claim("worker-3", lease=timedelta(microseconds=1))
    run.claim("worker-4", take_over=True)
    assert (summary(run).worker, summary(run).status) == ("worker-4", "running")
    run.fail("gone", code="lost", stop_reason="lease_expired")
    assert (summary(run).worker, summary(run).error_code, summary(run).stop_reason) == (None, "lost", "lease_expired")


def test_a_further_attempt_counts_and_the_first_beginning_stays(thread: Thread, summary: Summary) -> None:
    run = thread.create_run()
    run.start(occurred_at=NOON)
    run.start(attempt=2, occurred_at=NOON + timedelta(hours=1))
    assert (summary(run).attempt, summary(run).started_at) == (2, NOON)


def test_a_run_takes_as_long_as_it_says_or_else_from_its_beginning_to_its_end(thread: Thread, summary: Summary) -> None:
    measured, silent, never_begun, backwards = (thread.create_run(parent=None, occurred_at=NOON) for _ in range(4))
    for run in (measured, silent, backwards):
        run.start(occurred_at=NOON + timedelta(seconds=1))
    measured.record_timing(ttft_ns=5, total_duration_ns=7)
    assert (summary(measured).duration_ns, summary(measured).reported_duration_ns, summary(measured).ttft_ns) == (None, 7, 5)
    for run in (measured, silent):
        run.complete(occurred_at=NOON + timedelta(seconds=3, microseconds=1))
    never_begun.cancel(occurred_at=NOON + timedelta(seconds=2))
    backwards.complete(occurred_at=NOON)
    took = [summary(run).duration_ns for run in (measured, silent, never_begun, backwards)]
    assert took == [7, 2_000_001_000, 2_000_000_000, None]


def test_the_last_report_of_its_times_counts_whole(run: Run, summary: Summary) -> None:
    run.record_timing(ttft_ns=5, total_duration_ns=7)
    run.record_timing(ttft_ns=6)
    assert (summary(run).ttft_ns, summary(run).reported_duration_ns) == (6, None)


# What it said and did


def test_messages_are_counted_where_they_were_added(run: Run, summary: Summary) -> None:
    prompt = run.add_message("user", "Where is it?")
    run.add_message("user", "Well?")
    run.add_message("assistant", "I look.")
    answer = run.add_message("assistant", "", streaming=True)
    run.message(answer.id).append_text("Here.")
    run.message(answer.id).seal()
    child = run.branch()
    child.start()
    child.message(prompt.id).revise("Where is my order?")
    row = summary(run)
    assert (row.messages, row.revisions, row.prompt_message_id, row.result_message_id) == (4, 0, prompt.id, answer.id)
    own = summary(child)
    assert (own.messages, own.revisions, own.prompt_message_id) == (0, 1, None)


def test_tool_calls_are_open_until_they_end_each_in_its_way(run: Run, summary: Summary) -> None:
    one, two, three, _ = [run.call_tool(name) for name in ("search", "mail", "search", "wait")]
    one.start()
    assert (summary(run).tool_calls, summary(run).open_tool_calls) == (4, 4)
    one.succeed("found")
    two.fail("no address")
    three.cancel()
    row = summary(run)
    assert (row.tool_calls, row.open_tool_calls, row.failed_tool_calls, row.cancelled_tool_calls) == (4, 1, 1, 1)
    assert row.tools_used == ("search", "mail", "wait")
    run.complete()
    assert (summary(run).open_tool_calls, summary(run).failed_tool_calls) == (1, 1)


@pytest.mark.parametrize(("end", "failed", "cancelled"), [("fail", 2, 0), ("cancel", 1, 1)])
def test_a_run_that_ends_badly_closes_its_open_tool_calls(
    run: Run, summary: Summary, end: str, failed: int, cancelled: int
) -> None:
    run.call_tool("search").fail("no")
    run.call_tool("search")
    getattr(run, end)("enough")
    row = summary(run)
    assert (row.tool_calls, row.open_tool_calls, row.open_call_ids) == (2, 0, ())
    assert (row.failed_tool_calls, row.cancelled_tool_calls) == (failed, cancelled)


def test_an_ancestors_call_that_a_run_answers_counts_there_and_closes_nothing_of_its_own(run: Run, summary: Summary) -> None:
    asked = run.call_tool("approve_in_browser")
    run.complete()
    child = run.branch(kind="continues")
    child.start()
    child.call_tool("search")
    child.tool_call(asked.id).succeed("yes")
    row = summary(child)
    assert (row.tool_calls, row.open_tool_calls, row.tools_used) == (2, 1, ("search",))
    assert summary(run).open_tool_calls == 1


def test_a_model_call_counts_once_whether_its_beginning_or_its_usage_or_both_are_told(run: Run, summary: Summary) -> None:
    run.usage(input_tokens=1)
    run.usage(input_tokens=1, model_call_id="mcall_1")
    assert summary(run).model_calls == 2
    begun = run.start_model_call()
    run.usage(output_tokens=1, model_call_id=begun.id)
    run.start_model_call().finish(error="no")
    run.start_model_call(model_call_id="mcall_1")
    assert (summary(run).model_calls, len(summary(run).half_told_model_calls)) == (4, 1)
    calls = [run.start_model_call() for _ in range(MOST_HALF_TOLD + 10)]
    assert len(summary(run).half_told_model_calls) == MOST_HALF_TOLD
    for call in calls[-MOST_HALF_TOLD:]:
        run.usage(output_tokens=1, model_call_id=call.id)
    assert (summary(run).model_calls, summary(run).half_told_model_calls) == (MOST_HALF_TOLD + 14, ())


@pytest.mark.row("HV-04")
def test_nodes_and_edges_are_named_once_in_the_order_in_which_they_were_seen(run: Run, summary: Summary) -> None:
    run.enter_node("intake")
    run.decide("choose", options=[{"id": "a", "description": "it"}], chosen="a", node_id="triage")
    run.traverse_edge("triage", "answer")
    run.traverse_edge("answer", "triage")
    run.traverse_edge("triage", "answer")
    run.start_step("think", node_id="plan")
    run.start_step("rest")
    run.start_model_call()
    row = summary(run)
    assert row.nodes_executed == ("intake", "triage", "answer", "plan")
    assert row.edges_traversed == ("triage->answer", "answer->triage")
    assert (row.steps, row.model_calls) == (2, 1)


# What came of it


def decided(run: Run, **outcome: Any) -> Any:
    """A decision, with an outcome if one is given."""
    decision = run.decide("choose", options=[{"id": "a", "description": "the one"}], chosen="a")
    if outcome:
        decision.outcome(**outcome)
    return decision


@pytest.mark.row("HV-04")
def test_success_is_counted_among_all_decisions_and_among_those_with_an_outcome(run: Run, summary: Summary) -> None:
    assert (summary(run).success_rate, summary(run).resolved_success_rate) == (0.0, 0.0)
    decided(run, success=True, tokens_used=10, latency_ms=5)
    decided(run, success=True, tokens_used=20)
    decided(run, success=False, latency_ms=0)
    decided(run)
    row = summary(run)
    assert (row.decisions, row.outcomes, row.successful_decisions, row.failed_decisions) == (4, 3, 2, 1)
    assert (row.success_rate, row.resolved_success_rate) == (0.5, 2 / 3)
    assert (row.decision_tokens, row.decision_latency_ms) == (30, 5)


@pytest.mark.row("HV-13")
def test_a_corrected_outcome_replaces_the_first_and_is_never_counted_beside_it(run: Run, summary: Summary) -> None:
    decision = decided(run, success=False, tokens_used=10, latency_ms=5)
    run.complete()
    for success, tokens, expected in ((True, 30, (1, 0, 30)), (False, 4, (0, 1, 4)), (True, None, (1, 0, None))):
        decision.correct_outcome(success=success, tokens_used=tokens, latency_ms=5)
        row = summary(run)
        assert (row.successful_decisions, row.failed_decisions, row.decision_tokens) == expected
        assert (row.outcomes, row.decisions, row.decision_latency_ms) == (1, 1, 5)


def test_tokens_that_nobody_reported_are_null_and_never_zero(run: Run, summary: Summary) -> None:
    row = summary(run)
    assert (row.input_tokens, row.output_tokens, row.total_tokens, row.decision_tokens) == (None, None, None, None)
    first = run.usage(input_tokens=100, output_tokens=0)
    run.usage(input_tokens=50, total_tokens=70)
    row = summary(run)
    assert (row.input_tokens, row.output_tokens, row.total_tokens) == (150, 0, 70)
    assert (row.input_tokens_reports, row.output_tokens_reports, row.total_tokens_reports) == (2, 1, 1)
    run.complete()
    first.correct(reason="counted twice", input_tokens=40)
    row = summary(run)
    assert (row.input_tokens, row.output_tokens, row.total_tokens) == (90, None, 70)


def test_problems_are_counted_and_those_not_resolved_by_severity(run: Run, summary: Summary) -> None:
    grave, lesser = run.report_problem("critical", "down"), run.report_problem("critical", "up again, and down")
    run.report_problem("warning", "slow")
    run.violate_constraint("budget", "hard", "too dear")
    run.complete()
    run.report_problem("minor", "ugly")
    grave.resolve("up")
    row = summary(run)
    assert (row.problems, row.open_critical, row.open_warnings, row.open_minor, row.violations) == (4, 1, 1, 1, 1)
    assert row.open_problems[lesser.id] == "critical"
    lesser.resolve("up")
    assert (summary(run).open_critical, summary(run).problems) == (0, 4)


def test_a_row_holds_so_many_names_and_ids_and_counts_all(run: Run, summary: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MOST_NAMES", 2)
    monkeypatch.setattr(counts, "MOST_OPEN", 2)
    calls = [run.call_tool(f"tool_{number}") for number in range(4)]
    for number in range(4):
        run.enter_node(f"node_{number}")
        run.traverse_edge(f"node_{number}", "end")
    problems = [run.report_problem(severity, "bad") for severity in ("critical", "warning", "minor", "minor")]
    calls[0].start()
    row = summary(run)
    assert (row.tools_used, row.nodes_executed) == (("tool_0", "tool_1"), ("node_0", "end"))
    assert row.edges_traversed == ("node_0->end", "node_1->end")
    assert (row.tool_calls, row.open_tool_calls, row.open_call_ids) == (4, 4, (calls[2].id, calls[3].id))
    assert ({*row.open_problems}, row.open_critical, row.open_warnings, row.open_minor) == (
        {each.id for each in problems[2:]},
        1,
        1,
        2,
    )
    for left, call in enumerate((calls[0], calls[3], calls[1], calls[2])):
        call.succeed("found")
        assert (summary(run).tool_calls, summary(run).open_tool_calls) == (4, 3 - left)
    for problem in (problems[1], problems[3], problems[0]):
        problem.resolve("good")
    row = summary(run)
    assert (row.problems, row.open_critical, row.open_warnings, row.open_minor) == (4, 0, 0, 1)


@pytest.mark.parametrize(("open_critical", "open_warnings", "open_minor"), [(1, 1, 1), (0, 1, 1), (0, 0, 1)])
def test_a_problem_that_a_row_does_not_know_and_an_old_event_says_nothing_of_was_the_worst(
    open_critical: int, open_warnings: int, open_minor: int
) -> None:
    row = RunSummary(run_id="r", open_critical=open_critical, open_warnings=open_warnings, open_minor=open_minor)
    recorded: Any = SimpleNamespace(context=Context())
    (column,) = {*counts.COUNT[ProblemResolved](row, recorded, ProblemResolved(problem_id="p", resolution="x"))} - {
        "open_problems"
    }
    assert column == ("open_critical" if open_critical else "open_warnings" if open_warnings else "open_minor")


# Where the words are


def test_positions_lead_to_the_output_and_the_narrative(ledger: Ledger, run: Run, thread: Thread, summary: Summary) -> None:
    run.record_output({"draft": 1})
    drafted = summary(run).output_position
    run.complete(narrative="It went well.")
    row = summary(run)
    assert (row.output_position, row.narrative_position) == (drafted, row.ended_position)
    other = thread.start_run(parent=None)
    other.record_output({"draft": 1})
    other.complete({"final": 2})
    assert summary(other).output_position == summary(other).ended_position
    assert summary(other).narrative_position is None
    (recorded,) = ledger.events(after=(drafted or 0) - 1, limit=1)
    assert recorded.event.model_dump()["output"] == run.view().output == {"draft": 1}


def test_what_is_said_after_the_end_moves_the_last_event_and_not_the_status(run: Run, summary: Summary) -> None:
    run.complete(occurred_at=NOON)
    ended = summary(run)
    run.link("workflow-1", occurred_at=NOON + timedelta(hours=1))
    row = summary(run)
    assert (row.status, row.finished_at, row.ended_position) == ("completed", ended.finished_at, ended.ended_position)
    assert (row.version, row.last_event_at) == (ended.version + 1, NOON + timedelta(hours=1))
    assert row.last_position > ended.last_position


def test_no_words_are_in_a_row(thread: Thread, summary: Summary) -> None:
    run = thread.start_run({"input": SECRET}, goal={"id": "g", "description": SECRET}, metadata={"note": SECRET})
    message = run.add_message("user", SECRET)
    message.revise(SECRET + "!")
    run.call_tool("search", {"query": SECRET}).succeed(SECRET)
    run.call_tool("search").fail(SECRET)
    options = [{"id": "a", "description": SECRET}]
    decision = run.decide(SECRET, options=options, chosen="a", reasoning=SECRET)
    decision.outcome(success=False, error=SECRET, summary=SECRET)
    run.report_problem("minor", SECRET)
    run.violate_constraint("c", "soft", SECRET)
    run.request_approval("refund", arguments=SECRET, message=SECRET).deny(SECRET, actor="human:ada")
    run.record_output(SECRET)
    run.fail(SECRET, code="lost")
    assert SECRET not in repr(summary(run))


# All together


def test_the_rows_of_real_runs_say_what_the_ledgers_own_fold_says(real: Ledger, counts: dict[str, Any]) -> None:
    rows = {run_id: row for (run_id,), row in rows_of(RunSummaries(), real).items()}
    for run_id, row in rows.items():
        require_agreement(row, real.now.run(run_id))
        assert row.messages == sum(recorded.type == "message.added" for recorded in real.now.run_events(run_id))
        assert (row.finished_at is None) == (row.status in {"created", "running", "waiting"})
    sessions, trials = counts["claude-code"]["all"], counts["tau-bench-airline"]
    coded = [row for row in rows.values() if row.agent_id.startswith("claude-code")]
    assert sum(row.tool_calls for row in coded) == sessions["block:tool_use"]
    assert sum(row.failed_tool_calls for row in coded) == sessions["tool_results_is_error"]
    used = sessions["tokens_deduplicated_by_message_id (last usage wins)"]
    assert sum(row.input_tokens or 0 for row in coded) == used["input_tokens"]
    assert sum(row.output_tokens or 0 for row in coded) == used["output_tokens"]
    tried = [row for row in rows.values() if row.goal_id is not None]
    assert (len(tried), sum(row.messages for row in tried)) == (trials["runs"], trials["messages"])
    assert sum(row.tool_calls for row in tried) == trials["tool_calls"]
    assert sum(row.successful_decisions for row in tried) == trials["runs_reward_1"]
    assert sum(row.failed_decisions for row in tried) == trials["runs_reward_0"]
    assert {row.total_tokens for row in tried} == {None}


def test_the_table_answers_every_filter_and_sort_of_a_run_list(ledger: Ledger, thread: Thread) -> None:
    def made(seconds: int, **request: Any) -> Run:
        run = thread.create_run(parent=None, occurred_at=NOON + timedelta(seconds=seconds), **request)
        run.start(occurred_at=NOON + timedelta(seconds=seconds))
        return run

    slow, quick = made(0, agent_id="a", goal={"id": "refund"}), made(10, agent_id="b", background=True)
    open_still, failed = made(20, agent_id="a"), made(30, agent_id="c")
    for name in ("one", "two"):
        slow.start_step(name, node_id="plan")
    slow.call_tool("search")
    quick.call_tool("mail")
    slow.complete(occurred_at=NOON + timedelta(seconds=100))
    quick.complete(stop_reason="max_steps", occurred_at=NOON + timedelta(seconds=11))
    failed.fail("no", occurred_at=NOON + timedelta(seconds=35))
    ledger.fold("run_summaries")

    def found(where: str, *parameters: Any, order_by: str = "created_at, run_id") -> list[str]:
        with ledger.now.read_models.reading("run_summaries") as snapshot:
            return [row.run_id for row in snapshot.rows(RunSummaries(), where, parameters, order_by=order_by)]

    assert found("agent_id = ANY(%b)", ["a", "b"]) == [slow.id, quick.id, open_still.id]
    assert found("status = ANY(%b)", ["created", "running"]) == [open_still.id]
    assert found("background") == [quick.id]
    assert found("stop_reason = %b", "max_steps") == [quick.id]
    assert found("thread_id = %b", thread.id, order_by="created_at DESC, run_id DESC") == [
        failed.id,
        open_still.id,
        quick.id,
        slow.id,
    ]
    assert found("steps >= %b", 2) == [slow.id]
    assert found("tools_used && %b", ["search", "mail"]) == [slow.id, quick.id]
    assert found("%b = ANY(nodes_executed)", "plan") == [slow.id]
    assert found("goal_id = %b", "refund") == [slow.id]
    assert found("duration_ns IS NOT NULL", order_by="duration_ns DESC") == [slow.id, failed.id, quick.id]
    assert found("duration_ns > %b", 5_000_000_000) == [slow.id]
    percentile = "(SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY duration_ns) FROM {run_summaries})"
    assert found(f"duration_ns >= {percentile}") == [slow.id, failed.id]
    assert found("created_at BETWEEN %b AND %b", NOON, NOON + timedelta(seconds=10)) == [slow.id, quick.id]
    assert found("(created_at, run_id) > (%b, %b)", NOON + timedelta(seconds=10), quick.id) == [open_still.id, failed.id]
