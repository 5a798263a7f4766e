"""Any question, as of a position, a time of the store, or a version of a run."""

from datetime import datetime, timedelta

import pytest

from runfold import ApprovalNotFound, Ledger, Run, RunNotFound, ThreadNotFound
from runfold.api.table import QUESTIONS
from runfold.errors import UsageError


@pytest.fixture
def story(ledger: Ledger) -> Run:
    """Positions: 1 thread, 2-3 run, 4 question, 5-6 approval, 7-9 granted, 10 answer, 11 revised, 12 completed, 13 renamed."""
    thread = ledger.create_thread(thread_id="thread_1", agent_id="support", title="before")
    run = thread.start_run(run_id="run_1")
    run.add_message("user", "question", message_id="msg_1")
    run.request_approval("send", approval_id="approval_1").grant(actor="human:ada")
    answer = run.add_message("assistant", "anser", message_id="msg_2")
    answer.revise("answer")
    run.complete()
    thread.rename("after")
    return run


@pytest.mark.row("RV-26")
def test_questions_about_a_position_are_answered_as_they_were_then(ledger: Ledger, story: Run) -> None:
    assert ledger.position() == 13
    statuses = [ledger.at(position).run("run_1").status for position in range(2, 14)]
    assert statuses == [
        "created",
        "running",
        "running",
        "running",
        "waiting",
        "waiting",
        "waiting",
        *["running"] * 3,
        *["completed"] * 2,
    ]
    texts = [[message.text for message in ledger.at(position).messages("thread_1")] for position in (3, 4, 9, 10, 11, 13)]
    assert texts == [[], ["question"], ["question"], ["question", "anser"], ["question", "answer"], ["question", "answer"]]
    assert [ledger.at(position).approval("approval_1").status for position in (5, 7, 8, 13)] == [
        "open",
        "open",
        "granted",
        "granted",
    ]
    assert [ledger.at(position).thread("thread_1").title for position in (1, 12, 13)] == ["before", "before", "after"]
    assert [ledger.at(position).thread("thread_1").runs for position in (1, 2)] == [0, 1]
    assert [len(list(ledger.at(position).thread_events("thread_1"))) for position in (1, 7, 13)] == [1, 7, 13]


def test_what_did_not_exist_yet_is_not_found(ledger: Ledger, story: Run) -> None:
    with pytest.raises(ThreadNotFound):
        ledger.at(0).thread("thread_1")
    with pytest.raises(RunNotFound):
        ledger.at(1).run("run_1")
    with pytest.raises(RunNotFound):
        ledger.at(1).messages("thread_1", "run_1")
    with pytest.raises(ApprovalNotFound):
        ledger.at(4).approval("approval_1")
    assert ledger.at(1).messages("thread_1") == []
    assert ledger.at(0).threads().items == ()


def test_a_time_means_the_last_position_not_after_it(ledger: Ledger, story: Run) -> None:
    recorded = {found.position: found.recorded_at for found in ledger.events()}
    for position in (4, 6, 12):
        moment = recorded[position]
        assert ledger.at(moment).up_to >= position
        assert ledger.at(moment).run("run_1") == ledger.at(ledger.at(moment).up_to).run("run_1")
        assert ledger.at(moment.isoformat()).run("run_1") == ledger.at(moment).run("run_1")
        assert story.view(moment) == ledger.at(moment).run("run_1")
    assert ledger.at(recorded[1] - timedelta(seconds=1)).threads().items == ()


def test_versions_of_a_run_are_addressed_too(ledger: Ledger, story: Run) -> None:
    assert [story.view(at_version=version).status for version in (1, 2, 4, 5, 8)] == [
        "created",
        "running",
        "waiting",
        "running",
        "completed",
    ]
    assert [message.text for message in story.messages(at_version=3)] == ["question"]
    assert [message.text for message in story.messages(at_version=6)] == ["question", "anser"]
    assert [found.version for found in ledger.now.run_events("run_1", at_version=3)] == [1, 2, 3]
    assert [message.text for message in ledger.thread("thread_1").messages(at_run="run_1", at_version=6)] == ["question", "anser"]


def test_versions_begin_with_1_whatever_is_asked(ledger: Ledger, story: Run) -> None:
    asked = [(route, name) for route in QUESTIONS for name in route.fields if name in {"at_version", "version_a", "version_b"}]
    assert {"runs.get", "runs.diff", "items.get_of_thread"} <= {route.name for route, _ in asked}
    ids = {"thread_id": "thread_1", "run_id": "run_1", "run_a": "run_1", "run_b": "run_1"}
    for route, name in asked:
        given = {known: named for known, named in ids.items() if known in route.fields}
        question = getattr(ledger.now, route.method.__name__)
        with pytest.raises(UsageError, match=f"{name} takes a whole number from 1 to "):
            question(**given, **{name: 0})
        assert question(**given, **{name: 1}) is not None


@pytest.mark.parametrize("moment", [14, -1, "2026-01-31T09:30:00", "yesterday", datetime(2026, 1, 31)])
def test_a_moment_that_cannot_be_is_refused(ledger: Ledger, story: Run, moment: object) -> None:
    with pytest.raises(UsageError):
        ledger.at(moment)  # type: ignore[arg-type]


def test_the_past_stays_as_it_was_while_the_present_goes_on(ledger: Ledger, story: Run) -> None:
    before = [ledger.at(position).thread("thread_1") for position in range(1, 14)], ledger.at(13).run("run_1")
    story.branch().start()
    ledger.thread("thread_1").start_run(parent=None).add_message("user", "new")
    story.merge_metadata({"late": True})
    assert ([ledger.at(position).thread("thread_1") for position in range(1, 14)], ledger.at(13).run("run_1")) == before


def test_tool_calls_are_told_as_of_a_moment(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    call = run.call_tool("search", '{"q": 1}', provider_call_id="")
    call.start()
    call.succeed({"hits": 2})
    (view,) = ledger.now.tool_calls(run_id=run.id).items
    assert (view.name, view.arguments_text, view.arguments, view.status, view.result) == (
        "search",
        '{"q": 1}',
        {"q": 1},
        "succeeded",
        {"hits": 2},
    )
    assert (view.requested_position, view.resolved_position) == (4, 6)
    assert [[seen.status for seen in ledger.at(position).tool_calls(run_id=run.id).items] for position in (3, 4, 5)] == [
        [],
        ["called"],
        ["started"],
    ]


def test_threads_are_listed_newest_first_and_paged(ledger: Ledger) -> None:
    for number in range(5):
        ledger.create_thread(thread_id=f"thread_{number}")
    ledger.fold("threads")
    first = ledger.now.threads(limit=2)
    second = ledger.now.threads(limit=2, cursor=first.next_cursor)
    third = ledger.now.threads(limit=2, cursor=second.next_cursor)
    pages = (first, second, third)
    assert [row.thread_id for page in pages for row in page.items] == [f"thread_{number}" for number in (4, 3, 2, 1, 0)]
    assert third.next_cursor is None
    assert [row.thread_id for row in ledger.at(3).threads().items] == ["thread_2", "thread_1", "thread_0"]
