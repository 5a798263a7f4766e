"""Runs that a person should look at: given what happened to a run, then these reasons."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast, get_args

import pytest

from runfold import Ledger, Run, Thread
from runfold.domain.problem import Severity
from runfold.domain.run_events import StuckRule
from runfold.handles.decision import Decision
from runfold.projections.attention import Attention
from runfold.projections.runs.attention_row import REASONS, AttentionRow
from tests.projections.folded import rows_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "the-words-themselves"

Look = Callable[[Run], AttentionRow]


@pytest.fixture
def thread(ledger: Ledger) -> Thread:
    return ledger.create_thread(agent_id="support", user_id="u_1")


@pytest.fixture
def run(thread: Thread) -> Run:
    return thread.start_run(goal={"id": "refund"})


@pytest.fixture
def run_at_noon(thread: Thread) -> Run:
    return thread.start_run(goal={"id": "refund"}, occurred_at=NOON)


@pytest.fixture
def look(ledger: Ledger) -> Look:
    """A run's row, after it was held against the ledger's own fold of the run."""

    def at(run: Run) -> AttentionRow:
        row = rows_of(Attention(), ledger)[run.id,]
        require_agreement(ledger, row)
        return row

    return at


def require_agreement(ledger: Ledger, row: AttentionRow) -> None:
    """What the log's own fold says too, and that the flag is what its reasons say."""
    view = ledger.now.run(row.run_id)
    code = view.error.code if view.error else None
    assert (row.thread_id, row.agent_id, row.status, row.error_code) == (view.thread_id, view.agent_id, view.status, code)
    assert (row.waiting_reason == "approval") == bool(view.waiting_for)
    assert row.needs_attention is bool(row.reasons)
    assert (row.flagged_at is None, row.flagged_position is None) == (not row.reasons, not row.reasons)
    assert (row.stuck_rule is not None) == (row.status == "stuck")
    severities = {REASONS[reason].severity for reason in row.reasons}
    assert row.severity == next((each for each in get_args(Severity) if each in severities), "none")


def decided(run: Run, decision_type: str = "custom") -> Decision:
    """A decision."""
    options = [{"id": "a", "description": "the one"}]
    return run.decide("choose", options=options, chosen="a", decision_type=decision_type)  # type: ignore[arg-type]


def test_a_run_that_goes_well_has_a_row_without_a_flag(run_at_noon: Run, look: Look) -> None:
    run_at_noon.add_message("user", "Where is it?")
    run_at_noon.complete(occurred_at=NOON + timedelta(seconds=60))
    row = look(run_at_noon)
    assert (row.needs_attention, row.reasons, row.status, row.stop_reason) == (False, (), "completed", "end_turn")
    assert (row.user_id, row.goal_id, row.latency_ns) == ("u_1", "refund", 60_000_000_000)


@pytest.mark.parametrize("rule", ["idle", "lease_expired", "identical_responses", "identical_tool_calls", "manual"])
def test_a_stuck_run_is_flagged_with_its_rule_until_it_makes_progress(run: Run, look: Look, rule: StuckRule) -> None:
    run.mark_stuck(rule)
    run.report_problem("minor", "slow")
    run.request_cancellation()
    row = look(run)
    assert (row.reasons, row.stuck_rule, row.flagged_position) == (("stuck",), rule, run.view().position - 2)
    run.add_message("assistant", "I go on.")
    row = look(run)
    assert (row.reasons, row.stuck_rule, row.times_stuck, row.status) == ((), None, 1, "running")
    run.mark_stuck(rule)
    run.cancel()
    row = look(run)
    assert (row.reasons, row.times_stuck) == ((), 2)


def test_a_lease_that_is_taken_over_leaves_a_trace_and_no_flag(run: Run, look: Look) -> None:
    run.claim("worker-1", lease=timedelta(microseconds=1))
    run.claim("worker-2", take_over=True)
    assert (look(run).reasons, look(run).times_stuck) == ((), 1)


def test_a_run_that_waits_for_a_person_is_flagged_and_one_that_waits_for_something_else_is_not(run: Run, look: Look) -> None:
    run.wait("external")
    assert look(run).reasons == ()
    run.wait("input")
    assert look(run).reasons == ("waiting_for_input",)
    run.resume()
    approval = run.request_approval("refund")
    assert look(run).reasons == ("waiting_for_approval",)
    approval.grant(actor="human:ada")
    assert look(run).reasons == ()


