"""Threads that others stand for are in no list and no total, unless they are asked for; and whoever is told so can see it.

The guards are made from the table of questions and the registry of read models: a new one is held to them by itself.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from runfold import Ledger
from runfold.api.route import MISSING, QuestionRoute
from runfold.api.table import QUESTIONS
from runfold.commands.caller import Caller
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.projections.goals import GoalRow
from runfold.projections.registry import known
from runfold.queries.goals.current import COUNTS
from runfold.queries.reading import Reading
from tests.databases import TestDatabase

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = "thread_old", "thread_new"
NAMED: Mapping[str, Any] = {"goal_id": "goal_1", "node_id": "triage", "seed": "x", "words": "hello"}
"""What must be said to ask about all threads: what paths name, what is drawn by, and what is searched for."""

ACROSS = [
    route
    for route in QUESTIONS
    if "include_superseded" in route.fields and route.narrowed is None and set(route.path_names) <= NAMED.keys()
]
"""Questions over all threads."""

PLACES = ("position", "_at", "standing", "next_cursor", "as_of")


def tell(ledger: TenantLedger, thread_id: str) -> None:
    """One of everything that is listed or added up."""
    at = iter(NOON + timedelta(seconds=number) for number in range(100))
    name = thread_id.removeprefix("thread_")
    thread = ledger.create_thread(thread_id=thread_id, agent_id="support", title=name, occurred_at=next(at))
    goal = {"id": "goal_1", "description": "answer every ticket"}
    for number, fails in enumerate((True, False)):
        run = thread.start_run(run_id=f"run_{name}_{number}", parent=None, goal=goal, occurred_at=next(at))
        run.enter_node("triage", occurred_at=next(at))
        run.add_message("user", "hello", message_id="msg_1", occurred_at=next(at))
        run.call_tool("refund", {"order": 7}, call_id="call_1", needs_approval=True, occurred_at=next(at))
        run.usage(usage_id="usage_1", provider="openai", model="gpt-4o", input_tokens=10, output_tokens=1, occurred_at=next(at))
        options = [{"id": "a", "description": "go"}]
        decided = run.decide("go", options=options, chosen="a", decision_id="dec_1", node_id="triage", occurred_at=next(at))
        decided.outcome(success=not fails, error="no" if fails else None, occurred_at=next(at))
        run.report_problem("critical", "slow", problem_id="prob_1", occurred_at=next(at))
        run.violate_constraint("c_1", "hard", "too dear", occurred_at=next(at))
        if fails:
            run.fail("it broke", occurred_at=next(at))
        else:
            run.request_approval("refund", call_id="call_1", approval_id=f"approval_{name}", occurred_at=next(at))


@pytest.fixture(scope="module")
def both(shared_database: TestDatabase) -> Iterator[tuple[TenantLedger, TenantLedger]]:
    """A ledger with a thread that another stands for, and one that holds the other alone."""
    with Ledger.open(settings=shared_database.settings) as ledger:
        alone = ledger.on_behalf(Caller("alone", ledger.caller.actor))
        for where, thread_ids in ((ledger, (OLD, NEW)), (alone, (NEW,))):
            for thread_id in thread_ids:
                tell(where, thread_id)
        ledger.thread(OLD).supersede((NEW,), "read otherwise")
        ledger.fold()
        yield ledger, alone


def plain(answer: Any) -> Any:
    """An answer without what differs by where in the log it is from."""
    if isinstance(answer, BaseModel):
        answer = answer.model_dump(mode="json")
    if isinstance(answer, list | tuple):
        return [plain(member) for member in answer]
    if isinstance(answer, dict):
        return {name: plain(value) for name, value in answer.items() if not name.endswith(PLACES)}
    return answer


def ask(reading: Reading, route: QuestionRoute, **more: Any) -> Any:
    return route.method(reading, **{name: NAMED[name] for name, each in route.fields.items() if each.default is MISSING}, **more)


def test_every_kind_of_list_and_total_is_asked_here() -> None:
    assert {route.name for route in ACROSS} == {
        "threads.list",
        "runs.list",
        "run_counts.get",
        "run_samples.draw",
        "approvals.list",
        "tool_calls.list",
        "decisions.list",
        "problems.list",
        "failures.list",
        "attention.list",
        "usage.get",
        "goals.list",
        "goals.get_progress",
        "goals.list_patterns",
        "goals.list_improvements",
        "nodes.get_performance",
        "search.list",
    }


@pytest.mark.parametrize("route", ACROSS, ids=lambda route: route.name)
def test_a_list_or_total_is_what_it_is_without_the_superseded_thread(
    both: tuple[TenantLedger, TenantLedger], route: QuestionRoute
) -> None:
    ledger, alone = both
    expected = plain(ask(alone.now, route))
    assert expected, "there is something to tell"
    found = ask(ledger.now, route)
    assert plain(found) == expected
    if standing := getattr(found, "standing", None):
        assert (standing.superseded_threads, ask(alone.now, route).standing.superseded_threads) == (1, 0)
    assert plain(ask(ledger.now, route, include_superseded=False)) == expected


@pytest.mark.parametrize("route", ACROSS, ids=lambda route: route.name)
def test_who_asks_for_superseded_threads_has_them(both: tuple[TenantLedger, TenantLedger], route: QuestionRoute) -> None:
    ledger, alone = both
    everything = ask(ledger.now, route, include_superseded=True)
    if route.name != "goals.list_improvements":  # those are shares, which are the same
        assert plain(everything) != plain(ask(alone.now, route))
    if standing := getattr(everything, "standing", None):
        assert standing.superseded_threads == 0


@pytest.mark.parametrize("name", sorted(name for name, each in known().items() if "thread_id" in each.row.model_fields))
def test_no_row_of_a_read_model_is_of_a_superseded_thread(both: tuple[TenantLedger, TenantLedger], name: str) -> None:
    ledger, _ = both
    assert {row.thread_id for row in ledger.now.rows(name).items} == {NEW}
    assert {row.thread_id for row in ledger.now.rows(name, include_superseded=True).items} == {OLD, NEW}
    assert {row.thread_id for row in ledger.now.rows(name, thread_id=OLD).items} == {OLD}


def test_who_names_a_superseded_thread_or_run_has_it(both: tuple[TenantLedger, TenantLedger]) -> None:
    ledger, _ = both
    reading = ledger.now
    assert len(reading.runs(thread_id=OLD).items) == 2
    assert len(reading.decisions(run_id="run_old_0").items) == 1
    assert reading.usage(thread=OLD).total.calls == 2
    assert reading.summary("run_old_0").run_id == "run_old_0"
    assert [thread.superseded_by for thread in reading.threads(thread_id=OLD).items] == [(NEW,)]
    assert reading.thread(OLD).superseded_by == (NEW,)


def test_before_it_was_superseded_it_counted(both: tuple[TenantLedger, TenantLedger]) -> None:
    ledger, _ = both
    (superseded,) = ledger.events(types=("thread.superseded",))
    before = ledger.at(superseded.position - 1).runs()
    assert {run.thread_id for run in before.items} == {OLD, NEW}


def test_what_adds_up_of_a_goal_is_taken_off() -> None:
    of_times_and_words = {"first_run_at", "last_run_at", "goal_id", "criteria", "criteria_weight"}
    of_words = {"hard_constraints", "soft_constraints"}
    others = {name for name in GoalRow.model_fields if not name.endswith("position")} - of_times_and_words - of_words
    assert set(COUNTS) == others
