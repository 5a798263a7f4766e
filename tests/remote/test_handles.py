"""The same handles here and over HTTP: each test runs against a ledger that is opened and against one that is connected."""

import asyncio
import contextlib
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from runfold import (
    ApprovalNotFound,
    CommandRefused,
    DuplicateWithDifferentContent,
    InvalidEvent,
    Ledger,
    ReadModelBehind,
    Receipt,
    RemoteLedger,
    Run,
    RunNotFound,
    ThreadNotFound,
    VersionConflict,
)
from runfold.api.route import KINDS
from runfold.api.table import COMMANDS, NOT_OVER_HTTP, QUESTIONS, QUESTIONS_NOT_OVER_HTTP
from runfold.commands.caller import Caller
from runfold.domain.decision import Option
from runfold.domain.parts import TextPart
from runfold.domain.run_events import Goal
from runfold.domain.values import Actor
from runfold.errors import LedgerError, UsageError
from runfold.handles.calling.handle import Handle
from runfold.handles.ledgers.ledger_handle import LedgerHandle
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.http.app import create_app
from runfold.queries.reading import Reading
from tests.remote.module_ledger import module_ledger
from tests.serving import Anybody, serving, without_salt

Some = TenantLedger | RemoteLedger


@pytest.fixture
def remote(address: str) -> Iterator[RemoteLedger]:
    """The test's ledger, over HTTP."""
    with Ledger.connect(address) as connected:
        yield connected


@pytest.fixture(params=["here", "over HTTP"])
def some(request: pytest.FixtureRequest, ledger: Ledger) -> Some:
    """The ledger as human:ada sees it."""
    if request.param == "here":
        return ledger.on_behalf(Caller("default", Actor(kind="human", id="ada")))
    connected: RemoteLedger = request.getfixturevalue("remote")
    return connected


@pytest.fixture
def run(some: Some) -> Run:
    return some.create_thread(agent_id="support").start_run(input={"ticket": 42})


def test_a_branch_carries_on_what_its_past_left_open(some: Some, run: Run) -> None:
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    branch = run.branch()
    branch.start()
    (open_call,) = branch.tool_calls().items
    assert (open_call.call_id, open_call.requested_run_id, open_call.name) == (call.id, run.id, "refund")
    approval = branch.request_approval("refund", arguments={"order": 7}, call_id=call.id, requester_excluded=False)
    some.approval(approval.id).deny("not now")
    assert [(each.status, each.error_code) for each in branch.tool_calls().items] == [("failed", "approval_denied")]
    other = run.branch()
    other.start()
    asked = other.request_approval("refund", arguments={"order": 7}, call_id=call.id, requester_excluded=False)
    some.approval(asked.id).grant()
    other.tool_call(call.id).start(approval=asked.id)
    other.tool_call(call.id).succeed({"refunded": True})
    assert [each.result for each in other.tool_calls(scope="path").items] == [{"refunded": True}]
    assert [each.status for each in run.tool_calls().items] == ["called"]
    assert run.view().open_tool_calls == 1


