"""Many commands, one transaction."""

import contextlib
import gc
import weakref
from collections.abc import Callable

import pytest

from runfold import (
    CommandRefused,
    DuplicateWithDifferentContent,
    InvalidEvent,
    Ledger,
    LedgerUnavailable,
    Run,
    RunNotFound,
    VersionConflict,
)
from runfold.domain.message import MessageAdded
from runfold.errors import UsageError
from runfold.handles.ledgers.batch import Batch


@pytest.mark.fault("F12")
def test_a_batch_is_stored_whole_at_its_end_and_at_one_moment(ledger: Ledger, other: Ledger) -> None:
    with ledger.batch() as batch:
        thread = batch.create_thread(agent_id="support")
        run = thread.start_run({"q": 1})
        run.add_message("user", "hello")
        call = run.call_tool("search", {"q": 1})
        call.start()
        call.succeed({"hits": 2})
        run.complete()
        assert len(batch) == 8
        assert other.position() == 0
    assert batch.receipt is not None
    assert (batch.receipt.position, batch.appended) == (8, 8)
    recorded = other.events()
    assert [found.position for found in recorded] == list(range(1, 9))
    assert len({found.recorded_at for found in recorded}) == 1
    assert other.now.run(run.id).status == "completed"


def test_a_batch_that_ends_with_an_error_stores_nothing(ledger: Ledger, run: Run) -> None:
    before = ledger.position()
    with pytest.raises(ZeroDivisionError), ledger.batch() as batch:  # noqa: PT012
        batch.run(run.id).add_message("user", "lost")
        raise ZeroDivisionError
    assert ledger.position() == before
    run.add_message("user", "kept")
    assert [message.text for message in run.messages()] == ["kept"]


def test_a_refused_command_may_be_caught_and_the_rest_goes_in(ledger: Ledger, run: Run) -> None:
    with ledger.batch() as batch:
        collected = batch.run(run.id)
        collected.add_message("user", "one", message_id="msg_1")
        with pytest.raises(DuplicateWithDifferentContent):
            collected.add_message("user", "two", message_id="msg_1")
        with pytest.raises(CommandRefused):
            collected.resume() if run.view().status == "waiting" else collected.decide("go", options=[], chosen="a")
        with pytest.raises(InvalidEvent):
            collected.set_state({"not": {"json"}})
        with pytest.raises(RunNotFound):
            batch.run("run_none").complete()
        collected.add_message("user", "one", message_id="msg_1")
        collected.add_message("user", "three")
        assert len(batch) == 2
    assert [message.text for message in run.messages()] == ["one", "three"]


def test_a_batch_that_somebody_overtook_is_a_conflict_and_is_void(ledger: Ledger, other: Ledger, run: Run) -> None:
    with pytest.raises(LedgerUnavailable, match="the batch is void"), ledger.batch() as batch:  # noqa: PT012
        thread = batch.create_thread(thread_id="thread_new")
        batch.run(run.id).add_message("user", "mine")
        other.run(run.id).add_message("user", "theirs")
        with pytest.raises(VersionConflict, match=f"{run.id} is at version 3, not 2"):
            batch.store()
        with pytest.raises(LedgerUnavailable, match=r"the batch is void .* begin another"):
            thread.rename("late")
    assert [message.text for message in run.messages()] == ["theirs"]
    run.add_message("user", "mine")
    assert [message.text for message in other.run(run.id).messages()] == ["theirs", "mine"]


def test_a_batch_may_be_stored_in_parts(ledger: Ledger, run: Run) -> None:
    with ledger.batch() as batch:
        collected = batch.run(run.id)
        for number in range(10):
            collected.add_message("user", str(number))
            if number % 4 == 3:
                batch.store()
                assert len(batch) == 0
        assert len(run.messages()) == 8
    assert batch.appended == 10
    assert [message.text for message in run.messages()] == [str(number) for number in range(10)]
    run.add_message("user", "after")
    assert run.view().version == 13


def test_a_batch_begins_from_what_is_stored_and_not_from_an_old_memory(ledger: Ledger, other: Ledger, run: Run) -> None:
    approval = run.request_approval("send")
    other.approval(approval.id).grant(actor="human:ada")
    with ledger.batch() as batch:
        batch.run(run.id).complete()
    assert run.view().status == "completed"


