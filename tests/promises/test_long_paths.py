"""However many runs a path or a tree has, as many questions are asked of the log."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from runfold import Ledger
from runfold.api.table import QUESTIONS
from runfold.errors import ReadModelBehind
from runfold.queries.reading import Reading
from runfold.terminal.conversation import Conversation
from runfold.terminal.tree import ThreadTree
from tests.questions import REQUIRED
from tests.sent import sent


class Told(NamedTuple):
    """A thread, the run at its end, and one that leaves that at its first version."""

    thread_id: str
    run_id: str
    other_id: str


def _told(ledger: Ledger, turns: int) -> Told:
    """As many turns, each a run of its own, in which all happens that is read along a path; some is redacted later."""
    thread = ledger.create_thread(agent_id="a")
    said = []
    for number in range(turns):
        run = thread.start_run()
        said.append(run.add_message("user", f"turn {number}"))
        call = run.call_tool("look", {"turn": number}, needs_approval=True)
        approval = run.request_approval("look", call_id=call.id, arguments={"turn": number})
        approval.grant(actor="human:ada", arguments={"turn": -number})
        call.start(approval=approval.id)
        call.succeed({})
        run.set_state({"turn": number})
        run.decide("how", options=[{"id": "x", "description": "x"}], chosen="x")
        run.compact_context("auto", tokens_before=9)
        run.usage(provider="openai", model="gpt-4o", input_tokens=1)
        thread.start_run(parent=run, kind="spawned_by", agent_id="helper").complete()
        run.complete() if number < turns - 1 else run.fail("enough")
    other = run.branch(at_version=1)
    other.start()
    for message in said:
        message.redact(legal_basis="art17")
    return Told(thread.id, run.id, other.id)


def _questions(told: Told) -> Iterator[tuple[str, Callable[[Reading], object]]]:
    ids = {"thread_id": told.thread_id, "run_id": told.run_id, "run_a": told.run_id, "run_b": told.other_id}
    for route in QUESTIONS:
        if route.path_names and ids.keys() >= {*route.path_names} and route.name != "callback.get_of_run":
            given = {route.narrowed or name: ids[name] for name in route.path_names} | REQUIRED.get(route.name, {})
            yield route.name, lambda reading, route=route, given=given: route.method(reading, **given)
    for scope in ("path", "tree"):
        yield f"usage of the {scope}", lambda reading, scope=scope: reading.usage(run=told.run_id, scope=scope)
    yield "tool calls of the path", lambda reading: reading.tool_calls(run_id=told.run_id, scope="path", limit=1)
    yield "runfold tree", lambda reading: ThreadTree.of(reading, told.thread_id)
    for full in (False, True):
        yield (
            f"runfold thread, full: {full}",
            lambda reading, full=full: Conversation.of(told.thread_id, reading.history(told.run_id), 0, full=full),
        )


def _asked(reading: Reading, told: Told, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many questions the log is asked for each."""
    found = {}
    for name, ask in _questions(told):
        with sent(monkeypatch) as queries:
            try:
                ask(reading)
            except ReadModelBehind:
                pytest.fail(name)
        found[name] = len(queries)
    return found


@pytest.mark.parametrize("when", ["now", "at a position", "by when it happened"])
def test_a_longer_path_takes_no_more_questions(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    short, long = _told(ledger, 2), _told(ledger, 7)
    ledger.fold()
    last = ledger.events()[-1].happened_at
    reading = {"now": ledger.now, "at a position": ledger.at(ledger.position() - 1)}.get(when) or ledger.happened_at(last)
    few, many = (_asked(reading, told, monkeypatch) for told in (short, long))
    assert len(few) > 25
    assert {name: (few[name], many[name]) for name in few if many[name] > few[name]} == {}


def test_nor_does_it_in_a_batch_that_has_collected_something_of_its_end(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = _told(ledger, 2), _told(ledger, 7)
    ledger.fold()
    asked = []
    for told in (short, long):
        with ledger.batch() as batch:
            batch.run(told.other_id).add_message("user", "in the batch")
            asked.append(_asked(batch.executor.reading(), told, monkeypatch))
    few, many = asked
    assert {name: (few[name], many[name]) for name in few if many[name] > few[name]} == {}
