"""Tool calls of the past, answered in a run that comes after it."""

import pytest

from runfold import CommandRefused, Run


@pytest.mark.row("RV-55")
def test_an_open_call_of_the_past_is_answered_where_the_run_went_on(run: Run) -> None:
    call = run.call_tool("refund", {"order": 7})
    branch = run.branch()
    branch.start()
    answer = branch.tool_call(call.id)
    assert answer.succeed({"refunded": True}).appended == 1
    assert answer.succeed({"refunded": True}).appended == 0
    assert run.tool_call(call.id).fail("declined").appended == 1  # what a branch did is not in this run's past


def test_a_call_that_ended_in_the_past_does_not_end_again(run: Run) -> None:
    call = run.call_tool("refund", {"order": 7})
    before = call.receipt
    call.succeed({"refunded": True})
    after = run.branch()
    after.start()
    with pytest.raises(CommandRefused, match="succeeded in this run's past"):
        after.tool_call(call.id).fail("declined")
    assert before is not None
    earlier = run.branch(at_version=before.version)
    earlier.start()
    earlier.tool_call(call.id).fail("declined")
