"""Blocks under `with` and `async with`: what they work on ends with them, here and over HTTP."""

import asyncio
import concurrent.futures
from collections.abc import Iterator
from typing import Any

import pytest

from runfold import CommandRefused, Ledger, LedgerUnavailable, RemoteLedger, Run
from runfold.errors import UsageError
from runfold.handles.calling.executor import Executor
from runfold.http.app import create_app
from tests.remote.module_ledger import module_ledger
from tests.serving import Anybody, serving

Some = Ledger | RemoteLedger

CANCELLED = (KeyboardInterrupt(), SystemExit(0), asyncio.CancelledError(), concurrent.futures.CancelledError(), GeneratorExit())


class OutOfStock(Exception):
    """What an application raises."""


class Wordless(Exception):
    """An exception whose words cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


FAILED: tuple[tuple[BaseException, str, str], ...] = (
    (ValueError("no cups left"), "ValueError", "no cups left"),
    (OutOfStock(), "OutOfStock", "OutOfStock"),
    (Wordless(), "Wordless", "Wordless"),
    (KeyError("cup"), "KeyError", "'cup'"),
    (ValueError("a\x00b \ud800"), "ValueError", "a�b ?"),
    (ValueError("long " * 10_000), "ValueError", ("long " * 10_000)[:9_999] + "…"),
    (ExceptionGroup("two", [ValueError(), KeyError()]), "ExceptionGroup", "two (2 sub-exceptions)"),
)


@pytest.fixture(scope="module")
def ledger(admin_url: str, template: str) -> Iterator[Ledger]:
    with module_ledger(admin_url, template, "blocks") as made:
        yield made


@pytest.fixture(scope="module")
def remote(ledger: Ledger) -> Iterator[RemoteLedger]:
    with serving(create_app(ledger, access=Anybody())) as address, Ledger.connect(address) as connected:
        yield connected


@pytest.fixture(params=["here", "over HTTP"])
def some(request: pytest.FixtureRequest, ledger: Ledger) -> Some:
    connected: Some = ledger if request.param == "here" else request.getfixturevalue("remote")
    return connected


@pytest.fixture(params=["with", "async with"])
def within(request: pytest.FixtureRequest) -> Any:
    """Works on something in a block of either kind, and returns the exception that came out of it."""

    def block(worked_on: Any, work: Any = lambda _: None) -> BaseException | None:
        async def go_on() -> None:
            async with worked_on as entered:
                assert entered is worked_on
                work(entered)

        try:
            if request.param == "async with":
                asyncio.run(go_on())
            else:
                with worked_on as entered:
                    assert entered is worked_on
                    work(entered)
        except BaseException as error:
            return error
        return None

    return block


def raising(error: BaseException) -> Any:
    def work(_: object) -> None:
        raise error

    return work


def ended_and_raising(end: Any, error: BaseException) -> Any:
    def work(worked_on: object) -> None:
        end(worked_on)
        raise error

    return work


def started(some: Some) -> Run:
    return some.create_thread(agent_id="support").start_run()


def test_a_block_completes_its_run_and_begins_one_that_is_created(some: Some, within: Any) -> None:
    run = started(some)
    assert within(run, lambda run: run.add_message("user", "hello")) is None
    assert (run.view().status, run.view().stop_reason) == ("completed", "end_turn")
    branch = run.branch()
    assert within(branch) is None
    assert branch.view().status == "completed"


@pytest.mark.parametrize("number", range(len(FAILED)))
def test_a_block_that_raises_fails_its_run_with_type_and_words(some: Some, within: Any, number: int) -> None:
    error, kind, words = FAILED[number]
    run = started(some)
    assert within(run, raising(error)) is error
    failure = run.view().error
    assert failure is not None
    assert (run.view().status, failure.type, failure.message, failure.code) == ("failed", kind, words, "error")


def test_a_block_that_nobody_waits_for_any_more_cancels_its_run(some: Some) -> None:
    for error in CANCELLED:
        run = started(some)
        with pytest.raises(type(error)), run:
            raise error
        assert run.view().status == "cancelled"


def test_a_task_that_is_cancelled_cancels_its_run(some: Some) -> None:
    run = started(some)

    async def work(entered: asyncio.Event) -> None:
        async with run:
            entered.set()
            await asyncio.Event().wait()

    async def cancelled() -> None:
        entered = asyncio.Event()
        task = asyncio.create_task(work(entered))
        await entered.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert run.view().status == "cancelled"


def test_what_has_ended_or_waits_when_a_block_is_left_stays_as_it_is(some: Some, within: Any) -> None:
    endings: dict[str, Any] = {
        "completed": lambda run: run.complete(output={"n": 1}),
        "failed": lambda run: run.fail("no"),
        "cancelled": lambda run: run.cancel("enough"),
        "waiting": lambda run: run.request_approval("refund"),
        "stuck": lambda run: run.mark_stuck(),
    }
    for status, end in endings.items():
        run = started(some)
        assert within(run, end) is None
        assert run.view().status == status
    for status in ("completed", "failed", "cancelled"):
        run, error = started(some), ValueError("late")
        endings[status](run)
        assert within(some.run(run.id), raising(error)) is not error  # nobody enters what has ended
        run = started(some)
        assert within(run, ended_and_raising(endings[status], error)) is error
        assert (run.view().status, getattr(error, "__notes__", [])) == (status, [])
    run = started(some)
    waited = within(run, lambda run: (run.request_approval("refund"), raising(ValueError("no"))(run)))
    assert (type(waited), run.view().status) == (ValueError, "failed")


def test_a_block_starts_its_tool_call_and_ends_it(some: Some, within: Any) -> None:
    run = started(some)
    for error, status in ((None, "succeeded"), (ValueError("no cups"), "failed"), (KeyboardInterrupt(), "cancelled")):
        call = run.call_tool("search")
        assert within(call, raising(error) if error else lambda _: None) is error
        (listed,) = run.tool_calls(call_id=call.id).items
        assert (listed.status, listed.started_position is not None) == (status, True)
        assert listed.error is None or (listed.error.type, listed.error.message) == ("ValueError", "no cups")
    answered = run.call_tool("search")
    assert within(answered, lambda call: call.succeed({"cups": 2})) is None
    assert run.tool_calls(call_id=answered.id).items[0].result == {"cups": 2}


def test_a_call_that_was_started_with_its_approval_goes_on_in_a_block(some: Some, within: Any) -> None:
    run = started(some)
    call = run.call_tool("refund", needs_approval=True)
    refused = within(call)
    assert isinstance(refused, CommandRefused)
    assert "`approval=`" in str(refused)
    approval = run.request_approval("refund", call_id=call.id, requester_excluded=False, approver_kinds=None)
    approval.grant()
    call.start(approval=approval)
    assert within(call) is None
    assert run.tool_calls().items[0].status == "succeeded"


def test_a_block_finishes_its_step_and_its_model_call(some: Some, within: Any) -> None:
    run = started(some)
    for begin in (run.start_step, run.start_model_call):
        arguments = ("look",) if begin == run.start_step else ()
        for error, said in (
            (None, None),
            (ValueError("no cups"), ("error", "ValueError", "no cups")),
            (KeyboardInterrupt(), ("cancelled", "KeyboardInterrupt", "KeyboardInterrupt")),
        ):
            begun = begin(*arguments)
            assert within(begun, raising(error) if error else lambda _: None) is error
            (view,) = (view for view in some.now.steps(run.id) if view.id == begun.id)
            failure = None if view.error is None else (view.error.code, view.error.type, view.error.message)
            assert (view.status, failure) == ("failed" if error else "succeeded", said)
        mine = begin(*arguments)
        assert within(mine, lambda each: each.finish(error="so it was")) is None
    assert within(run.start_step("last"), lambda _: run.complete()) is None


def test_an_exception_goes_on_where_the_end_cannot_be_recorded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    run, error = started(ledger), ValueError("no cups")

    def work() -> None:
        with run:
            monkeypatch.setattr(run, "executor", _Gone(run.executor))
            raise error

    with pytest.raises(ValueError, match="no cups"):
        work()
    assert "was not recorded: " in error.__notes__[0]
    with pytest.raises(LedgerUnavailable), ledger.run(run.id) as again:
        monkeypatch.setattr(again, "executor", _Gone(run.executor))


class _Gone:
    """What carries out no command any more."""

    def __init__(self, executor: Executor) -> None:
        self.ledger_identity = executor.ledger_identity

    def execute(self, _: object) -> None:
        raise LedgerUnavailable("the network is gone", "try again")


def test_what_was_only_named_has_no_receipt(some: Some) -> None:
    run = started(some)
    assert run.receipt.version == 2
    with pytest.raises(UsageError, match="has no receipt"):
        _ = some.run(run.id).receipt
