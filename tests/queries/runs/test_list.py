"""Runs are found by what they are and did, in any order, page by page: exactly those that a look at every row would find."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold import Ledger, Thread
from runfold.domain.run_events import STATUS_ALIASES
from runfold.errors import ReadModelBehind, UsageError
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs.summary import RunSummary
from tests.queries.listed import DAWN, MINUTE, NODES, TOOLS, Listed

ASKED = settings(derandomize=True, deadline=None, database=None, max_examples=150, suppress_health_check=list(HealthCheck))
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda one, other: one == other,
    "gt": lambda one, other: one > other,
    "gte": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "lte": lambda one, other: one <= other,
}
SORTED_BY = {
    "created_at": "created_at",
    "last_event_at": "last_event_at",
    "finished_at": "finished_at",
    "duration": "duration_ns",
    "steps": "steps",
}
COLUMNS = ("agent_id", "stop_reason", "thread_id", "run_id", "parent_run_id", "goal_id", "user_id", "workflow_id")


# What a look at every row would find, written without SQL


def found_by_looking(rows: list[RunSummary], asked: dict[str, Any]) -> list[RunSummary]:
    """The whole list, in its order."""
    rows = [row for row in rows if fits(row, asked)]
    if (percentile := asked.get("duration_percentile")) is not None:
        durations = sorted(row.duration_ns for row in rows if row.duration_ns is not None)
        place = -(-percentile * len(durations) // 100)
        rows = [row for row in rows if row.duration_ns is not None and row.duration_ns >= durations[place - 1]]
    if (value := asked.get("duration_ns")) is not None:
        holds = COMPARED[asked.get("duration_operator", "gt")]
        rows = [row for row in rows if row.duration_ns is not None and holds(row.duration_ns, value)]
    by = asked.get("order_by", "created_at")
    if by == "duration":
        rows = [row for row in rows if row.duration_ns is not None]

    def place_of(row: RunSummary) -> tuple[bool, Any, str]:
        value = getattr(row, SORTED_BY[by])
        return value is None, value or 0, row.run_id

    return sorted(rows, key=place_of, reverse=asked.get("order", "desc") == "desc")


def fits(row: RunSummary, asked: dict[str, Any]) -> bool:
    """Whether all but the questions about durations let a run through."""
    statuses = {STATUS_ALIASES.get(word, word) for word in asked.get("status", ())}
    if not statuses and asked.get("active"):
        statuses = {"created", "running", "waiting", "stuck"}
    assert row.created_at is not None
    return (
        (not statuses or row.status in statuses)
        and all(not asked.get(name) or getattr(row, name) in asked[name] for name in COLUMNS)
        and (not asked.get("node_id") or bool(set(row.nodes_executed) & set(asked["node_id"])))
        and (not asked.get("tool") or bool(set(row.tools_used) & set(asked["tool"])))
        and asked.get("background") in {None, row.background}
        and ("steps" not in asked or COMPARED[asked.get("steps_operator", "eq")](row.steps, asked["steps"]))
        and ("created_from" not in asked or row.created_at >= asked["created_from"])
        and ("created_to" not in asked or row.created_at <= asked["created_to"])
    )


@st.composite
def questions(draw: st.DrawFn, rows: list[RunSummary]) -> dict[str, Any]:
    """A few filters of all that there are, most of them with values that some run has, and an order."""
    values: dict[str, st.SearchStrategy[Any]] = {
        name: some_of(sorted({getattr(row, name) for row in rows} - {None})) for name in COLUMNS
    }
    moments = st.sampled_from([row.created_at for row in rows]) | st.just(DAWN + MINUTE / 2)
    operators = st.sampled_from(sorted(COMPARED))
    values |= {
        "stop_reason": some_of(["end_turn", "requires_approval", "error", "max_steps"]),
        "status": some_of(["created", "running", "waiting", "stuck", "completed", "failed", "cancelled", *STATUS_ALIASES]),
        "node_id": some_of([*NODES, "nowhere"]),
        "tool": some_of([*TOOLS, "Bash", "nothing"]),
        "active": st.booleans(),
        "background": st.booleans(),
        "steps": st.integers(0, 4),
        "steps_operator": operators,
        "duration_ns": st.sampled_from([0, 1, 60 * 10**9, 10**13]),
        "duration_operator": operators,
        "duration_percentile": st.integers(1, 100),
        "created_from": moments,
        "created_to": moments,
        "order_by": st.sampled_from(sorted(SORTED_BY)),
        "order": st.sampled_from(["asc", "desc"]),
    }
    names = draw(st.sets(st.sampled_from(sorted(values)), max_size=4))
    return {name: draw(values[name]) for name in sorted(names)}


def some_of(values: list[str]) -> st.SearchStrategy[list[str]]:
    """One to three of some values, or none, which asks for nothing."""
    return st.lists(st.sampled_from([*values, "run_nobody"] if values[0].startswith("run_") else values), max_size=3)


@pytest.mark.row("LT-30", "LT-31", "LT-32")
def test_any_question_finds_what_a_look_at_every_row_finds(listed: Listed) -> None:
    rows = listed.rows(RunSummaries())

    @ASKED
    @given(questions(rows), st.integers(1, 40))
    def same(asked: dict[str, Any], limit: int) -> None:
        expected = found_by_looking(rows, asked)
        assert listed.all("runs", max(limit, len(expected) // 5), **asked) == expected

    same()


@pytest.mark.row("LT-32")
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", sorted(SORTED_BY))
def test_pages_under_equal_keys_repeat_and_leave_out_nothing(listed: Listed, by: str, order: str) -> None:
    expected = found_by_looking(listed.rows(RunSummaries()), {"order_by": by, "order": order})
    values = [getattr(row, SORTED_BY[by]) for row in expected]
    assert len(set(values)) < len(values) - 10
    assert listed.all("runs", 7, order_by=by, order=order) == expected


def test_a_page_says_as_of_when_it_is_true(listed: Listed) -> None:
    page = listed.ledger.now.runs(limit=1)
    assert page.standing.position == page.standing.head == listed.ledger.position()
    assert page.standing.behind_events == 0


def test_the_runs_of_another_tenant_are_not_listed(listed: Listed) -> None:
    others = {row.run_id for row in listed.rows(RunSummaries())}
    everybody = {recorded.stream for recorded in listed.ledger.recorder.reader.events() if recorded.type == "run.created"}
    assert {row.run_id for row in listed.all("runs", 1000)} == others < everybody


@pytest.mark.row("CV-30", "RV-24")
def test_the_runs_of_a_thread_are_listed_newest_first_on_all_branches(thread: Thread, ledger: Ledger) -> None:
    first = thread.start_run(occurred_at=DAWN)
    first.complete()
    branch = first.branch(at_version=1, occurred_at=DAWN + MINUTE)
    after = thread.start_run(parent=first, occurred_at=DAWN + 2 * MINUTE)
    ledger.create_thread(agent_id="support").start_run()
    ledger.fold("run_summaries")
    newest_first = [after.id, branch.id, first.id]
    assert ids(ledger, thread_id=thread.id) == newest_first
    assert ids(ledger, thread_id=thread.id, status=[]) == newest_first
    assert ids(ledger, thread_id=thread.id, status=["pending", "success"]) == [branch.id, first.id]
    assert ids(ledger, thread_id=thread.id, order="asc") == newest_first[::-1]


@pytest.mark.row("LT-42", "LT-27")
def test_who_waits_for_an_approval_is_found_by_its_stop_reason(thread: Thread, ledger: Ledger) -> None:
    waiting, working = thread.start_run(parent=None, agent_id="clerk"), thread.start_run(parent=None)
    approval = waiting.request_approval("refund", arguments={"order": 7})
    ledger.fold()
    (found,) = ledger.now.runs(stop_reason="requires_approval").items
    assert (found.run_id, found.agent_id, found.status, found.waiting_for) == (waiting.id, "clerk", "waiting", (approval.id,))
    (pending,) = ledger.now.approvals(agent_id=found.agent_id, status="open").items
    assert pending.approval_id == approval.id
    approval.grant(actor="human:ada")
    ledger.fold()
    assert ids(ledger, stop_reason="requires_approval") == []
    assert set(ids(ledger, active=True)) == {waiting.id, working.id}


@pytest.mark.row("LT-30", "LT-33")
def test_active_runs_are_those_that_have_not_ended_unless_states_are_asked_for(thread: Thread, ledger: Ledger) -> None:
    made = {status: thread.create_run(parent=None) for status in ("created", "running", "waiting", "stuck", "completed")}
    for status, run in made.items():
        if status != "created":
            run.start()
    made["waiting"].wait("external")
    made["stuck"].mark_stuck()
    made["completed"].complete()
    ledger.fold("run_summaries")
    assert set(ids(ledger, active=True)) == {run.id for status, run in made.items() if status != "completed"}
    assert ids(ledger, active=True, status="success") == [made["completed"].id]
    assert len(ids(ledger, active=False)) == 5


def test_the_count_is_how_many_the_list_has(listed: Listed) -> None:
    wanted: list[dict[str, Any]] = [{}, {"status": "failed"}, {"agent_id": ["support", "nobody"]}, {"duration_percentile": 90}]
    for asked in (*wanted, {"tool": "search", "active": True}, {"run_id": "run_nobody"}):
        assert listed.ledger.now.count_runs(**asked).runs == len(listed.all("runs", 1000, **asked))
    with pytest.raises(UsageError, match="unknown parameter 'limit'"):
        listed.ledger.now.count_runs(limit=3)  # type: ignore[call-arg]


@pytest.mark.row("LT-31")
def test_a_percentile_is_taken_over_the_runs_that_the_other_filters_let_through(thread: Thread, ledger: Ledger) -> None:
    for number in range(1, 11):
        for agent, minutes in (("slow", number), ("fast", 0)):
            run = thread.start_run(parent=None, agent_id=agent, run_id=f"run_{agent}_{number}", occurred_at=DAWN)
            run.complete(occurred_at=DAWN + minutes * MINUTE)
    thread.start_run(parent=None, agent_id="slow")
    ledger.fold("run_summaries")
    slowest = [f"run_slow_{number}" for number in (10, 9, 8, 7, 6)]
    asked: dict[str, Any] = {"order_by": "duration"}
    assert ids(ledger, **asked, agent_id="slow", duration_percentile=50) == [*slowest, "run_slow_5"]
    assert ids(ledger, **asked, agent_id="slow", duration_percentile=51) == slowest
    assert ids(ledger, **asked, agent_id="slow", duration_percentile=100) == slowest[:1]
    assert len(ids(ledger, **asked, agent_id="fast", duration_percentile=100)) == 10
    assert len(ids(ledger, **asked, agent_id="slow", duration_percentile=1)) == 10
    assert ids(ledger, **asked, agent_id="nobody", duration_percentile=50) == []
    within: dict[str, Any] = {"duration_ns": 6 * 60 * 10**9, "duration_operator": "lte"}
    assert ids(ledger, **asked, agent_id="slow", duration_percentile=50, **within) == ["run_slow_6", "run_slow_5"]


@pytest.mark.row("HV-60")
def test_the_runs_for_a_goal_their_summaries_and_the_runs_in_full(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run(goal={"id": "settle", "description": "settle claims"})
    run.complete({"paid": True})
    thread.start_run(parent=None)
    ledger.fold()
    assert ids(ledger, goal_id="settle") == [run.id]
    assert ledger.now.summary(run.id).narrative.startswith("Run completed successfully.")
    assert ledger.now.run(run.id).output == {"paid": True}
    assert [recorded.type for recorded in ledger.now.run_events(run.id)] == ["run.created", "run.started", "run.completed"]


def test_a_cursor_goes_on_where_its_page_ended_whatever_came_since(thread: Thread, ledger: Ledger) -> None:
    made = [thread.start_run(parent=None, occurred_at=DAWN, run_id=f"run_{number}") for number in range(6)]
    ledger.fold("run_summaries")
    first = ledger.now.runs(limit=3)
    thread.start_run(parent=None, occurred_at=DAWN + MINUTE)
    thread.start_run(parent=None, occurred_at=DAWN, run_id="run_9")
    made[1].complete()
    ledger.fold("run_summaries")
    second = ledger.now.runs(limit=3, cursor=first.next_cursor)
    assert [row.run_id for row in first.items] == ["run_5", "run_4", "run_3"]
    assert [row.run_id for row in second.items] == ["run_2", "run_1", "run_0"]
    assert second.next_cursor is None


def test_a_run_that_takes_no_time_by_its_clock_or_less_is_told_apart(thread: Thread, ledger: Ledger) -> None:
    thread.start_run(parent=None, run_id="run_0", occurred_at=DAWN).complete(occurred_at=DAWN)
    thread.start_run(parent=None, run_id="run_1", occurred_at=DAWN).complete(occurred_at=DAWN - MINUTE)
    ledger.fold("run_summaries")
    assert ids(ledger, order_by="duration") == ["run_0"]
    assert ids(ledger, duration_ns=0, duration_operator="gte") == ["run_0"]
    assert set(ids(ledger, order_by="finished_at")) == {"run_0", "run_1"}


@pytest.mark.shares
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"status": "done"}, "unknown status 'done'; expected one of created, running, waiting"),
        ({"status": ["completed", "COMPLETED"]}, "success for completed"),
        ({"stop_reason": "tired"}, "expected one of end_turn"),
        ({"agents": "support"}, "unknown parameter 'agents'; expected one of active, agent_id"),
        ({"agent_id": 7}, "agent_id"),
        ({"agent_id": [7]}, "agent_id takes text, not 7"),
        ({"agent_id": "\0"}, "NUL"),
        ({"goal_id": "\ud800"}, "surrogate"),
        ({"limit": 0}, "limit takes a whole number from 1 to 1000, not 0"),
        ({"limit": 1001}, "not 1001"),
        ({"limit": True}, "not True"),
        ({"order": "up"}, "unknown order 'up'; expected one of asc, desc"),
        ({"order_by": "agent_id"}, "expected one of created_at, last_event_at, finished_at, duration, steps"),
        ({"steps": 1, "steps_operator": "about"}, "expected one of eq, gt, gte, lt, lte"),
        ({"steps": "1"}, "steps takes a whole number, not '1'"),
        ({"duration_percentile": 0}, "duration_percentile takes a whole number from 1 to 100"),
        ({"duration_percentile": 101}, "duration_percentile"),
        ({"duration_ns": 1.5}, "duration_ns"),
        ({"background": "yes"}, "background is true or false"),
        ({"active": 1}, "active is true or false"),
        ({"created_from": datetime(2026, 1, 1)}, "created_from takes a time with its zone"),
        ({"created_to": "2026-01-01"}, "created_to takes a time"),
    ],
)
def test_what_nothing_could_be_asked_by_is_refused_with_what_there_is(ledger: Ledger, asked: dict[str, Any], said: str) -> None:
    ledger.fold("run_summaries")
    with pytest.raises(UsageError) as refused:
        ledger.now.runs(**asked)
    assert said in str(refused.value)


@pytest.mark.shares
@pytest.mark.parametrize("cursor", ["", "x", "*", "ü", "WyJydW5fc3VtbWFyaWVzIl0", "bnVsbA", "ImFiY2Qi", "W1tb" * 5000])
def test_what_is_no_cursor_is_refused_with_where_to_get_one(ledger: Ledger, cursor: str) -> None:
    ledger.fold("run_summaries")
    with pytest.raises(UsageError, match="pass `next_cursor` from the previous page"):
        ledger.now.runs(cursor=cursor)


@settings(ASKED, max_examples=200)
@given(st.data())
def test_no_cursor_that_was_tampered_with_breaks_anything(listed: Listed, data: st.DataObject) -> None:
    cursor = listed.ledger.now.runs(limit=1).next_cursor
    assert cursor is not None
    place = data.draw(st.integers(0, len(cursor) - 1))
    changed = cursor[:place] + data.draw(st.text(max_size=2)) + cursor[place + data.draw(st.integers(0, 2)) :]
    try:
        listed.ledger.now.runs(limit=1, cursor=changed)
    except UsageError:
        assert changed != cursor


def test_a_cursor_of_another_order_is_refused_with_the_order_it_is_of(listed: Listed) -> None:
    cursor = listed.ledger.now.runs(limit=1, order_by="steps").next_cursor
    with pytest.raises(UsageError, match="the cursor is of run_summaries by steps desc, not of run_summaries by created_at desc"):
        listed.ledger.now.runs(cursor=cursor)
    with pytest.raises(UsageError, match="not of problems by severity asc"):
        listed.ledger.now.problems(cursor=cursor)


@pytest.mark.not_begun
def test_a_run_just_recorded_is_listed_once_its_position_is_asked_for(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    assert run.receipt is not None
    with pytest.raises(ReadModelBehind, match="run_summaries has not been built yet"):
        ledger.now.runs()
    ledger.fold("run_summaries")
    assert [row.run_id for row in ledger.now.runs(min_position=run.receipt.position).items] == [run.id]
    receipt = run.complete()
    with pytest.raises(ReadModelBehind, match=f"is at position {run.receipt.position}, not yet at {receipt.position}"):
        ledger.now.runs(min_position=receipt.position, wait_seconds=0.05)
    assert [row.status for row in ledger.now.runs().items] == ["running"]
    ledger.fold("run_summaries")
    assert [row.status for row in ledger.now.runs(min_position=receipt.position).items] == ["completed"]


def test_the_past_is_not_answered_from_the_read_models_of_now(listed: Listed) -> None:
    assert len(listed.ledger.at(2).runs().items) == 1
    assert len(listed.ledger.now.runs().items) > 1


def ids(ledger: Ledger, **asked: Any) -> list[str]:
    """The runs that are listed."""
    return [row.run_id for row in ledger.now.runs(**asked).items]


def test_the_moments_of_a_range_are_part_of_it(thread: Thread, ledger: Ledger) -> None:
    for number in range(4):
        thread.start_run(parent=None, run_id=f"run_{number}", occurred_at=DAWN + timedelta(microseconds=number))
    ledger.fold("run_summaries")
    between = {"created_from": DAWN + timedelta(microseconds=1), "created_to": DAWN + timedelta(microseconds=2)}
    assert ids(ledger, **between) == ["run_2", "run_1"]
