"""hive's sessions and checkpoints over what is recorded."""

import pytest

from runfold import Ledger
from runfold.adapters.hive import StreamDecisionTracker
from runfold.adapters.hive.checkpoints import CheckpointType, checkpoints, latest_checkpoint, memory_at, resume
from runfold.adapters.hive.sessions import ExecutionStatus, SessionStatus, session, sessions
from runfold.errors import RunNotFound, UsageError


@pytest.mark.row("HV-80", "HV-83")
def test_a_session_says_how_far_it_has_come_and_goes_on_from_any_checkpoint(ledger: Ledger) -> None:
    tracker = StreamDecisionTracker("mail", ledger=ledger)
    run_id = tracker.start_run("exec_1", "support")
    run = ledger.run(run_id)
    tracker.set_node("exec_1", "read")
    run.set_state({"read": 1})
    with run.start_step("look"):
        pass
    run.traverse_edge("read", "answer")
    tracker.set_node("exec_1", "answer")
    run.set_state({"read": 1, "answered": 1})
    decision = tracker.quick_decision("exec_1", "send", "send the mail", "")
    tracker.record_outcome("exec_1", decision, success=False, error="bounced", tokens_used=5, latency_ms=7)
    tracker.decide("exec_1", "again", [{"id": "retry"}], "retry", "it bounced", decision_type="retry_strategy")
    tracker.set_node("exec_1", "read")

    found = checkpoints(ledger.now, run_id)
    assert [(each.checkpoint_type.value, each.current_node, each.is_clean) for each in found] == [
        ("node_start", "read", True),
        ("loop_iteration", "read", True),
        ("node_complete", "read", True),
        ("edge_transition", "answer", True),
        ("node_start", "answer", True),
        ("node_complete", "answer", False),
        ("node_start", "read", False),
    ]
    assert [memory_at(ledger.now, each) for each in found[:3]] == [{}, {"read": 1}, {"read": 1}]
    assert found[-1].execution_path == ["read", "answer", "read"]
    assert checkpoints(ledger.now, run_id, CheckpointType.NODE_START, "read") == [found[0], found[-1]]
    assert checkpoints(ledger.now, run_id, is_clean=False) == found[-2:]
    assert latest_checkpoint(ledger.now, run_id) == found[-1]
    assert latest_checkpoint(ledger.now, run_id, clean=True) == found[4]

    run.wait("input")
    paused = session(ledger.now, run_id)
    assert (paused.status, paused.execution_status) == (SessionStatus.PAUSED, ExecutionStatus.PAUSED)
    assert paused.progress.model_dump() == {
        "current_node": "read",
        "paused_at": "read",
        "path": ["read", "answer", "read"],
        "node_visit_counts": {"read": 2, "answer": 1},
        "steps_executed": 3,
        "total_tokens": 5,
        "total_latency_ms": 7,
        "total_retries": 1,
    }
    assert (paused.stream_id, paused.execution_id, paused.goal_id) == ("mail", "exec_1", "support")
    assert (paused.memory, paused.metrics.failed_decisions) == ({"read": 1, "answered": 1}, 1)
    assert paused.checkpoint_ids == [each.checkpoint_id for each in found]
    assert (len(paused.decisions), paused.problems, paused.execution_quality) == (2, [], "degraded")

    run.resume()
    tracker.end_run("exec_1", success=True, output_data={"sent": 1})
    done = session(ledger.now, run_id)
    assert (done.status, done.result, done.execution_quality, done.progress.paused_at) == (
        "completed",
        {"sent": 1},
        "degraded",
        None,
    )
    assert checkpoints(ledger.now, run_id)[-1].checkpoint_type is CheckpointType.NODE_COMPLETE
    assert session(ledger.at(ledger.now.run(run_id).position - 1), run_id).status is SessionStatus.ACTIVE

    again = resume(ledger, run_id, found[2].checkpoint_id, {"ticket": 43})
    assert again.view().parent is not None
    assert again.view().parent.at_version == found[2].version
    assert ledger.now.state(again.id) == {"read": 1}
    again.start()
    from_the_last = resume(ledger, run_id)
    assert ledger.now.state(from_the_last.id) == {"read": 1, "answered": 1}
    with pytest.raises(UsageError, match="has no checkpoint 'cp_7'"):
        resume(ledger, run_id, "cp_7")
    with pytest.raises(RunNotFound):
        session(ledger.now, "run_none")
    assert latest_checkpoint(ledger.now, again.id) is None


@pytest.mark.row("HV-80", "HV-81", "HV-84")
def test_sessions_are_listed_by_state_goal_and_checkpoints_those_last_heard_of_first(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="mail")
    goals = {"created": "a", "running": "a", "waiting": "a", "stuck": "b", "completed": "b", "failed": "b", "cancelled": "b"}
    runs = {name: thread.create_run(parent=None, goal={"id": goal}) for name, goal in goals.items()}
    stopping = thread.start_run(parent=None, goal={"id": "c"})
    stopping.claim("worker")
    stopping.request_cancellation("enough")
    for name, run in runs.items():
        if name != "created":
            run.start()
    runs["running"].decide("d", options=[{"id": "o", "description": "o"}], chosen="o", node_id="only named")
    runs["waiting"].enter_node("ask")
    runs["waiting"].wait("input")
    runs["stuck"].start_step("look")
    runs["stuck"].mark_stuck()
    runs["completed"].complete()
    runs["failed"].fail("no")
    runs["cancelled"].cancel()
    ledger.fold()

    names = {run.id: name for name, run in runs.items()} | {stopping.id: "stopping"}
    listed = sessions(ledger.now)
    assert [names[item.session_id] for item in listed] == [
        "cancelled",
        "failed",
        "completed",
        "stuck",
        "waiting",
        "running",
        "stopping",
        "created",
    ]
    assert {names[item.session_id]: (item.status.value, item.execution_status.value) for item in listed} == {
        "created": ("active", "pending"),
        "running": ("active", "running"),
        "waiting": ("paused", "paused"),
        "stuck": ("failed", "running"),
        "completed": ("completed", "completed"),
        "failed": ("failed", "failed"),
        "cancelled": ("cancelled", "cancelled"),
        "stopping": ("active", "cancelling"),
    }

    def asked(**wanted: object) -> list[str]:
        return [names[item.session_id] for item in sessions(ledger.now, **wanted)]  # type: ignore[arg-type]

    assert asked(status="failed") == ["failed", "stuck"]
    assert asked(status=SessionStatus.PAUSED) == ["waiting"]
    assert asked(goal_id="a") == ["waiting", "running", "created"]
    assert asked(has_checkpoints=True) == ["stuck", "waiting"]
    assert asked(has_checkpoints=False, goal_id="b", limit=2) == ["cancelled", "failed"]
    assert len(sessions(ledger.now, limit=3)) == 3
