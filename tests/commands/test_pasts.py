"""What a run inherited is read once, however many of its messages and calls are gone on with, and is what its past left."""

import pytest

from runfold import Ledger, Run
from runfold.commands.pasts import MOST_PASTS
from runfold.errors import CommandRefused
from runfold.history.path import History
from runfold.history.views import ToolCallView
from runfold.store.reading.tenant_reader import TenantReader

NUMBER = 20


def a_past(ledger: Ledger) -> tuple[Run, list[str], list[str]]:
    """A run with messages and calls that are open."""
    run = ledger.create_thread(agent_id="support").start_run()
    with ledger.batch() as batch:
        messages = [batch.run(run.id).add_message("user", f"word {number}").id for number in range(NUMBER)]
        calls = [batch.run(run.id).call_tool("look", {}).id for _ in range(NUMBER)]
    return run, messages, calls


def calls_of(ledger: Ledger, run: Run) -> list[ToolCallView]:
    """The tool calls along the path to a run."""
    return History(TenantReader.of(ledger.recorder.reader, "default"), run.view().thread_id, run.id).tool_calls()


def go_on(run: Run, messages: list[str], calls: list[str]) -> None:
    for message_id in messages:
        run.message(message_id).revise("another word")
    for call_id in calls:
        run.tool_call(call_id).succeed("seen")
    with pytest.raises(CommandRefused, match="has no message"):
        run.message("msg_none").revise("x")
    with pytest.raises(CommandRefused, match="have a tool call"):
        run.tool_call("call_none").succeed("x")


@pytest.mark.fault("K1")
@pytest.mark.parametrize("together", [False, True])
def test_a_past_is_read_once_however_much_of_it_is_gone_on_with(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    read, begin = 0, History.__init__

    def counted(*given: object, **named: object) -> None:
        nonlocal read
        read += 1
        begin(*given, **named)  # type: ignore[arg-type]

    before, messages, calls = a_past(ledger)
    run = ledger.thread(before.view().thread_id).start_run(parent=before)
    monkeypatch.setattr(History, "__init__", counted)
    if together:
        with ledger.batch() as batch:
            go_on(batch.run(run.id), messages, calls)
    else:
        go_on(run, messages, calls)
    assert read == 1
    assert [message.text for message in run.messages()] == ["another word"] * NUMBER
    assert {call.status for call in calls_of(ledger, run)} == {"succeeded"}


@pytest.mark.parametrize("together", [False, True])
def test_a_past_that_is_too_much_to_be_kept_is_read_for_each_command(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    before, messages, calls = a_past(ledger)
    run = ledger.thread(before.view().thread_id).start_run(parent=before)
    monkeypatch.setattr("runfold.commands.pasts.MOST_BYTES", 500)
    with ledger.batch() as batch:
        go_on(batch.run(run.id) if together else run, messages, calls)
    assert [message.text for message in run.messages()] == ["another word"] * NUMBER
    assert {call.status for call in calls_of(ledger, run)} == {"succeeded"}
    kept = ledger.command_executor.states.pasts
    assert kept.get(("default", run.id)) is None


def test_more_runs_than_are_kept_are_each_gone_on_with_as_their_past_left_it(ledger: Ledger) -> None:
    before, messages, calls = a_past(ledger)
    thread = ledger.thread(before.view().thread_id)
    runs = [thread.start_run(parent=before, kind="branches") for _ in range(MOST_PASTS + 2)]
    for message_id, call_id in zip(messages[:3], calls[:3], strict=True):
        for number, run in enumerate(runs):
            run.message(message_id).revise(f"word of {number}")
            run.tool_call(call_id).succeed(number)
    for number, run in enumerate(runs):
        assert [message.text for message in run.messages()][:3] == [f"word of {number}"] * 3
        assert [call.result for call in calls_of(ledger, run)][:3] == [number] * 3