def test_a_branch_goes_on_with_a_message_that_its_past_left_streaming(some: Some, run: Run) -> None:
    draft = run.add_message("assistant", "It comes ", streaming=True)
    branch, other = run.branch(), run.branch()
    for each in (branch, other):
        each.start()
    draft.append_text("never.")
    draft.seal(finish_reason="length")
    mine = branch.message(draft.id)
    with pytest.raises(CommandRefused, match="is still streaming; `seal"):
        mine.revise("It comes today.")
    with pytest.raises(CommandRefused, match="has 9 characters, so offset 5 would leave a gap or overlap"):
        mine.append_text("later", offset=5)
    assert mine.append_text("today.", offset=9).appended == 1
    assert mine.append_text("today.", offset=9).appended == 0
    following = branch.branch()
    assert mine.seal(finish_reason="stop").appended == 1
    assert mine.seal().appended == 0
    messages = [message for each in (run, branch, other) for message in each.messages()]
    said = [(message.text, message.streaming, message.finish_reason) for message in messages]
    assert said == [("It comes never.", False, "length"), ("It comes today.", False, "stop"), ("It comes ", True, None)]
    mine.revise("It comes tomorrow.")
    assert [message.revision for message in branch.messages()] == [2]
    following.start()
    following.message(draft.id).append_text(" Or so.")
    assert [message.text for message in following.messages()] == ["It comes today. Or so."]
    with pytest.raises(CommandRefused, match="this run has no message"):
        branch.message("msg_none").append_text("x")


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_what_a_stream_tells_last_is_recorded_after_the_end(some: Some, ledger: Ledger, run: Run, end: str) -> None:
    step, model_call = run.start_step("answering"), run.start_model_call(provider="openai")
    draft = run.add_message("assistant", "It comes ", streaming=True)
    getattr(run, end)(*(["no more"] if end == "fail" else []))
    ended = run.view()
    draft.seal(finish_reason="stop")
    model_call.finish(finish_reasons=["stop"], response_model="gpt-4o-2024-08-06")
    used = run.usage(provider="openai", model="gpt-4o", input_tokens=812, model_call_id=model_call.id, step_id=step.id)
    assert used == run.usage(provider="openai", model="gpt-4o", input_tokens=812, model_call_id=model_call.id, step_id=step.id)
    run.report_cost("0.25", usage_id=used.id)
    used.correct(reason="counted again", input_tokens=813)
    run.record_timing(ttft_ns=5, total_duration_ns=7)
    with pytest.raises(CommandRefused, match="an ended run accepts no more work"):
        draft.append_text("more")
    assert (run.view().status, run.view().stop_reason) == (ended.status, ended.stop_reason)
    assert [message.streaming for message in run.messages()] == [False]
    ledger.fold("usage", "run_summaries", "attention")
    total = some.now.usage(run=run.id).total
    assert (total.calls, total.input_tokens) == (1, 813)
    assert total.costs["USD"].reported == {"unstated": Decimal("0.25")}
    (summary,) = some.now.runs().items
    assert (summary.duration_ns, summary.status) == (7, ended.status)
    steps = {view.kind: view for view in some.now.steps(run.id)}
    assert (steps["step"].tokens.input_tokens, steps["model_call"].finish_reasons) == (813, ("stop",))


def test_a_run_is_recorded_from_its_first_word_to_its_end(some: Some, ledger: Ledger) -> None:
    thread = some.create_thread(agent_id="support", title="Orders", metadata={"tier": "gold"})
    assert thread.receipt == Receipt(thread.id, 1, 1, ledger.events()[0].recorded_at, 1)
    run = thread.start_run({"ticket": 42}, goal=Goal(id="order"))
    question = run.add_message("user", "Where is my order?")
    call = run.call_tool("find_order", {"order": 7})
    key = call.start()
    assert key.startswith("exec_")
    assert call.succeed({"found": True}).version == run.view().version
    choice = run.decide("answer", options=[Option(id="a", description="tell"), {"id": "b", "description": "ask"}], chosen="a")
    choice.outcome(success=True, summary="told")
    problem = run.report_problem("minor", "slow")
    problem.resolve("faster now")
    used = run.usage(provider="openai", model="gpt-4o", input_tokens=812, output_tokens=64)
    used.correct(reason="counted again", input_tokens=813, output_tokens=64)
    assert run.report_cost(Decimal("0.25"), usage_id=used.id).appended == 1
    step = run.start_step("answering", node_id="answer")
    step.finish()
    model_call = run.start_model_call(provider="openai", prompt_message_ids=(question.id,))
    model_call.finish(finish_reasons=["stop"], ttft_ns=5)
    run.set_state({"open": [1]})
    run.patch_state([{"op": "add", "path": "/open/-", "value": 2}])
    draft = run.add_message("assistant", streaming=True)
    draft.append_text("It comes ")
    draft.append_text("today.", offset=9)
    draft.seal()
    run.complete(output={"answered": True})
    assert [message.text for message in run.messages()] == ["Where is my order?", "It comes today."]
    assert [message.id for message in thread.messages()] == [question.id, draft.id]
    assert run.state() == {"open": [1, 2]}
    assert run.view().status == "completed"
    assert thread.view().title == "Orders"
    assert thread.tree().heads == {"main": run.id}
    assert without_salt(some.events()) == without_salt(ledger.events())
    assert without_salt(thread.events()) == without_salt(ledger.events())
    assert {str(recorded.metadata.actor) for recorded in ledger.events()} == {"human:ada"}


