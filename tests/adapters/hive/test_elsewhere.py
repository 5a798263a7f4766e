"""The views and questions of hive and Letta, and the bus, over a ledger behind a server."""

import asyncio
from collections.abc import Iterator

import pytest

from runfold import CommandRefused, Ledger, RemoteLedger
from runfold.adapters import letta
from runfold.adapters.hive import AgentEvent, EventBus, EventType, StreamDecisionTracker
from runfold.adapters.hive.checkpoints import checkpoints, resume
from runfold.adapters.hive.goals import goal_status
from runfold.adapters.hive.human_input import HITLQuestion, HITLRequest, HITLResponse, answer, ask, request_of, response_to
from runfold.adapters.hive.node_logs import node_logs
from runfold.adapters.hive.run_logs import run_logs
from runfold.adapters.hive.run_view import run_view
from runfold.adapters.hive.sessions import session, sessions
from runfold.adapters.hive.step_logs import step_logs

SECONDS = 60.0


@pytest.fixture
def remote(address: str) -> Iterator[RemoteLedger]:
    """The same ledger, behind a server."""
    with Ledger.connect(address) as connected:
        yield connected


def test_what_is_shown_over_http_is_what_is_shown_here(ledger: Ledger, remote: RemoteLedger) -> None:
    tracker = StreamDecisionTracker("mail", ledger=ledger)
    run_id = tracker.start_run("exec_1", "support", "Answer", {"ticket": 42})
    tracker.set_node("exec_1", "read")
    ledger.run(run_id).start_step("look").finish()
    decision = tracker.quick_decision("exec_1", "send", "send it", "")
    tracker.record_outcome("exec_1", decision, success=True, summary="sent", tokens_used=3)
    tracker.report_problem("exec_1", "minor", "slow")
    asked = ask(remote.run(run_id), HITLRequest(objective="Send it", questions=[HITLQuestion(id="tone", question="Which?")]))
    assert request_of(remote, asked.id) == request_of(ledger, asked.id)
    answered = HITLResponse(request_id=asked.id, answers={"tone": "warm"})
    with pytest.raises(CommandRefused, match="requested it and may not decide it"):
        answer(remote, answered)
    answer(ledger, answered, actor="human:bob")
    assert response_to(remote, asked.id) == response_to(ledger, asked.id)
    tracker.end_run("exec_1", success=True)
    ledger.fold()

    for shown in (run_view, session, checkpoints, node_logs, step_logs, letta.run_view):
        assert shown(remote.now, run_id) == shown(ledger.now, run_id)
    assert sessions(remote.now) == sessions(ledger.now)
    assert run_logs(remote.now) == run_logs(ledger.now)
    assert goal_status(remote.now, "support") is goal_status(ledger.now, "support")
    again = resume(remote, run_id)
    assert ledger.now.run(again.id).parent is not None
    assert letta.update_run(remote, again.id, letta.RunUpdate(status="cancelled")).status == "cancelled"


def test_the_bus_listens_to_a_server_as_to_a_ledger(ledger: Ledger, remote: RemoteLedger) -> None:
    tracker = StreamDecisionTracker("mail", ledger=ledger)
    tracker.start_run("exec_1", "support")

    async def listen() -> list[AgentEvent]:
        async with EventBus(remote) as bus:
            ended = asyncio.create_task(bus.wait_for(EventType.EXECUTION_COMPLETED, execution_id="exec_1", timeout=SECONDS))
            await asyncio.sleep(0)
            tracker.end_run("exec_1", success=True)
            found = await ended
            assert found is not None
            return [found, *bus.get_history(EventType.EXECUTION_COMPLETED)]

    heard, remembered = asyncio.run(listen())
    assert heard == remembered