def test_a_batch_waits_for_what_is_on_its_way(ledger: Ledger, run: Run) -> None:
    submitted = [run.submit_add_message("user", str(number), message_id=f"msg_{number}") for number in range(50)]
    with ledger.batch() as batch:
        batch.run(run.id).add_message("user", "49", message_id="msg_49")
        batch.run(run.id).add_message("user", "50")
    assert all(message.result(60).receipt.appended == 1 for message in submitted)
    assert [message.text for message in run.messages()] == [str(number) for number in range(51)]


def test_an_empty_batch_stores_nothing(ledger: Ledger) -> None:
    with ledger.batch() as batch:
        assert len(batch) == 0
    assert (batch.receipt, batch.appended, ledger.position()) == (None, 0, 0)


@pytest.mark.fault("F12")
def test_ten_thousand_events_go_in_together(ledger: Ledger, run: Run) -> None:
    with ledger.batch() as batch:
        collected = batch.run(run.id)
        for number in range(10_000):
            collected.add_message("user", str(number))
    assert len({found.recorded_at for found in ledger.events(after=3, limit=20_000)}) == 1
    assert run.view().version == 10_002


def test_submitting_has_no_meaning_inside_a_batch(ledger: Ledger, run: Run) -> None:
    with ledger.batch() as batch, pytest.raises(UsageError, match="inside a batch"):
        batch.run(run.id).submit_complete()


ENDS: dict[str, Callable[[Ledger, Batch], object]] = {
    "an error of the block": lambda _, __: 1 / 0,
    "a conflict at its end": lambda other, batch: other.create_thread(agent_id="theirs", thread_id="thread_new"),
    "a conflict when it is stored": lambda other, batch: (
        other.create_thread(agent_id="x", thread_id="thread_new"),
        batch.store(),
    ),
}


@pytest.mark.parametrize("new_thread", [None, "thread_new"])
@pytest.mark.parametrize("end", ENDS)
def test_what_a_batch_collected_and_did_not_store_is_nowhere_after_its_end(
    ledger: Ledger, other: Ledger, run: Run, end: str, new_thread: str | None
) -> None:
    with pytest.raises((ZeroDivisionError, VersionConflict)), ledger.batch(new_thread=new_thread) as batch:  # noqa: PT012
        new = batch.create_thread(agent_id="support", thread_id="thread_new").start_run()
        new.add_message("user", "never said")
        if new_thread is None:
            batch.run(run.id).add_message("user", "never said")
        ENDS[end](other, batch)
    for ask in (new.view, new.messages, new.state, batch.run(new.id).view):
        with pytest.raises((RunNotFound, LedgerUnavailable)):  # where storing failed, the batch is void
            ask()
    if end == "an error of the block":
        assert batch.run(run.id).messages() == []
    assert (list(batch.collected()), len(batch), batch.appended) == ([], 0, 0)
    for store in (batch.store, batch.submit_store):
        with pytest.raises((UsageError, LedgerUnavailable), match=r"the batch (has ended|is void)"):
            store()
    assert [recorded.type for recorded in other.events() if recorded.type == "message.added"] == []


def stored(ledger: Ledger, run: Run) -> weakref.ref[MessageAdded]:
    """What is known of an event once the batch that stored it is over: with others, in parts, of a new thread."""
    with ledger.batch() as batch:
        thread = batch.create_thread(agent_id="support")
        thread.start_run().add_message("user", "Hello")
        batch.run(run.id).add_message("user", "Where is my order?")
        batch.store()
        batch.run(run.id).add_message("assistant", "On its way.")
        return weakref.ref(next(each.event for each in batch.collected() if type(each.event) is MessageAdded))


def refused(ledger: Ledger, run: Run) -> weakref.ref[MessageAdded]:
    with contextlib.suppress(RunNotFound), ledger.batch() as batch:
        batch.run(run.id).add_message("user", "Hello")
        held = weakref.ref(next(each.event for each in batch.collected() if type(each.event) is MessageAdded))
        batch.run("run_none").add_message("user", "Hello")
    return held


@pytest.mark.parametrize("ended", [stored, refused])
def test_what_a_batch_collected_goes_with_it(
    ledger: Ledger, run: Run, ended: Callable[[Ledger, Run], weakref.ref[MessageAdded]]
) -> None:
    gc.collect()
    gc.disable()
    try:
        assert ended(ledger, run)() is None
    finally:
        gc.enable()