def test_a_branch_revises_what_its_parent_said(some: Some, run: Run) -> None:
    question = run.add_message("user", (TextPart(text="Where is my order?"),))
    assert question.receipt is not None
    other = run.branch(at_version=question.receipt.version, metadata={"why": "parcel"})
    other.message(question.id).revise([{"type": "text", "text": "Where is my parcel?"}], reason="other words")
    assert [message.text for message in other.messages()] == ["Where is my parcel?"]
    assert [message.text for message in run.messages()] == ["Where is my order?"]
    thread = some.thread(run.view().thread_id)
    thread.name_head("parcel", other)
    thread.move_head("parcel", run.id, expected=other.id)
    thread.put_head("order", run)
    assert thread.tree().heads == {"main": run.id, "order": run.id, "parcel": run.id}


def test_an_approval_is_asked_for_granted_by_somebody_and_used_once(some: Some, run: Run) -> None:
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    approval = run.request_approval(
        "refund",
        arguments={"order": 7},
        call_id=call.id,
        expires_in=timedelta(hours=1),
        eligible={"human:ada"},
        requester_excluded=False,
    )
    assert run.view().waiting_for == (approval.id,)
    assert some.now.approval(approval.id).requested_by == "human:ada"
    receipt = some.approval(approval.id).grant(comment="yes", arguments={"order": 8})
    assert receipt.appended == 3
    assert some.now.approval(approval.id).effective_arguments_text == '{"order":8}'
    key = call.start(approval=approval)
    assert some.now.approval(approval.id).consumed_by == key
    with pytest.raises(CommandRefused):
        call.start(approval=approval, execution_key="another")


def test_two_who_decide_an_approval_at_once_decide_it_once(ledger: Ledger, address: str) -> None:
    with Ledger.connect(address) as one, Ledger.connect(address) as other:
        run = one.create_thread(agent_id="support").start_run()
        approval = run.request_approval("refund", requester_excluded=False)
        yes, no = one.approval(approval.id).submit_grant(), other.approval(approval.id).submit_deny("no")
        refused = [error for answer in (yes, no) if isinstance(error := _error(answer.result), CommandRefused)]
        assert len(refused) == 1
        assert one.now.approval(approval.id).status in {"granted", "denied"}
        assert one.now.run(run.id).status == "running"


def _error(work: Callable[[], object]) -> LedgerError | None:
    try:
        work()
    except LedgerError as error:
        return error
    return None


