"""The runs that a person should look at."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, get_args

import pytest

from runfold import Ledger, Run, Thread
from runfold.domain.problem import Severity
from runfold.errors import UsageError
from runfold.projections.runs.attention_row import REASONS, REASONS_OF_SILENCE, AttentionRow
from runfold.queries.page import Page
from runfold.queries.reading import Reading
from tests.projections.histories import DAWN, History
from tests.queries.decided import choose

SEVERITIES = get_args(Severity)
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def started(thread: Thread, name: str) -> Run:
    return thread.start_run(parent=None, run_id=f"run_{name}", occurred_at=NOON)


@pytest.mark.row("HV-88")
def test_runs_that_need_a_person_are_listed_with_all_their_reasons(folded, thread: Thread) -> None:
    started(thread, "fine").complete(occurred_at=NOON + timedelta(seconds=60))
    slow = started(thread, "slow")
    slow.complete(occurred_at=NOON + timedelta(seconds=61))
    dear = started(thread, "dear")
    dear.usage(input_tokens=100_001)
    busy = started(thread, "busy")
    for number in range(21):
        step = busy.start_step(f"step {number}")
        step.finish(error="no" if number == 3 else None)
    for _ in range(4):
        choose(busy, decision_type="retry_strategy")
    busy.fail("gave up", code="tired")
    stuck = started(thread, "stuck")
    stuck.mark_stuck("identical_responses")
    asking = started(thread, "asking")
    asking.request_approval("refund", occurred_at=NOON)
    using = started(thread, "using")
    using.call_tool("search").fail("no such order", code="not_found")
    using.complete(occurred_at=NOON)
    thread.create_run(parent=None, run_id="run_unbegun", occurred_at=NOON)
    page = folded().attention()
    assert {row.run_id: (row.severity, row.reasons) for row in page.items} == {
        "run_stuck": ("critical", ("stuck", "silent")),
        "run_busy": ("critical", ("failed", "node_failure", "retries", "latency", "steps")),
        "run_asking": ("warning", ("waiting_for_approval",)),
        "run_using": ("warning", ("tool_failure",)),
        "run_unbegun": ("warning", ("never_started",)),
    }
    assert {row.run_id: (row.severity, row.reasons) for row in folded().attention(severity="minor").items} == {
        "run_slow": ("minor", ("latency",)),
        "run_dear": ("minor", ("tokens",)),
    }
    row = next(row for row in page.items if row.run_id == "run_busy")
    assert (row.status, row.error_code, row.retries, row.failed_steps, row.steps) == ("failed", "tired", 4, 1, 21)


def silent(page: Page[AttentionRow]) -> list[str]:
    """Which runs of a page are silent."""
    return [row.run_id for row in page.items if {"silent", "never_started"} & {*row.reasons}]


def test_a_run_that_was_to_go_on_turns_up_when_it_has_not_been_heard_of_for_long(folded, thread: Thread) -> None:
    talking = started(thread, "talking")
    talking.add_message("assistant", "I work.", occurred_at=NOON + timedelta(minutes=30))
    thread.create_run(run_id="run_created", parent=None, occurred_at=NOON + timedelta(minutes=1))
    started(thread, "stuck").mark_stuck("idle", occurred_at=NOON + timedelta(minutes=40))
    started(thread, "asking").request_approval("refund", occurred_at=NOON)
    started(thread, "waiting").wait("external", occurred_at=NOON)
    started(thread, "done").complete(occurred_at=NOON)
    started(thread, "failed").fail("no", occurred_at=NOON + timedelta(minutes=20))
    started(thread, "cancelled").cancel(occurred_at=NOON)
    thread.start_run(parent=None, run_id="run_of_now")
    page = folded().attention()
    assert [(row.run_id, row.reasons) for row in page.items] == [
        ("run_stuck", ("stuck", "silent")),
        ("run_talking", ("silent",)),
        ("run_failed", ("failed", "latency")),
        ("run_created", ("never_started",)),
        ("run_asking", ("waiting_for_approval",)),
    ]
    talked = page.items[1]
    assert (talked.status, talked.needs_attention, talked.flagged_at) == ("running", True, None)
    assert talked.last_heard_at == talked.attention_since == NOON + timedelta(minutes=30)
    assert page.items[0].last_heard_at == NOON, "that somebody calls it stuck is nothing that it says"
    reading = folded()
    assert silent(reading.attention(reason="silent")) == ["run_stuck", "run_talking"]
    assert silent(reading.attention(reason="never_started")) == ["run_created"]
    assert len(reading.attention(reason=["silent", "never_started", "failed"]).items) == 4
    assert silent(reading.attention(reason="failed")) == []
    assert silent(reading.attention(silent_for="300000d")) == []
    assert silent(reading.attention(silent_for=timedelta.max)) == []
    assert silent(reading.attention(silent_for="0s", status="running")) == ["run_of_now", "run_talking"]
    assert silent(reading.attention(run_id="run_talking", thread_id=thread.id)) == ["run_talking"]
    thread.supersede(("thread_new",), "read otherwise")
    assert folded().attention().items == ()
    assert silent(folded().attention(thread_id=thread.id, order="asc")) == ["run_created", "run_talking", "run_stuck"]


def test_pages_hold_flagged_and_silent_runs_in_one_order(folded, thread: Thread) -> None:
    for number in range(12):
        run = thread.start_run(parent=None, run_id=f"run_{number:02}", occurred_at=NOON + timedelta(minutes=number % 5))
        if number % 3 == 0:
            run.fail("no", occurred_at=NOON + timedelta(minutes=number % 5))
    for order, sign in (("asc", 1), ("desc", -1)):
        found, cursor = [], None
        while len(found) < 12:
            page = folded().attention(order=order, limit=5, cursor=cursor)
            found += [(row.attention_since, row.run_id) for row in page.items]
            cursor = page.next_cursor
        assert cursor is None
        assert found == sorted(set(found))[::sign]


def test_silence_is_held_against_the_moment_that_is_asked_about(ledger: Ledger, thread: Thread) -> None:
    run = thread.start_run(run_id="run_long")
    position, now = ledger.position(), datetime.now(UTC)
    asked = {"thread_id": thread.id}
    assert silent(ledger.at(position).attention(**asked)) == []
    assert silent(ledger.at(now + timedelta(minutes=59)).attention(**asked)) == []
    assert silent(ledger.at(now + timedelta(hours=1)).attention(**asked)) == [run.id]
    told = started(ledger.create_thread(agent_id="a", occurred_at=NOON), "told")
    told.add_message("assistant", "I work.", occurred_at=NOON + timedelta(minutes=90))
    for minutes, found in ((59, []), (61, [told.id]), (100, []), (150, [told.id])):
        assert silent(ledger.happened_at(NOON + timedelta(minutes=minutes)).attention(run_id=told.id)) == found


def test_a_run_that_goes_on_needs_nobody_any_more(folded, thread: Thread) -> None:
    run = started(thread, "stuck")
    run.mark_stuck("idle")
    assert [row.run_id for row in folded().attention().items] == [run.id]
    run.add_message("assistant", "here I am")
    assert folded().attention().items == ()


def test_the_list_is_newest_first_twenty_to_a_page(folded, ledger: Ledger, thread: Thread) -> None:
    with ledger.batch() as batch:
        for number in range(45):
            run = batch.thread(thread.id).start_run(parent=None, run_id=f"run_{number:02}")
            run.fail("no", occurred_at=NOON + timedelta(minutes=number % 9))
    reading, cursor, found = folded(), None, []
    while True:
        page = reading.attention(cursor=cursor)
        found.append([(row.flagged_at, row.run_id) for row in page.items])
        if (cursor := page.next_cursor) is None:
            break
    assert [len(each) for each in found] == [20, 20, 5]
    rows = [row for each in found for row in each]
    assert rows == sorted(rows, reverse=True)
    assert len(set(rows)) == 45


def test_the_list_narrows_by_reason_state_thread_agent_and_goal(folded, ledger: Ledger, thread: Thread) -> None:
    first = thread.start_run(parent=None, goal={"id": "refund"})
    first.fail("no")
    second = ledger.create_thread(agent_id="other", user_id="mira").start_run()
    second.request_approval("refund")
    reading = folded()
    for asked, wanted in (
        ({"reason": "failed"}, [first]),
        ({"reason": ["waiting_for_approval", "stuck"]}, [second]),
        ({"status": "paused"}, [second]),
        ({"thread_id": thread.id}, [first]),
        ({"agent_id": "other"}, [second]),
        ({"goal_id": "refund"}, [first]),
        ({"user_id": "mira"}, [second]),
        ({"run_id": [first.id, second.id]}, [second, first]),
        ({"reason": "tokens"}, []),
    ):
        assert [row.run_id for row in reading.attention(**asked).items] == [run.id for run in wanted], asked
    with pytest.raises(UsageError, match="unknown reason 'sad'; expected one of failed, stuck, waiting_for_approval"):
        reading.attention(reason="sad")


def narrowed_by_hand(rows: Iterable[AttentionRow], asked: dict[str, Any]) -> list[str]:
    """What a list of all rows is narrowed to, row by row."""
    reasons, severities = (asked.get(name, ()) for name in ("reason", "severity"))
    worst = severities or (("critical", "warning", "minor") if reasons else ("critical", "warning"))
    since, until = asked.get("attention_from", DAWN), asked.get("attention_to", datetime.max.replace(tzinfo=UTC))
    found = [
        row
        for row in rows
        if row.severity in worst
        and (not reasons or {*reasons} & {*row.reasons})
        and row.attention_since is not None
        and since <= row.attention_since <= until
    ]
    return [row.run_id for row in sorted(found, key=lambda row: (row.attention_since, row.run_id), reverse=True)]


def test_any_reasons_severities_and_times_narrow_the_list_as_they_narrow_its_rows(folded, ledger: Ledger) -> None:
    dice = Random(14)  # noqa: S311  a story, not a secret
    History(dice).go_on(ledger, 900)
    reading = folded()
    everything = [row for severity in SEVERITIES for row in walk(reading, severity=severity)]
    assert len({row.run_id for row in everything}) == len(everything) > 20
    assert {row.severity for row in everything} == {*SEVERITIES}
    times = sorted(row.attention_since for row in everything)
    for _ in range(40):
        asked: dict[str, Any] = {}
        if dice.random() < 0.6:
            asked["reason"] = tuple(dice.sample([*REASONS, *REASONS_OF_SILENCE], dice.choice([1, 1, 2, 4])))
        if dice.random() < 0.5:
            asked["severity"] = tuple(dice.sample(SEVERITIES, dice.choice([1, 2])))
        if dice.random() < 0.4:
            asked["attention_from"] = dice.choice(times)
        if dice.random() < 0.4:
            asked["attention_to"] = dice.choice(times)
        assert [row.run_id for row in walk(reading, **asked)] == narrowed_by_hand(everything, asked), asked


def walk(reading: Reading, **asked: Any) -> Iterator[AttentionRow]:
    """All pages of a list."""
    cursor = None
    while True:
        page = reading.attention(**asked, cursor=cursor, limit=7)
        yield from page.items
        if (cursor := page.next_cursor) is None:
            return


def test_another_tenants_runs_are_not_in_any_answer(folded, ledger: Ledger, thread: Thread, settings) -> None:
    with Ledger.open(settings=settings.model_copy(update={"tenant": "stranger"})) as stranger:
        run = stranger.create_thread(agent_id="x").start_run(goal={"id": "refund"})
        choose(run, node_id="act")
        run.fail("no")
        mine = thread.start_run(parent=None, goal={"id": "refund"})
        reading = folded()
        assert (reading.attention().items, reading.failures().items, reading.decisions().items) == ((), (), ())
        assert (reading.patterns("refund").run_count, reading.goal_progress("refund").total_decisions) == (1, 0)
        assert (reading.node_performance("act").total_decisions, len(reading.goals().items)) == (0, 1)
        theirs = stranger.now
        assert [row.run_id for row in theirs.attention().items] == [run.id]
        assert theirs.patterns("refund").problematic_nodes[0].node_id == "act"
        assert mine.id not in {row.run_id for row in theirs.decisions().items}
