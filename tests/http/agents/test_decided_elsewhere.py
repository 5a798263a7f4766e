"""An interrupt that was decided by other means: the client's answer goes on with that, whatever it says."""

import json
from typing import Any

import httpx2
import pytest

from runfold import Ledger
from tests.http.agents.talking import asked, run, user


def paid(agents: httpx2.Client, thread_id: str, approval_id: str, payload: dict[str, Any]) -> dict[str, Any]:
    """What the tool says once the client has answered."""
    resume = [{"interruptId": approval_id, "status": "resolved", "payload": payload}]
    events = run(agents, "/agents/demo", asked("r2", thread_id=thread_id, resume=resume))
    assert events[-1]["type"] == "RUN_FINISHED"
    (result,) = [event for event in events if event["type"] == "TOOL_CALL_RESULT"]
    found: dict[str, Any] = json.loads(result["content"])
    return found


@pytest.mark.parametrize("said", ["false", 0, None])
def test_an_answer_that_is_neither_yes_nor_no_is_refused_and_decides_nothing(
    agents: httpx2.Client, ledger: Ledger, said: Any
) -> None:
    thread_id = f"unclear-{said}"
    events = run(agents, "/agents/demo", asked("r1", user("u1", "a refund of order 7"), thread_id=thread_id))
    approval_id = events[-1]["outcome"]["interrupts"][0]["id"]
    resume: dict[str, Any] = {"interruptId": approval_id, "status": "resolved", "payload": {"approved": said}}
    refused = agents.post("/agents/demo", json=asked("r2", thread_id=thread_id, resume=[resume]))
    assert (refused.status_code, "resume.0.payload.approved: is" in refused.text) == (422, True)
    assert ledger.now.approval(approval_id).status == "open"
    resume["payload"]["approved"] = False
    assert run(agents, "/agents/demo", asked("r2", thread_id=thread_id, resume=[resume]))[-1]["type"] == "RUN_FINISHED"
    assert ledger.now.approval(approval_id).status == "denied"


@pytest.mark.row("AG-04")
def test_what_was_decided_with_runfolds_own_means_counts_for_a_client_that_resumes(agents: httpx2.Client, ledger: Ledger) -> None:
    def question(thread_id: str) -> str:
        events = run(agents, "/agents/demo", asked("r1", user("u1", "a refund of order 7"), thread_id=thread_id))
        approval_id: str = events[-1]["outcome"]["interrupts"][0]["id"]
        return approval_id

    granted, denied, edited = question("granted"), question("denied"), question("edited")
    ledger.approval(granted).grant(actor="human:bob")
    ledger.approval(denied).deny("not this one", actor="human:bob")
    ledger.approval(edited).grant(actor="human:bob", arguments={"order": "7", "amount": 5})
    assert paid(agents, "granted", granted, {"approved": False}) == {"paid": 40}
    assert paid(agents, "denied", denied, {"approved": True}) == {"paid": 0, "reason": "not this one"}
    assert paid(agents, "edited", edited, {"approved": True, "editedArgs": {"amount": 4000}}) == {"paid": 5}
    assert ledger.now.approval(granted).consumed_by is not None