def test_a_failed_run_stays_flagged_and_a_cancelled_one_is_not(thread: Thread, run: Run, look: Look) -> None:
    run.wait("input")
    run.fail("no", code="lost", stop_reason="stalled")
    run.report_problem("minor", "noticed afterwards")
    row = look(run)
    assert (row.reasons, row.error_code, row.stop_reason) == (("failed",), "lost", "stalled")
    other = thread.start_run(parent=None)
    other.request_approval("refund")
    other.cancel()
    assert look(other).reasons == ()


@pytest.mark.row("HV-88")
def test_each_limit_is_the_most_that_needs_nobody(run: Run, look: Look) -> None:
    for _ in range(20):
        run.start_step("think").finish()
    for _ in range(2):
        run.request_approval("refund").grant(actor="human:ada")
    run.start(attempt=2)
    for _ in range(2):
        decided(run, "retry_strategy")
    decided(run, "delegation")
    used = run.usage(input_tokens=99_999, output_tokens=1)
    row = look(run)
    assert (row.steps, row.escalations, row.retries, row.tokens) == (20, 2, 3, 100_000)
    assert row.reasons == ()
    run.start_step("think")
    run.request_approval("refund").grant(actor="human:ada")
    run.start(attempt=3)
    used.correct(reason="one more", input_tokens=99_999, output_tokens=2)
    assert look(run).reasons == ("retries", "escalations", "tokens", "steps")


@pytest.mark.row("HV-88")
def test_a_step_that_failed_is_a_reason_for_good(run: Run, look: Look) -> None:
    run.start_step("think").finish(error="no")
    run.start_step("think").finish()
    run.complete()
    row = look(run)
    assert (row.reasons, row.failed_steps, row.status) == (("node_failure",), 1, "completed")


def test_a_tool_call_that_failed_is_a_reason_for_good_however_it_failed(thread: Thread, run: Run, look: Look) -> None:
    run.call_tool("search").succeed({})
    assert look(run).reasons == ()
    run.call_tool("search").fail("no such order")
    run.complete()
    assert (look(run).reasons, look(run).severity, look(run).failed_tool_calls) == (("tool_failure",), "warning", 1)
    other = thread.start_run(parent=None)
    other.call_tool("search")
    other.fail("no")
    row = look(other)
    assert (row.reasons, row.severity, row.failed_tool_calls) == (("failed", "tool_failure"), "critical", 1)


def test_a_flag_counts_from_when_there_is_more_than_a_minor_reason(run_at_noon: Run, look: Look) -> None:
    run_at_noon.record_timing(total_duration_ns=60_000_000_001, occurred_at=NOON + timedelta(minutes=1))
    row = look(run_at_noon)
    assert (row.severity, row.flagged_at, row.attention_since) == (
        "minor",
        NOON + timedelta(minutes=1),
        NOON + timedelta(minutes=1),
    )
    run_at_noon.wait("input", occurred_at=NOON + timedelta(minutes=2))
    run_at_noon.fail("no", occurred_at=NOON + timedelta(minutes=3))
    row = look(run_at_noon)
    assert (row.severity, row.flagged_at, row.attention_since) == (
        "critical",
        NOON + timedelta(minutes=2),
        NOON + timedelta(minutes=2),
    )


@pytest.mark.row("HV-88")
def test_time_at_work_is_counted_and_time_waited_is_not(thread: Thread, look: Look) -> None:
    run = thread.create_run(occurred_at=NOON)
    run.start(occurred_at=NOON + timedelta(minutes=5))
    run.wait("input", occurred_at=NOON + timedelta(minutes=5, seconds=40))
    assert (look(run).latency_ns, look(run).reasons) == (40_000_000_000, ("waiting_for_input",))
    run.resume(occurred_at=NOON + timedelta(hours=5))
    run.start(attempt=2, occurred_at=NOON + timedelta(hours=5, seconds=10))
    run.complete(occurred_at=NOON + timedelta(hours=5, seconds=20, microseconds=1))
    row = look(run)
    assert (row.latency_ns, row.worked_ns, row.reasons) == (60_000_001_000, 60_000_001_000, ("latency",))


