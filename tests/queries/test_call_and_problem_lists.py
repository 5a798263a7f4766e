"""Tool calls and problems of all runs, listed."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold import Ledger, Thread
from runfold.domain.problem import ProblemReported, ProblemResolved
from runfold.errors import ReadModelBehind, UsageError
from runfold.projections.problems import Problems
from runfold.projections.projection import Row
from runfold.projections.tool_calls import ToolCalls
from tests.queries.listed import Listed

ASKED = settings(derandomize=True, deadline=None, database=None, max_examples=60, suppress_health_check=list(HealthCheck))
SEVERITIES = {"critical": 1, "warning": 2, "minor": 3}
LISTS: dict[str, dict[str, Any]] = {
    "tool_calls": {
        "projection": ToolCalls(),
        "key": ("run_id", "call_id"),
        "columns": ("name", "status", "run_id", "thread_id", "agent_id", "goal_id", "call_id", "message_id", "error_code"),
        "orders": {
            "requested_position": ("requested_position",),
            "resolved_position": ("resolved_position",),
            "duration": ("duration_ns",),
        },
        "default": ("requested_position", "desc"),
    },
    "problems": {
        "projection": Problems(),
        "key": ("run_id", "problem_id"),
        "columns": ("status", "severity", "run_id", "thread_id", "agent_id", "goal_id", "problem_id"),
        "orders": {
            "severity": ("severity", "reported_position"),
            "reported_position": ("reported_position",),
            "resolved_position": ("resolved_position",),
        },
        "default": ("severity", "asc"),
    },
}


def found_by_looking(rows: list[Row], list_name: str, asked: dict[str, Any]) -> list[Row]:
    """The whole list, in its order, written without SQL."""
    about = LISTS[list_name]
    rows = [row for row in rows if all(not asked.get(name) or getattr(row, name) in asked[name] for name in about["columns"])]
    if "waiting" in asked:
        rows = [row for row in rows if (getattr(row, "open_approvals") > 0) == asked["waiting"]]  # noqa: B009
    by, order = asked.get("order_by", about["default"][0]), asked.get("order", about["default"][1])
    if by == "duration":
        rows = [row for row in rows if getattr(row, "duration_ns") is not None]  # noqa: B009

    def place_of(row: Row) -> tuple[Any, ...]:
        values = [getattr(row, name) for name in about["orders"][by]]
        values = [SEVERITIES.get(value, value) for value in values]
        return values[0] is None, values[0] or 0, *values[1:], *(getattr(row, name) for name in about["key"])

    return sorted(rows, key=place_of, reverse=order == "desc")


@st.composite
def questions(draw: st.DrawFn, rows: list[Row], list_name: str) -> dict[str, Any]:
    """A few filters of all that there are, and an order."""
    about = LISTS[list_name]
    values: dict[str, st.SearchStrategy[Any]] = {
        name: st.lists(st.sampled_from(sorted({getattr(row, name) for row in rows} - {None})), max_size=3)
        for name in about["columns"]
    }
    values |= {"order_by": st.sampled_from(sorted(about["orders"])), "order": st.sampled_from(["asc", "desc"])}
    if list_name == "tool_calls":
        values["waiting"] = st.booleans()
        values["run_id"] = values["run_id"].filter(lambda given: len(set(given)) != 1)  # of one run they are read from its log
    names = draw(st.sets(st.sampled_from(sorted(values)), max_size=3))
    return {name: draw(values[name]) for name in sorted(names)}


@pytest.mark.parametrize("list_name", LISTS)
def test_any_question_finds_what_a_look_at_every_row_finds(listed: Listed, list_name: str) -> None:
    rows: list[Row] = listed.rows(LISTS[list_name]["projection"])

    @ASKED
    @given(questions(rows, list_name), st.integers(1, 40))
    def same(asked: dict[str, Any], limit: int) -> None:
        expected = found_by_looking(rows, list_name, asked)
        assert listed.all(list_name, max(limit, min(1000, len(expected) // 4)), **asked) == expected

    same()


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(("list_name", "by"), [(name, by) for name, about in LISTS.items() for by in about["orders"]])
def test_pages_leave_out_nothing_in_any_order(listed: Listed, list_name: str, by: str, order: str) -> None:
    rows: list[Row] = listed.rows(LISTS[list_name]["projection"])
    expected = found_by_looking(rows, list_name, {"order_by": by, "order": order})
    assert listed.all(list_name, 300 if list_name == "tool_calls" else 7, order_by=by, order=order) == expected


def test_a_call_that_waits_for_a_person_is_found(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run()
    free, gated = run.call_tool("search"), run.call_tool("refund", needs_approval=True)
    approval = run.request_approval("refund", call_id=gated.id)
    ledger.fold("tool_calls")
    assert [row.call_id for row in ledger.now.tool_calls(waiting=True).items] == [gated.id]
    assert [row.call_id for row in ledger.now.tool_calls(waiting=False, run_id=run.id).items] == [free.id]
    approval.grant(actor="human:ada")
    ledger.fold("tool_calls")
    assert ledger.now.tool_calls(waiting=True).items == ()
    assert [row.call_id for row in ledger.now.tool_calls(name="refund", status="called").items] == [gated.id]


@pytest.mark.row("HV-10")
def test_open_problems_the_worst_first_with_their_words(thread: Thread, ledger: Ledger) -> None:
    run = thread.start_run(goal={"id": "settle"})
    reported = [
        run.report_problem(severity, f"{severity} {number}", root_cause="rust" if number else None, suggested_fix="oil")
        for number in range(2)
        for severity in ("minor", "critical", "warning")
    ]
    reported[1].resolve("oiled")
    thread.start_run(parent=None).report_problem("critical", "elsewhere")
    ledger.fold("problems")
    page = ledger.now.problems(status="open", goal_id="settle")
    words = ledger.now.problem_words(page.items)
    told = [words[row.run_id, row.problem_id] for row in page.items]
    assert [said.description for said in told] == ["critical 1", "warning 0", "warning 1", "minor 0", "minor 1"]
    assert [(said.root_cause, said.suggested_fix, said.resolution) for said in told[:2]] == [
        ("rust", "oil", None),
        (None, "oil", None),
    ]
    (resolved,) = ledger.now.problems(status="resolved", run_id=run.id).items
    assert ledger.now.problem_words([resolved])[run.id, resolved.problem_id].resolution == "oiled"
    assert [row.severity for row in ledger.now.problems(severity=["critical", "minor"], status="open", limit=2).items] == [
        "critical",
        "critical",
    ]


def test_the_words_to_every_problem_are_those_of_its_events(listed: Listed) -> None:
    rows = listed.rows(Problems())
    words = listed.ledger.now.problem_words(rows)
    events = [recorded.event for row in rows[:20] for recorded in listed.ledger.now.run_events(row.run_id)]
    described = {event.problem_id: event.description for event in events if isinstance(event, ProblemReported)}
    mended = {event.problem_id: event.resolution for event in events if isinstance(event, ProblemResolved)}
    for row in rows[:20]:
        said = words[row.run_id, row.problem_id]
        assert (said.description, said.resolution) == (described[row.problem_id], mended.get(row.problem_id))


@pytest.mark.parametrize(
    ("list_name", "asked", "said"),
    [
        ("tool_calls", {"status": "open"}, "expected one of called, started, succeeded, failed, cancelled"),
        ("tool_calls", {"waiting": "yes"}, "waiting is true or false"),
        ("tool_calls", {"tool": "refund"}, "unknown parameter 'tool'"),
        ("problems", {"severity": "bad"}, "expected one of critical, warning, minor"),
        ("problems", {"status": "closed"}, "expected one of open, resolved"),
        ("problems", {"order_by": "age"}, "expected one of severity, reported_position, resolved_position"),
    ],
)
def test_what_nothing_could_be_asked_by_is_refused(ledger: Ledger, list_name: str, asked: dict[str, Any], said: str) -> None:
    ledger.fold("tool_calls", "problems")
    with pytest.raises(UsageError) as refused:
        getattr(ledger.now, list_name)(**asked)
    assert said in str(refused.value)


@pytest.mark.not_begun
@pytest.mark.parametrize("list_name", LISTS)
def test_nothing_is_listed_before_anything_was_folded(ledger: Ledger, thread: Thread, list_name: str) -> None:
    with pytest.raises(ReadModelBehind, match="has not been built yet"):
        getattr(ledger.now, list_name)()
