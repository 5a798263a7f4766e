"""The address that a run named is told once that the run has ended, and that of all steps of each step."""

import json
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook as Verifier

from runfold import Ledger
from runfold.errors import WebhookNotFound
from runfold.settings import Settings

from .receiver import receiving, status
from .sending import LOCAL, due_now, send, sending_ledger


@pytest.fixture
def sender(settings: Settings) -> Iterator[Ledger]:
    with sending_ledger(settings) as ledger:
        yield ledger


@pytest.mark.row("LT-26", "LT-110", "LT-112")
def test_the_first_end_of_a_run_is_told_once_in_lettas_words(sender: Ledger) -> None:
    with receiving() as receiver:
        thread = sender.create_thread(agent_id="a")
        run = thread.start_run(callback_url=receiver.url("/done"), metadata={"order": 7})
        run.add_message("user", "Hello")
        assert send(sender) == {}, "it has not ended"
        assert sender.now.callback(run.id).state == "none_yet"
        run.complete()
        run.complete()
        thread.start_run().complete()
        waiting = sender.now.callback(run.id)
        assert (waiting.state, waiting.attempts) == ("waiting", 0)
        assert send(sender) == {"queued": 1, "delivered": 1}
        assert send(sender) == {}
    (request,) = receiver.requests
    said = Verifier(sender.webhook_secrets("callbacks")[0].secret).verify(request.body, request.headers)
    ended = sender.events(types="run.completed")[0]
    assert said == {
        "run_id": run.id,
        "status": "completed",
        "completed_at": ended.recorded_at.isoformat(),
        "metadata": {"order": 7},
    }
    assert request.headers["webhook-id"] == str(ended.event_id)
    view = sender.now.callback(run.id)
    assert (view.state, view.callback_status_code, view.callback_error, view.attempts) == ("delivered", 204, None, 1)
    assert view.callback_sent_at is not None
    (told,) = sender.events(types="callback.*")
    assert told.context.run_id == run.id


@pytest.mark.row("LT-110")
def test_what_a_run_said_and_used_is_told_only_where_that_was_asked_for(sender: Ledger) -> None:
    with receiving() as receiver:
        run = sender.create_thread(agent_id="a").start_run(callback_url=receiver.url(), callback_result=True)
        run.add_message("user", "Hello")
        run.add_message("assistant", "Good day")
        run.usage(provider="openai", model="gpt-4o", input_tokens=12)
        run.fail("out of memory")
        send(sender)
    said = json.loads(receiver.requests[0].body)
    result = said["metadata"]["result"]
    assert said["status"] == "failed"
    assert [message["role"] for message in result["messages"]] == ["user", "assistant"]
    assert result["stop_reason"] == "error"
    assert result["usage"] == {"step_count": 1, "prompt_tokens": 12, "completion_tokens": None, "total_tokens": None}


@pytest.mark.fault("G8")
def test_a_call_that_fails_harms_no_run_and_shows_until_it_is_abandoned_where_the_receiver_is_gone(sender: Ledger) -> None:
    answers = {"now": status(500, body="busy")}
    with receiving(lambda request, connection: answers["now"]) as receiver:
        run = sender.create_thread(agent_id="a").start_run(callback_url=receiver.url())
        run.cancel()
        assert send(sender) == {"queued": 1, "failed": 1}
        view = sender.now.callback(run.id)
        assert (view.state, view.attempts, view.callback_error) == ("waiting", 1, "answered 500: busy")
        assert view.next_attempt_at is not None
        answers["now"] = status(410)
        due_now(sender)
        assert send(sender) == {"abandoned": 1}
    view = sender.now.callback(run.id)
    assert (view.state, view.callback_status_code, view.callback_error) == ("abandoned", 410, "answered 410")
    assert sender.now.run(run.id).status == "cancelled"


def test_runs_of_an_import_and_runs_without_an_address_are_told_to_nobody(sender: Ledger) -> None:
    with receiving() as receiver:
        with sender.batch(is_import=True, source="test") as batch:
            batch.create_thread(agent_id="a", thread_id="thread_a").start_run(callback_url=receiver.url()).complete()
        plain = sender.create_thread(agent_id="a").start_run()
        plain.complete()
        assert send(sender) == {}
    assert receiver.requests == []
    with pytest.raises(WebhookNotFound):
        sender.now.callback(plain.id)


@pytest.mark.row("LT-111")
def test_each_step_that_ends_is_told_to_one_address_also_where_its_run_was_cancelled(settings: Settings) -> None:
    with receiving() as receiver:
        said = {"webhook_allow": LOCAL, "step_webhook_url": receiver.url("/steps"), "step_webhook_key": "secret-7"}
        asking = Settings(**{**settings.model_dump(exclude_unset=True), **said})
        with sending_ledger(asking) as ledger:
            send(ledger)
            run = ledger.create_thread(agent_id="a").start_run()
            run.start_step("think", step_id="step_1").finish()
            run.start_step("act", step_id="step_2").finish(error="no hands")
            run.start_step("rest", step_id="step_3")
            run.cancel()
            assert send(ledger) == {"queued": 3, "delivered": 3}
    assert [json.loads(request.body) for request in receiver.requests] == [{"step_id": f"step_{n}"} for n in (1, 2, 3)]
    assert {request.headers["authorization"] for request in receiver.requests} == {"Bearer secret-7"}