def test_what_a_run_reports_of_its_time_counts_instead(run_at_noon: Run, look: Look) -> None:
    run_at_noon.record_timing(total_duration_ns=60_000_000_001)
    assert look(run_at_noon).reasons == ("latency",)
    run_at_noon.complete(occurred_at=NOON + timedelta(seconds=1))
    row = look(run_at_noon)
    assert (row.latency_ns, row.worked_ns, row.reasons) == (60_000_000_001, 1_000_000_000, ("latency",))


def test_a_report_taken_back_leaves_the_time_of_the_events(run_at_noon: Run, look: Look) -> None:
    run_at_noon.record_timing(total_duration_ns=60_000_000_001)
    run_at_noon.record_timing(ttft_ns=1)
    run_at_noon.complete(occurred_at=NOON - timedelta(seconds=1))  # its clock went back
    assert (look(run_at_noon).latency_ns, look(run_at_noon).reasons) == (0, ())


def test_tokens_of_outcomes_count_where_they_are_more_and_null_is_not_zero(run: Run, look: Look) -> None:
    assert (look(run).tokens, look(run).decision_tokens) == (None, None)
    decision = decided(run)
    decision.outcome(success=True, tokens_used=100_001)
    run.usage(input_tokens=5, total_tokens=9)
    used = run.usage(output_tokens=1)
    row = look(run)
    assert (row.tokens, row.decision_tokens, row.reasons) == (10, 100_001, ("tokens",))
    decision.correct_outcome(success=True)
    used.correct(reason="nobody knows")
    row = look(run)
    assert (row.tokens, row.decision_tokens, row.reasons) == (9, None, ())


def test_the_flag_stands_since_the_first_of_its_reasons_without_a_break(run_at_noon: Run, look: Look) -> None:
    run_at_noon.wait("input", occurred_at=NOON + timedelta(minutes=1))
    first = look(run_at_noon).flagged_position
    run_at_noon.record_timing(total_duration_ns=60_000_000_001, occurred_at=NOON + timedelta(minutes=2))
    run_at_noon.resume(occurred_at=NOON + timedelta(minutes=3))
    row = look(run_at_noon)
    assert (row.reasons, row.flagged_at, row.flagged_position) == (("latency",), NOON + timedelta(minutes=1), first)


def test_no_words_are_in_a_row(thread: Thread, look: Look) -> None:
    run = thread.start_run({"input": SECRET}, goal={"id": "g", "description": SECRET})
    run.mark_stuck("idle", SECRET)
    run.start_step("think").finish(error=SECRET)
    run.request_approval("refund", arguments=SECRET, message=SECRET).deny(SECRET, actor="human:ada")
    run.fail(SECRET, code="lost")
    assert SECRET not in repr(look(run))


def test_the_rows_of_real_runs_agree_with_the_ledger(real: Ledger) -> None:
    rows = rows_of(Attention(), real)
    for row in rows.values():
        require_agreement(real, row)
    assert len(rows) == 53 + 200 + 20
    approvals = [row.escalations for row in rows.values()]
    assert sum(approvals) == len(list(real.subscribe(types=["approval.requested"], follow=False)))
    assert any(row.needs_attention for row in rows.values())


def test_the_table_lists_the_runs_that_need_somebody_longest_waiting_first(ledger: Ledger, thread: Thread) -> None:
    first, second, fine = (thread.start_run(parent=None, occurred_at=NOON) for _ in range(3))
    second.wait("input", occurred_at=NOON + timedelta(minutes=1))
    first.mark_stuck("idle", occurred_at=NOON + timedelta(minutes=2))
    fine.complete(occurred_at=NOON + timedelta(seconds=3))
    ledger.fold("runfold.projections.attention:Attention")
    with ledger.now.read_models.reading("attention") as snapshot:
        flagged = snapshot.rows(Attention(), "needs_attention", order_by="flagged_at")
        assert [row.run_id for row in flagged] == [second.id, first.id]
        assert [row.run_id for row in snapshot.rows(Attention(), "%b = ANY(reasons)", ["stuck"])] == [first.id]


@pytest.mark.parametrize("code", REASONS)
def test_a_reason_hangs_on_the_columns_that_it_names(code: str) -> None:
    """Where none of them changes, it is not looked at again."""
    looked_at: set[str] = set()

    class Watched:
        def __getattr__(self, name: str) -> object:
            looked_at.add(name)
            return getattr(AttentionRow(run_id="run_1"), name)

    REASONS[code].holds(cast("AttentionRow", Watched()))
    assert looked_at == set(REASONS[code].columns)
