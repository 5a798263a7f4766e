"""The real streams of AG-UI break no rule, and the second opinion agrees; so does a run that asks."""

import gzip
from pathlib import Path

import pytest
from ag_ui_validate import Validator

from runfold import Ledger
from runfold.agui.checker import check
from runfold.agui.reading import events_in

KNOWN = {"AGUI207"}
"""What the second opinion calls an error in them: a run that resumes tells results of calls of the run before it."""


def test_real_streams_break_no_rule(trajectories: Path) -> None:
    files = sorted((trajectories / "ag-ui-streams").rglob("*Response*.gz"))
    assert len(files) == 20
    count, errors = 0, set[str]()
    for file in files:
        events = list(events_in([gzip.decompress(file.read_bytes()).decode("utf-8-sig")]))
        count += len(events)
        assert check(events) is None, file.name
        validator = Validator()
        for event in events:
            validator.feed(event)
        validator.finalize()
        errors |= {found.rule for found in validator.report().diagnostics if found.severity == "error"}
    assert (count, errors) == (1898, KNOWN)


@pytest.mark.row("AG-04", "AG-05", "AG-11")
def test_a_run_that_asks_tells_state_and_messages_before_it_ends_with_the_question(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.set_state({"n": 1})
    call = run.call_tool("refund", {"order": 7}, needs_approval=True)
    approval = run.request_approval("refund", arguments={"order": 7}, call_id=call.id)
    told = run.ag_ui()
    assert [event["type"] for event in told[-3:]] == ["STATE_SNAPSHOT", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    (asked,) = told[-1]["outcome"]["interrupts"]
    assert (asked["id"], asked["reason"], asked["toolCallId"]) == (approval.id, "tool_call", call.id)
    approval.grant(actor="human:ada", arguments={"order": 8})
    call.start(approval=approval.id)
    call.succeed("sent")
    run.complete()
    rest = run.ag_ui()[len(told) :]
    assert rest[0]["input"]["resume"] == [
        {"interruptId": approval.id, "status": "resolved", "payload": {"approved": True, "editedArgs": {"order": 8}}}
    ]
    assert [event["type"] for event in rest] == ["RUN_STARTED", "STATE_SNAPSHOT", "TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert check(run.ag_ui()) is None