REFUSED: dict[str, tuple[Callable[[Some, Run], object], type[LedgerError]]] = {
    "no such thread": (lambda some, _: some.thread("thread_none").rename("x"), ThreadNotFound),
    "no such run": (lambda some, _: some.run("run_none").add_message("user", "x"), RunNotFound),
    "no such approval": (lambda some, _: some.approval("approval_none").grant(), ApprovalNotFound),
    "what can be no run": (lambda some, _: some.run("no/run").complete(), RunNotFound),
    "reading no such run": (lambda some, _: some.now.run("run_none"), RunNotFound),
    "reading what can be no run": (lambda some, _: some.now.run("../x"), RunNotFound),
    "events of no such thread": (lambda some, _: some.thread("thread_none").events(), ThreadNotFound),
    "a wrong version": (lambda _, run: run.add_message("user", "x", expected_version=9), VersionConflict),
    "another content": (
        lambda _, run: [run.add_message("user", text, message_id="m1") for text in "ab"],
        DuplicateWithDifferentContent,
    ),
    "after the end": (lambda _, run: [run.complete(), run.resume()], CommandRefused),
    "a wrong word": (lambda _, run: run.add_message("nobody", "x"), InvalidEvent),  # type: ignore[arg-type]
    "a NUL": (lambda _, run: run.complete(output={"a": ["\0"]}), InvalidEvent),
    "no JSON": (lambda _, run: run.complete(output={"a": {1, 2}}), InvalidEvent),
    "a float of money": (lambda _, run: run.report_cost(0.1), InvalidEvent),
    "a negative count": (lambda _, run: run.usage(input_tokens=-1), InvalidEvent),
    "a time without zone": (lambda _, run: run.complete(occurred_at=datetime(2026, 1, 1)), InvalidEvent),
    "no duration": (lambda _, run: run.request_approval("x", expires_in="soon"), InvalidEvent),
    "a bad thread id": (lambda some, _: some.create_thread(thread_id="x y"), InvalidEvent),
    "an unknown word": (lambda _, run: run.complete(colour="red"), InvalidEvent),  # type: ignore[call-arg]
    "a position beyond": (lambda some, _: some.at(10_000).run("run_x"), UsageError),
    "a time that is none": (lambda some, _: some.at("yesterday"), UsageError),
    "a truth as a position": (lambda some, _: some.at(True).run("run_x"), UsageError),
    "a part of a position": (lambda _, run: run.messages(at=1.5), UsageError),  # type: ignore[arg-type]
    "text as a moment of a handle": (lambda _, run: run.view(at="1"), UsageError),  # type: ignore[arg-type]
    "a position as when it happened": (lambda some, _: some.now.happened_at(1), UsageError),  # type: ignore[arg-type]
    "text as a version": (lambda _, run: run.add_message("user", "x", expected_version="1"), InvalidEvent),  # type: ignore[arg-type]
    "text as the version of a branch": (lambda _, run: run.branch(at_version="1"), InvalidEvent),  # type: ignore[arg-type]
    "a read model that was never folded": (lambda some, _: some.now.runs(), ReadModelBehind),
}


@pytest.fixture(scope="module")
def both(admin_url: str, template: str) -> Iterator[tuple[Some, Some]]:
    """One ledger, here and over HTTP."""
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(module_ledger(admin_url, template, "remote_errors"))
        connected = stack.enter_context(Ledger.connect(stack.enter_context(serving(create_app(ledger, Anybody())))))
        yield ledger.on_behalf(Caller("default", Actor(kind="human", id="ada"))), connected


@pytest.mark.parametrize("what", REFUSED)
def test_an_error_is_the_same_here_and_over_http(what: str, both: tuple[Some, Some]) -> None:
    work, kind = REFUSED[what]
    found: list[tuple[LedgerError, str]] = []
    for some in both:
        run = some.create_thread(agent_id="support").start_run()
        with pytest.raises(kind) as caught:
            work(some, run)
        found.append((caught.value, run.id))
    (here, run_here), (there, run_there) = found
    assert type(here) is type(there)
    assert here.exit_code == there.exit_code
    if kind in {InvalidEvent, UsageError}:  # the words may be the server's, the place is the same
        assert here.facts.get("path") == there.facts.get("path")
    else:
        assert str(there) == _as(str(here), run_here, run_there)
        assert str(there.facts) == _as(str(here.facts), run_here, run_there)
        assert str(vars(there)) == _as(str(vars(here)), run_here, run_there)


def _as(told: str, run: str, other: str) -> str:
    """What is told of one run, as it would be of the other, which was recorded three events later."""
    later = re.compile(r"(, not at |'wanted': )(\d+)")
    return later.sub(lambda found: f"{found[1]}{int(found[2]) + 3}", told.replace(run, other))


