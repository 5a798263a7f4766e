"""Another tenant's things are not there."""

import time

import pytest

from runfold import ApprovalNotFound, Ledger, RunNotFound, ThreadNotFound
from runfold.commands.caller import Caller
from runfold.domain.values import Actor
from runfold.projections.registry import known
from tests.queries.decided import choose


@pytest.fixture
def stranger(settings):
    """The same database, opened for another tenant."""
    with Ledger.open(settings=settings.model_copy(update={"tenant": "stranger"})) as opened:
        yield opened


@pytest.mark.row("RV-22")
@pytest.mark.fault("I8", "H-3")
def test_every_question_and_command_about_another_tenants_things_finds_nothing(ledger: Ledger, stranger: Ledger) -> None:
    thread = ledger.create_thread(thread_id="thread_1", agent_id="support")
    run = thread.start_run(run_id="run_1")
    message = run.add_message("user", "secret")
    approval = run.request_approval("send", approval_id="approval_1")
    before = ledger.position()
    theirs, their_run, their_approval = stranger.thread("thread_1"), stranger.run("run_1"), stranger.approval("approval_1")

    for ask in (
        theirs.view,
        theirs.tree,
        theirs.messages,
        lambda: list(theirs.events()),
        lambda: theirs.rename("x"),
        theirs.start_run,
        theirs.archive,
    ):
        with pytest.raises(ThreadNotFound, match="no thread 'thread_1'"):
            ask()
    for ask in (
        their_run.view,
        their_run.messages,
        their_run.state,
        their_run.complete,
        their_run.branch,
        their_run.cancel,
        lambda: their_run.message(message.id).revise("x"),
        lambda: stranger.now.tool_calls(run_id="run_1"),
        lambda: list(stranger.now.run_events("run_1")),
    ):
        with pytest.raises(RunNotFound, match="no run 'run_1'"):
            ask()
    for ask in (
        lambda: their_approval.grant(actor="human:eve"),
        their_approval.deny,
        lambda: stranger.now.approval("approval_1"),
    ):
        with pytest.raises(ApprovalNotFound, match="no approval 'approval_1'"):
            ask()
    own = stranger.create_thread(thread_id="thread_2", agent_id="spy")
    with pytest.raises(RunNotFound):
        own.start_run(parent="run_1")
    with pytest.raises(RunNotFound):
        own.name_head("stolen", "run_1")
    assert [found.thread_id for found in ledger.events(after=before)] == []
    assert approval.id == "approval_1"


@pytest.mark.fault("I8")
def test_lists_and_feeds_hold_ones_own_alone(ledger: Ledger, stranger: Ledger) -> None:
    ledger.create_thread(thread_id="thread_1", agent_id="support").start_run()
    stranger.create_thread(thread_id="thread_2", agent_id="support").start_run()
    ledger.fold("threads")
    assert [row.thread_id for row in ledger.now.threads().items] == ["thread_1"]
    assert [row.thread_id for row in stranger.now.threads().items] == ["thread_2"]
    assert {found.thread_id for found in ledger.events()} == {"thread_1"}
    assert {found.thread_id for found in stranger.subscribe(follow=False)} == {"thread_2"}
    for ask in (stranger.events, stranger.subscribe):
        with pytest.raises(ThreadNotFound):
            ask(thread_id="thread_1")


@pytest.mark.fault("H-3")
def test_a_key_of_one_tenant_means_nothing_to_another(ledger: Ledger, stranger: Ledger) -> None:
    mine = ledger.create_thread(agent_id="support").start_run(key="order-7")
    theirs = stranger.create_thread(agent_id="support").start_run(key="order-7")
    assert mine.id != theirs.id


@pytest.mark.fault("I8")
def test_a_question_that_forgets_the_tenant_is_answered_from_ones_own_alone(ledger: Ledger, stranger: Ledger) -> None:
    for each, title in ((ledger, "kept"), (stranger, "secret")):
        run = each.create_thread(agent_id="support", title=title).start_run(goal={"id": "g"})
        run.add_message("user", title)
        choose(run)
        run.request_approval("send")
        run.report_problem("minor", "slow")
        run.call_tool("search", {})
        run.usage(input_tokens=1)
    ledger.fold()
    position = ledger.position()
    ledger.make_schema("by_then", processes=1)
    served = ledger.on_behalf(Caller("stranger", Actor.parse("human:eve")))
    for desk in (stranger, served):
        assert desk.now.reader.rows("SELECT DISTINCT tenant_id FROM runfold.log") == [("stranger",)]
        models = desk.now.read_models
        with models.reading(*known()) as now, models.of_schema("by_then", position, [*known()]) as past:
            for name in known():
                asked = f"SELECT DISTINCT tenant_id FROM {{{name}}}"
                assert now.query(asked) == past.query(asked) == [("stranger",)], name
    assert set(ledger.recorder.reader.rows("SELECT DISTINCT tenant_id FROM runfold.log")) == {("stranger",), ("default",)}


@pytest.mark.fault("I8")
def test_how_far_behind_an_answer_is_does_not_hang_on_whose_the_next_event_is(ledger: Ledger, stranger: Ledger) -> None:
    stranger.create_thread(agent_id="support")
    ledger.fold("threads")
    ledger.create_thread(agent_id="support")
    time.sleep(0.02)
    standing = stranger.now.threads().standing
    assert (standing.position, standing.head) == (1, 2)
    assert standing.behind_seconds > 0.01
