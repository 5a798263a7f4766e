"""Tool calls of the past, carried on in a run that comes after it: by the rules of a run's own calls."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from runfold import Approval, CommandRefused, Ledger, LedgerError, Run, Thread
from runfold.handles.tool_call import ToolCall
from runfold.projections.projection import Row
from runfold.projections.tool_calls import ToolCalls
from tests.projections.folded import rows_of

ORDER = {"order": 7}


@pytest.mark.row("RV-55")
def test_an_open_call_of_the_past_is_answered_where_the_run_went_on(run: Run) -> None:
    call = run.call_tool("refund", ORDER)
    branch = run.branch()
    branch.start()
    answer = branch.tool_call(call.id)
    assert answer.succeed({"refunded": True}).appended == 1
    assert answer.succeed({"refunded": True}).appended == 0
    assert run.tool_call(call.id).fail("declined").appended == 1  # what a branch did is not in this run's past


def test_a_call_that_ended_in_the_past_does_not_end_otherwise(run: Run) -> None:
    call = run.call_tool("refund", ORDER)
    before = call.receipt
    call.succeed({"refunded": True})
    after = run.branch()
    after.start()
    assert after.tool_call(call.id).succeed({"refunded": True}).appended == 0
    with pytest.raises(CommandRefused, match="succeeded in this run's past"):
        after.tool_call(call.id).fail("declined")
    assert before is not None
    earlier = run.branch(at_version=before.version)
    earlier.start()
    earlier.tool_call(call.id).fail("declined")


def test_an_approval_of_the_past_is_used_by_the_run_that_asked_for_it_alone(run: Run) -> None:
    call = run.call_tool("refund", ORDER, needs_approval=True)
    asked = run.request_approval("refund", arguments=ORDER, call_id=call.id)
    branch = run.branch()
    branch.start()
    (listed,) = branch.tool_calls().items
    assert (listed.name, listed.status, listed.approval_id, listed.open_approvals) == ("refund", "called", None, 0)
    asked.grant(actor="human:ada")
    with pytest.raises(CommandRefused, match=rf"of {run.id}, not of {branch.id}, which asks for its own .`request_approval"):
        branch.tool_call(call.id).start(approval=asked)
    with pytest.raises(CommandRefused, match="`approval=`"):
        branch.tool_call(call.id).start()
    own = branch.request_approval("refund", arguments=ORDER, call_id=call.id)
    own.grant(actor="human:ada")
    branch.tool_call(call.id).start(approval=own)
    run.tool_call(call.id).start(approval=asked)
    assert (asked.executor.reading().approval(own.id).run_id, run.view().status) == (branch.id, "running")


def test_a_path_lists_all_calls_and_a_run_its_own_with_those_it_has_open(thread: Thread) -> None:
    root = thread.start_run()
    done, left = root.call_tool("search", {"n": 1}), root.call_tool("refund", ORDER)
    done.succeed("found")
    root.complete()
    following = thread.start_run()
    own = following.call_tool("mail")
    last = thread.start_run(parent=following)

    def listed(run: Run, **asked: Any) -> list[tuple[str, str, str | None]]:
        return [(call.call_id, call.run_id, call.requested_run_id) for call in run.tool_calls(**asked).items]

    from_root, from_following = (left.id, root.id, root.id), (own.id, following.id, following.id)
    assert listed(following) == [from_root, from_following]
    assert listed(last) == [from_root, from_following]
    assert listed(last, scope="path") == [(done.id, root.id, root.id), from_root, from_following]
    last.tool_call(left.id).start()
    assert listed(last, status="started") == [(left.id, last.id, root.id)]
    assert listed(root, at=last.view().position) == [(done.id, root.id, root.id), from_root]
    first, *_ = last.tool_calls(limit=1, scope="path").items
    assert (first.call_id, first.result) == (done.id, "found")
    with pytest.raises(LedgerError, match="the scope path is that of one run"):
        thread.executor.reading().tool_calls(scope="path")


def test_what_a_run_ended_with_is_not_open_to_those_that_come_after_but_may_be_answered_late(thread: Thread) -> None:
    root = thread.start_run()
    call = root.call_tool("refund", ORDER)
    root.cancel()
    following = thread.start_run()
    assert following.tool_calls().items == ()
    with pytest.raises(CommandRefused, match="has status cancelled; to use the tool again, ask for another call"):
        following.tool_call(call.id).start()
    following.tool_call(call.id).succeed({"refunded": True})
    (answered,) = following.tool_calls().items
    assert (answered.status, answered.name, answered.result) == ("succeeded", "refund", {"refunded": True})


# The same rule for both


@dataclass
class Side:
    """A run with a call: its own, or one that its past left open."""

    run: Run
    call: ToolCall
    approvals: list[Approval] = field(default_factory=list)

    def approval(self) -> Approval:
        """The approval that was asked last."""
        return self.approvals[-1]


def ask(side: Side) -> Any:
    side.approvals.append(side.run.request_approval("refund", arguments=ORDER, call_id=side.call.id))
    return side.approvals[-1].receipt


COMMANDS: dict[str, Callable[[Side], Any]] = {
    "ask": ask,
    "grant": lambda side: side.approval().grant(actor="human:ada"),
    "grant otherwise": lambda side: side.approval().grant(arguments={"order": 8}, actor="human:ada"),
    "deny": lambda side: side.approval().deny("no", actor="human:ada"),
    "use": lambda side: side.approval().consume(ORDER, execution_key="key_9"),
    "start": lambda side: side.call.start(execution_key="key_1"),
    "start with another key": lambda side: side.call.start(execution_key="key_2"),
    "start approved": lambda side: side.call.start(execution_key="key_1", approval=side.approval()),
    "succeed": lambda side: side.call.succeed({"refunded": True}),
    "succeed otherwise": lambda side: side.call.succeed({"refunded": False}),
    "fail": lambda side: side.call.fail("declined"),
    "cancel": lambda side: side.call.cancel("too slow"),
    "new input": lambda side: side.run.add_message("user", "wait", auto_deny=True),
    "wait": lambda side: side.run.wait("external"),
    "resume": lambda side: side.run.resume(),
    "run fails": lambda side: side.run.fail("no more"),
    "run is cancelled": lambda side: side.run.cancel(),
}
OFTEN = ("ask", "grant", "deny", "start approved", "start", "succeed")
SHOWN = ("name", "status", "needs_approval", "open_approvals", "approved", "error_code", "execution_key", "arguments", "result")
CARRIED_ON = ("status", "open_approvals", "approved", "error_code", "execution_key")


def sequences(dice: random.Random, count: int) -> list[tuple[bool, bool, Sequence[str]]]:
    """Whether the call needs approval, whether it was started when it was left, and what is done with it then."""
    names = [*COMMANDS, *OFTEN, *OFTEN]
    made = [(gated, False, (name,)) for gated in (False, True) for name in COMMANDS]
    made += [(False, True, (name,)) for name in COMMANDS]
    made += [(True, False, ("ask", "grant", "start approved", name)) for name in COMMANDS]
    made += [(dice.random() < 0.6, dice.random() < 0.2, tuple(dice.choices(names, k=dice.randrange(2, 7)))) for _ in range(count)]
    return made


def begin(run: Run, *, gated: bool, started: bool) -> ToolCall:
    call = run.call_tool("refund", ORDER, call_id="call_1", needs_approval=gated)
    if started:
        approval = run.request_approval("refund", arguments=ORDER, call_id=call.id) if gated else None
        if approval is not None:
            approval.grant(actor="human:ada")
        call.start(execution_key="key_1", approval=approval)
    return call


def told(side: Side, name: str) -> str:
    """What the command recorded, or the rule that refused it, in words that name no run."""
    try:
        answer = COMMANDS[name](side)
    except (LedgerError, IndexError) as error:
        rule = str(getattr(error, "rule", error))
        for number, approval in enumerate(side.approvals):
            rule = rule.replace(approval.id, f"approval {number}")
        return f"{type(error).__name__}: {rule.replace(side.run.id, 'the run')}"
    receipt = getattr(answer, "receipt", answer)
    return "done" if isinstance(receipt, str) else f"recorded {[event.type for event in receipt.events]}"


def shown(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.long)])
def test_a_call_of_the_past_goes_on_by_the_rules_of_a_runs_own(ledger: Ledger, count: int) -> None:
    left: list[tuple[Run, Side]] = []
    for gated, started, commands in sequences(random.Random(20261128), count):  # noqa: S311  the same each time
        thread = ledger.create_thread(agent_id="support")
        alone, parent = thread.start_run(parent=None), thread.start_run(parent=None)
        own = Side(alone, begin(alone, gated=gated, started=started))
        begin(parent, gated=gated, started=started)
        branch = parent.branch()
        branch.start()
        inherited = Side(branch, branch.tool_call("call_1"))
        version = parent.view().version
        for number, name in enumerate(commands):
            did = told(own, name), told(inherited, name)
            assert did[0] == did[1], (gated, started, commands[: number + 1])
        (mine,), (carried,) = own.run.tool_calls().items, branch.tool_calls().items
        is_carried_on = carried.run_id == branch.id
        expected = mine if is_carried_on else parent.tool_calls().items[0]
        columns = [name for name in SHOWN if name != "approved" or own.approvals]
        assert shown(carried, columns) == shown(expected, columns), (gated, started, commands)
        assert (carried.requested_run_id, parent.view().version) == (parent.id, version)
        is_open = mine.status in {"called", "started"}
        assert (own.run.view().open_tool_calls, branch.view().open_tool_calls) == (is_open, is_open and is_carried_on)
        left.append((parent, inherited))
    rows = rows_of(ToolCalls(), ledger)
    for parent, inherited in left:
        (before,) = parent.tool_calls().items
        assert shown(rows[parent.id, "call_1"], CARRIED_ON) == shown(before, CARRIED_ON)
        if row := rows.get((inherited.run.id, "call_1")):
            assert (row.thread_id, row.agent_id, row.name) == (before.thread_id, "support", None)
            listed = inherited.run.tool_calls().items[0]
            assert row.status == ("called" if row.started_position is row.resolved_position is None else listed.status)
            assert shown(row, CARRIED_ON[1:4]) == shown(listed, CARRIED_ON[1:4])
