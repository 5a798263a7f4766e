"""Letta's Run and RunUpdate over the ledger."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from runfold import CommandRefused, Ledger, RunNotFound
from runfold.adapters import letta
from runfold.adapters.letta import RunStatus, RunUpdate, StopReasonType, run_view, update_run
from runfold.errors import UsageError

FIELDS = {
    "id",
    "status",
    "created_at",
    "completed_at",
    "agent_id",
    "conversation_id",
    "base_template_id",
    "background",
    "metadata",
    "request_config",
    "stop_reason",
    "callback_url",
    "callback_sent_at",
    "callback_status_code",
    "callback_error",
    "ttft_ns",
    "total_duration_ns",
}


@pytest.mark.row("LT-01", "LT-02", "LT-09", "LT-25")
def test_a_run_is_shown_and_changed_in_lettas_words(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")
    run = thread.create_run(
        "hello",
        background=True,
        callback_url="https://example.com/done",
        request_config={"use_assistant_message": False, "include_return_message_types": ["tool_call_message"], "more": 1},
        metadata={"run_type": "send_message", "base_template_id": "template_1", "keep": 1, "change": 1},
    )
    shown = run_view(ledger.now, run.id)
    assert shown.model_dump().keys() == FIELDS
    assert shown.id == f"run-{UUID(run.id.removeprefix('run_'))}"
    assert (shown.status, shown.completed_at, shown.stop_reason) == (RunStatus.created, None, None)
    assert (shown.agent_id, shown.conversation_id, shown.background) == ("support", thread.id, True)
    assert (shown.callback_url, shown.callback_sent_at) == ("https://example.com/done", None)
    assert shown.base_template_id == "template_1"
    assert shown.request_config is not None
    assert shown.request_config.model_dump() == {
        "use_assistant_message": False,
        "assistant_message_tool_name": "send_message",
        "assistant_message_tool_kwarg": "message",
        "include_return_message_types": ["tool_call_message"],
    }

    assert update_run(ledger, shown.id, RunUpdate(status="running")).status == RunStatus.running
    ended_at = datetime.now(UTC) + timedelta(seconds=5)
    given = {"status": "completed", "stop_reason": "max_steps", "completed_at": ended_at, "metadata_": {"change": 2, "new": 3}}
    done = update_run(ledger, shown.id, RunUpdate.model_validate({**given, "total_duration_ns": 7_000, "unknown": "left out"}))
    assert (done.status, done.stop_reason, done.completed_at) == (RunStatus.completed, StopReasonType.max_steps, ended_at)
    assert done.total_duration_ns == 7_000
    assert done.metadata == done.metadata_
    assert done.metadata == {
        "run_type": "send_message",
        "base_template_id": "template_1",
        "keep": 1,
        "change": 2,
        "new": 3,
    }
    assert ledger.now.run(run.id).metadata == done.metadata
    with pytest.raises(CommandRefused, match="completed"):
        update_run(ledger, shown.id, RunUpdate(status="failed", metadata={"never": True}))
    assert run_view(ledger.now, run.id) == done
    assert update_run(ledger, run.id, RunUpdate()) == done


@pytest.mark.row("LT-03", "LT-04", "LT-05", "LT-27", "LT-09")
def test_each_state_and_stop_reason_has_lettas_word(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")

    waiting = thread.start_run(parent=None)
    waiting.request_approval("send")
    shown = run_view(ledger.now, waiting.id)
    assert (shown.status, shown.stop_reason) == (RunStatus.completed, StopReasonType.requires_approval)
    assert shown.completed_at is not None
    assert ledger.now.run(waiting.id).status == "waiting"

    for_input = thread.start_run(parent=None, request_config={"use_assistant_message": [1]}, metadata={"base_template_id": 7})
    for_input.wait("input")
    of_others = run_view(ledger.now, for_input.id)
    assert (of_others.request_config, of_others.base_template_id, of_others.metadata) == (None, None, {"base_template_id": 7})
    assert (run_view(ledger.now, for_input.id).status, run_view(ledger.now, for_input.id).completed_at) == ("running", None)

    failed = update_run(
        ledger, thread.start_run(parent=None).id, RunUpdate(stop_reason="llm_api_error", metadata={"error": "overloaded"})
    )
    assert (failed.status, failed.stop_reason) == (RunStatus.failed, StopReasonType.llm_api_error)
    assert failed.metadata == {"error": "overloaded"}
    assert failed.completed_at is not None

    ours = thread.start_run(parent=None)
    ours.fail("no end was told", stop_reason="incomplete")
    shown = run_view(ledger.now, ours.id)
    assert (shown.status, shown.stop_reason, shown.metadata) == ("failed", StopReasonType.error, {"error": "no end was told"})

    cancelled = update_run(ledger, thread.start_run(parent=None).id, RunUpdate(status="cancelled"))
    assert (cancelled.status, cancelled.stop_reason) == (RunStatus.cancelled, StopReasonType.cancelled)
    with pytest.raises(UsageError, match="request_approval"):
        update_run(ledger, for_input.id, RunUpdate(stop_reason="requires_approval"))
    assert {reason.run_status for reason in StopReasonType} == {"completed", "failed", "cancelled"}
    assert len(StopReasonType) == 13


def test_lettas_ids_and_ours_name_the_same_run(ledger: Ledger) -> None:
    number = UUID("0198c0de-0000-7000-8000-000000000001")
    assert letta.lettas_id(f"run_{number.hex}") == f"run-{number}"
    assert letta.ledger_id(f"run-{number}") == f"run_{number.hex}"
    for other in ("run_demo", f"run_{number}", f"run_{number.hex.upper()}", f"run-{number.hex}"):
        assert letta.lettas_id(other) == other
        assert letta.ledger_id(other) == other
    with pytest.raises(RunNotFound):
        run_view(ledger.now, f"run-{number}")