def test_the_same_id_with_the_same_content_is_recorded_once(some: Some, run: Run) -> None:
    first, again = (run.add_message("user", "hello", message_id="m1") for _ in range(2))
    assert first == again
    assert first.receipt is not None
    assert again.receipt is not None
    assert (first.receipt.appended, again.receipt.appended) == (1, 0)
    assert first.receipt.position == again.receipt.position
    assert len(run.messages()) == 1


def test_the_past_is_answered_at_a_position_and_at_a_time(some: Some, run: Run, ledger: Ledger) -> None:
    first = run.add_message("user", "one")
    assert first.receipt is not None
    assert first.receipt.recorded_at is not None
    run.add_message("user", "two")
    run.complete()
    for moment in (first.receipt.position, first.receipt.recorded_at, first.receipt.recorded_at.isoformat()):
        past = some.at(moment)
        assert [message.text for message in past.messages(run_id=run.id)] == ["one"]
        assert past.run(run.id).status == "running"
        assert [recorded.position for recorded in past.run_events(run.id)] == [2, 3, 4]
    assert [recorded.version for recorded in some.now.run_events(run.id, 2)] == [1, 2]
    assert [message.text for message in run.messages(first.receipt.position)] == ["one"]
    assert [message.text for message in run.messages(at_version=3)] == ["one"]
    with pytest.raises(ThreadNotFound):
        list(some.at(1).thread_events("thread_none"))


def test_lists_come_whole_and_pages_as_they_are(some: Some, run: Run, ledger: Ledger) -> None:
    with ledger.batch() as batch:
        for number in range(1200):
            batch.run(run.id).add_message("user", str(number))
    assert [message.text for message in run.messages()] == [str(number) for number in range(1200)]
    assert len(some.events(limit=5000)) == 1203
    assert [recorded.position for recorded in some.events(after=1000, limit=3)] == [1001, 1002, 1003]
    assert [recorded.type for recorded in some.events(types=["run.*"])] == ["run.created", "run.started"]
    assert some.position() == 1203


def test_a_read_model_is_waited_for(some: Some, run: Run, ledger: Ledger) -> None:
    ledger.fold()
    page = some.now.runs(min_position=run.view().position, status="running")
    assert [row.run_id for row in page.items] == [run.id]
    used = some.now.usage(by=("day", "model"), run=run.id, since=datetime.now(UTC).date())
    assert used.standing.position == some.position()
    assert some.now.summary(run.id).run_id == run.id


def test_what_is_submitted_on_one_run_keeps_its_order(some: Some, run: Run) -> None:
    texts = [str(number) for number in range(60)]
    on_their_way = [run.submit_add_message("assistant", text) for text in texts]
    run.add_message("user", "last")
    assert all(answer.done() for answer in on_their_way)
    assert [message.text for message in run.messages()] == [*texts, "last"]


def test_what_is_submitted_may_name_what_was_submitted_before(some: Some) -> None:
    answers = [some.submit_create_thread(agent_id="support", thread_id="thread_a")]
    answers.append(some.thread("thread_a").submit_start_run(run_id="run_a"))  # type: ignore[arg-type]
    answers.append(some.run("run_a").submit_add_message("user", "hello"))  # type: ignore[arg-type]
    answers.append(some.run("run_a").submit_complete())  # type: ignore[arg-type]
    assert [answer.result(30) is not None for answer in answers] == [True] * 4
    assert some.now.run("run_a").status == "completed"


def test_async_callers_await_their_answers(some: Some, run: Run) -> None:
    async def record() -> list[str]:
        answers = [run.submit_add_message("assistant", text) for text in "abc"]
        refused = run.submit_add_message("assistant", "x", expected_version=1)
        made = [(await answer).id for answer in answers]
        with pytest.raises(VersionConflict):
            await refused
        return made

    assert asyncio.run(record()) == [message.id for message in run.messages()]


