"""Whether a run gets on: given what was recorded of it, then so often the same in a row, and so long without a word."""

from collections.abc import Callable

import pytest

from runfold import Ledger, Run
from runfold.projections.run_progress import RunProgress
from runfold.projections.runs.progress_row import RunProgressRow
from runfold.projections.words.rolling_digest import NOTHING, extended
from tests.projections.folded import rows_of

Look = Callable[[Run], RunProgressRow]


@pytest.fixture
def look(ledger: Ledger) -> Look:
    return lambda run: rows_of(RunProgress(), ledger)[run.id,]


def turn(run: Run, *tools: str, text: str = "", **arguments: object) -> None:
    """What a model asks for at once, and what comes of it."""
    message = run.add_message("assistant", text or [])
    calls = [run.call_tool(tool, arguments, message_id=message.id) for tool in tools]
    for call in calls:
        call.succeed("done")


@pytest.mark.row("HV-85")
def test_responses_are_counted_while_they_are_the_same(run: Run, look: Look) -> None:
    for text in ("Hello", "Hello", "Hello"):
        run.add_message("assistant", text)
        run.add_message("user", "and now?")
    row = look(run)
    assert (row.identical_responses, row.repeats, row.identical_tool_calls) == (3, 3, 0)
    run.add_message("assistant", "Goodbye")
    assert look(run).identical_responses == 1
    run.add_message("assistant", [])
    assert (look(run).identical_responses, look(run).repeats) == (0, 0)


@pytest.mark.row("HV-85")
def test_responses_at_another_node_count_anew(run: Run, look: Look) -> None:
    for node in ("plan", "plan", "act"):
        run.enter_node(node)
        run.add_message("assistant", "Hello")
    assert look(run).identical_responses == 1
    run.add_message("assistant", "Hello")
    assert look(run).identical_responses == 2


def test_a_response_in_parts_counts_once_it_is_whole(run: Run, look: Look) -> None:
    for _ in range(2):
        run.add_message("assistant", "Hello, world")
    message = run.add_message("assistant", "Hello", streaming=True)
    message.append_text(", ")
    assert look(run).identical_responses == 2
    message.append_text("world")
    message.seal()
    assert look(run).identical_responses == 3


@pytest.mark.row("HV-86")
def test_turns_are_counted_while_they_call_the_same(run: Run, look: Look) -> None:
    for _ in range(3):
        turn(run, "look", "list", order=7, page=1)
    assert (look(run).identical_tool_calls, look(run).repeats) == (3, 3)
    turn(run, "list", "look", order=7, page=1)
    assert look(run).identical_tool_calls == 1, "in another order they are others"
    turn(run, "list", "look", page=1, order=7)
    assert look(run).identical_tool_calls == 2, "the order of the keys of arguments is none"
    turn(run, "list", "look", order=8, page=1)
    assert look(run).identical_tool_calls == 1


@pytest.mark.row("HV-86")
def test_a_turn_of_text_alone_begins_anew(run: Run, look: Look) -> None:
    turn(run, "look")
    turn(run, "look")
    turn(run, text="let me think")
    turn(run, "look")
    assert look(run).identical_tool_calls == 1


def test_a_turn_that_is_not_over_does_not_count_yet(run: Run, look: Look) -> None:
    turn(run, "look")
    message = run.add_message("assistant", [])
    first = run.call_tool("look", {}, message_id=message.id)
    assert look(run).identical_tool_calls == 1
    second = run.call_tool("list", {}, message_id=message.id)
    first.succeed(1)
    second.fail("not there", code="missing")
    assert look(run).identical_tool_calls == 1


def test_calls_that_name_no_message_are_a_turn_as_far_as_they_are_open_together(run: Run, look: Look) -> None:
    for _ in range(3):
        run.call_tool("look", {}).succeed(1)
    assert look(run).identical_tool_calls == 3
    calls = [run.call_tool("look", {}), run.call_tool("look", {})]
    for call in calls:
        call.succeed(1)
    assert look(run).identical_tool_calls == 1


@pytest.mark.row("HV-87")
def test_the_window_stays_through_waits_attempts_and_being_stuck_by_something_else(run: Run, look: Look) -> None:
    run.add_message("assistant", "Hello")
    run.wait("input")
    run.resume()
    run.add_message("assistant", "Hello")
    run.mark_stuck()
    assert look(run).repeats == 0, "nobody needs to be told of a stuck run"
    run.start(attempt=2)
    run.add_message("assistant", "Hello")
    assert look(run).identical_responses == 3
    run.mark_stuck("identical_responses")
    run.add_message("assistant", "Hello")
    assert look(run).identical_responses == 1, "what it was stuck by counts anew"


def test_a_run_is_heard_of_by_what_it_does_and_not_by_what_is_said_of_it(run: Run, look: Look) -> None:
    run.add_message("assistant", "Hello")
    heard = look(run).last_heard_position
    run.mark_stuck("idle")
    run.request_cancellation()
    row = look(run)
    assert (row.status, row.stuck_rule, row.last_heard_position, row.version) == ("stuck", "idle", heard, 5)
    assert row.stuck_position == row.last_heard_position + 1
    run.add_message("assistant", "Hello")
    row = look(run)
    assert (row.status, row.stuck_rule, row.stuck_at, row.last_heard_position) == ("running", None, None, heard + 3)


def test_who_holds_it_and_of_which_kind_it_is(ledger: Ledger, run: Run, look: Look) -> None:
    assert (look(run).kind, look(run).worker) == ("live", None)
    run.claim("w1", execution_id="exec_1")
    assert (look(run).kind, look(run).worker, look(run).lease_expires_at is None) == ("leased", "w1", False)
    run.release("exec_1")
    assert (look(run).kind, look(run).execution_id, look(run).lease_expires_at) == ("leased", None, None)
    with ledger.batch(is_import=True, source="tau2:1") as batch:
        imported = batch.create_thread(agent_id="a").start_run()
    ledger.run(imported.id).claim("w1")
    assert look(imported).kind == "imported"


def test_a_digest_is_the_same_in_however_many_parts() -> None:
    text = "Grüße, 世界 " * 50
    whole = extended(NOTHING, text)
    for size in (1, 7, 100):
        digest = NOTHING
        for at in range(0, len(text), size):
            digest = extended(digest, text[at : at + size])
        assert digest == whole
    assert len({whole, extended(NOTHING, text + " "), extended(NOTHING, text[1:]), NOTHING, extended(NOTHING, "a")}) == 5
    assert extended(NOTHING, "") == NOTHING