def test_a_batch_of_one_run_is_recorded_whole_or_not_at_all(some: Some, run: Run) -> None:
    with some.batch() as batch:
        inside = batch.run(run.id)
        question = inside.add_message("user", "Where is my order?")
        call = inside.call_tool("find_order", {"order": 7})
        key = call.start()
        call.succeed("found")
        inside.usage(input_tokens=1, model_call_id="mcall_1")
    assert batch.receipt is not None
    assert batch.receipt.version == run.view().version == 7
    assert key.startswith("exec_")
    assert [message.id for message in run.messages()] == [question.id]
    assert [call.status for call in some.now.tool_calls(run_id=run.id).items] == ["succeeded"]
    with pytest.raises(LedgerError), some.batch() as batch:  # noqa: PT012  here the second is refused, there the whole
        batch.run(run.id).add_message("user", "one")
        batch.run(run.id).tool_call("call_none").succeed()
    assert run.view().version == 7


@pytest.mark.parametrize("fails", [False, True])
def test_a_batch_takes_no_command_after_its_end(some: Some, run: Run, *, fails: bool) -> None:
    """It would be lost without a word: nobody stores it any more."""
    with contextlib.suppress(ZeroDivisionError), some.batch() as batch:
        inside = batch.run(run.id)
        message = inside.add_message("user", "in time")
        if fails:
            raise ZeroDivisionError
    before = run.view().version
    say = partial(batch.run(run.id).add_message, "user", "late")
    for late in (inside.complete, partial(message.revise, "late"), say, batch.store, batch.submit_store):
        with pytest.raises(UsageError, match="the batch has ended"):
            late()
    assert run.view().version == before == 3 - fails
    assert inside.view().status == "running"
    assert [said.text for said in inside.messages()] == ["in time"] * (not fails)
    assert (len(batch), batch.appended) == (0, 1 - fails)


def test_the_next_part_of_a_batch_is_built_while_one_is_on_its_way(some: Some, run: Run) -> None:
    written = [str(number) for number in range(12)]
    with some.batch() as batch:
        inside, parts = batch.run(run.id), []
        for text in written:
            inside.add_message("user", text)
            if len(batch) == 3:
                parts.append(batch.submit_store())
                assert len(batch) == 0
        assert batch.submit_store().result(30) == parts[-1].result(30) == batch.receipt, "nothing was new"
        assert inside.view().version == 14
        inside.complete()
    assert [part.result().version for part in parts] == [5, 8, 11, 14]
    assert batch.appended == 13
    assert [message.text for message in run.messages()] == written
    for place in ("its result", "the next part", "storing", "a question", "the end"):
        with pytest.raises(CommandRefused), some.batch() as batch:  # noqa: PT012  here it is refused itself, there its part
            batch.run(run.id).add_message("user", "late")
            part = batch.submit_store()
            batch.run(run.id).add_message("user", "later")
            match place:
                case "its result":
                    part.result(30)
                case "the next part":
                    batch.submit_store()
                case "storing":
                    batch.store()
                case "a question":
                    batch.run(run.id).view()
    assert run.view().version == 15


def test_a_batch_over_http_takes_one_run(remote: RemoteLedger) -> None:
    thread = remote.create_thread(agent_id="support")
    one, other = thread.start_run(), thread.start_run()
    with remote.batch() as batch:
        batch.run(one.id).add_message("user", "hello")
        for work in (
            lambda: batch.run(other.id).add_message("user", "hello"),
            lambda: batch.thread(thread.id).rename("x"),
            batch.create_thread,
            lambda: batch.run(one.id).submit_complete(),
        ):
            with pytest.raises(UsageError):
                work()
    assert (one.view().messages, other.view().messages) == (1, 0)


def test_who_acts_is_the_owner_of_the_key(remote: RemoteLedger) -> None:
    run = remote.create_thread(agent_id="support").start_run()
    with pytest.raises(UsageError, match="owner of the key"):
        run.request_approval("refund").grant(actor="human:bob")


MADE_OF_COMMANDS = {"Approval.grant", "Approval.deny"}
ANSWERED_BY_QUESTIONS = {
    "Thread.view",
    "Thread.tree",
    "Thread.messages",
    "Thread.events",
    "Run.view",
    "Run.messages",
    "Run.tool_calls",
    "Run.state",
    "Run.ag_ui",
    "Run.context",
    "Run.compactions",
    "Thread.context",
}
NAMES_ONLY = {
    "Run.message",
    "Run.tool_call",
    "Run.decision",
    "Run.problem",
    "Run.recorded_usage",
    "LedgerHandle.thread",
    "LedgerHandle.run",
    "LedgerHandle.approval",
    "LedgerHandle.webhook",
}
"""Handles of what is there: nothing is asked for them."""
ANSWERED_BY_EVENTS = {Reading.thread_events, Reading.run_events}
"""Questions that are answered with pages of events."""


def _handles(kind: type[Handle] = Handle) -> set[type[Handle]]:
    return {kind}.union(*(_handles(child) for child in kind.__subclasses__()))


def test_every_method_of_every_handle_goes_over_http_or_is_an_exception_with_a_reason() -> None:
    methods = {
        (f"{kind.__name__}.{name}", method)
        for kind in KINDS
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith(("_", "submit_"))
    }
    offered = {*(route.method for route in COMMANDS), *NOT_OVER_HTTP}
    names = {name for name, method in methods if method not in offered}
    assert names == MADE_OF_COMMANDS | ANSWERED_BY_QUESTIONS | NAMES_ONLY
    assert offered <= {method for _, method in methods}


def test_every_kind_of_handle_is_among_those_that_have_commands() -> None:
    leaves = {kind for kind in _handles() if not kind.__subclasses__() and kind.__module__.startswith("runfold.")}
    assert {kind for kind in leaves if not issubclass(kind, LedgerHandle)} == {*KINDS} - {LedgerHandle}


def test_every_question_is_a_route_or_an_exception_with_a_reason(remote: RemoteLedger) -> None:
    questions = {method for name, method in inspect.getmembers(Reading, inspect.isfunction) if not name.startswith("_")}
    routes = {route.method for route in QUESTIONS}
    assert questions - {Reading.at, Reading.happened_at} == routes | QUESTIONS_NOT_OVER_HTTP.keys() | ANSWERED_BY_EVENTS
    for method, reason in QUESTIONS_NOT_OVER_HTTP.items():
        with pytest.raises(UsageError, match="not offered over HTTP") as refused:
            getattr(remote.now, method.__name__)()
        assert reason in str(refused.value)


def test_what_a_desk_offers_a_connected_ledger_offers_or_there_is_a_reason() -> None:
    kept = {
        "create_key": "keys are made where the database is, or with runfold keys",
        "revoke_key": "as create_key",
        "keys": "as create_key",
        "recorded_under_key": "for the server",
        "find": "for the server",
        "head": "for the server",
        "denied": "for the server",
    }
    offered = {name for name in dir(TenantLedger) if not name.startswith("_")}
    assert offered - kept.keys() <= {name for name in dir(RemoteLedger) if not name.startswith("_")}
    assert {name for name in dir(LedgerHandle) if not name.startswith("_")} <= {*dir(RemoteLedger)}


def test_the_command_without_a_route_says_so(remote: RemoteLedger) -> None:
    thread: Any = remote.create_thread(agent_id="support")
    with pytest.raises(UsageError, match=r"Thread.record_import is not offered over HTTP"):
        thread.record_import({})


def test_tenants_are_apart_over_http_too(ledger: Ledger, remote: RemoteLedger) -> None:
    theirs = ledger.on_behalf(Caller("acme", Actor(kind="human", id="eve"))).create_thread(agent_id="x")
    with pytest.raises(ThreadNotFound):
        remote.thread(theirs.id).view()
    with serving(create_app(ledger, Anybody())) as address, Ledger.connect(address) as other:
        assert other.events() == []
