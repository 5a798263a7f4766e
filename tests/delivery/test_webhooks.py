"""Webhooks: what is recorded leaves, signed, at least once under the same id, in the order of its stream."""

import json
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from standardwebhooks import Webhook as Verifier

from runfold import Ledger
from runfold.delivery.schedule import ATTEMPTS
from runfold.errors import CommandRefused, InvalidEvent, UsageError, WebhookNotFound
from runfold.maintenance.checking import LogCheck
from runfold.settings import Settings

from .receiver import OK, Receiver, Request, receiving, status
from .sending import due_now, send, sending_ledger


@pytest.fixture
def sender(settings: Settings) -> Iterator[Ledger]:
    with sending_ledger(settings) as ledger:
        yield ledger


def verified(ledger: Ledger, webhook_id: str, request: Request) -> dict[str, object]:
    said: dict[str, object] = Verifier(ledger.webhook_secrets(webhook_id)[0].secret).verify(request.body, request.headers)
    return said


def of_types(receiver: Receiver, name: str = "type") -> list[object]:
    return [json.loads(request.body).get(name) for request in receiver.requests]


@pytest.mark.fault("G8")
def test_what_is_recorded_arrives_signed_once_in_order_and_how_it_ended_is_an_event(sender: Ledger) -> None:
    with receiving() as receiver:
        webhook = sender.create_webhook(receiver.url(), types=["run.*", "message.added"], webhook_id="webhook_a")
        run = sender.create_thread(agent_id="a").start_run()
        run.add_message("user", "Hello")
        run.complete()
        assert send(sender)["delivered"] == 4
        assert send(sender) == {}
        assert of_types(receiver) == ["run.created", "run.started", "message.added", "run.completed"]
        for request, recorded in zip(receiver.requests, sender.events(types=["run.*", "message.added"]), strict=True):
            said = verified(sender, webhook.id, request)
            assert request.headers["webhook-id"] == said["event_id"] == str(recorded.event_id)
            assert "Hello" not in request.body
    ended = sender.events(types="callback.*")
    assert [(each.type, each.event.webhook_id, each.event.status_code) for each in ended] == [  # type: ignore[attr-defined]
        ("callback.delivered", "webhook_a", 204)
    ] * 4
    assert {str(each.metadata.actor) for each in ended} == {"system:delivery"}
    assert [each.attempt for each in sender.now.webhook_attempts("webhook_a")] == [1] * 4
    assert list(LogCheck(sender.recorder.reader).findings()) == []


def test_a_webhook_begins_where_it_is_told_to_and_is_never_sent_what_delivery_records(sender: Ledger) -> None:
    thread = sender.create_thread(agent_id="a")
    with receiving() as receiver:
        sender.create_webhook(receiver.url("/all"), after=0)
        sender.create_webhook(receiver.url("/now"))
        thread.rename("New")
        send(sender)
        told = sorted((request.path, json.loads(request.body)["type"]) for request in receiver.requests)
        assert told == [("/all", "thread.created"), ("/all", "thread.renamed"), ("/now", "thread.renamed")]
        assert send(sender) == {}
    assert {each.type for each in sender.events(after=4)} == {"callback.delivered"}


@pytest.mark.fault("G8")
def test_a_receiver_that_fails_is_tried_again_under_the_same_id_and_what_follows_in_its_stream_waits(sender: Ledger) -> None:
    fails = {"left": 2}

    def answer(request: Request, connection: socket.socket) -> bytes:
        fails["left"] -= 1
        return status(503, "Retry-After: 100") if fails["left"] >= 0 else OK

    with receiving(answer) as receiver:
        sender.create_webhook(receiver.url(), types="thread.*", webhook_id="webhook_a")
        thread = sender.create_thread(agent_id="a")
        thread.rename("B")
        assert send(sender) == {"queued": 2, "failed": 1}
        view = sender.now.webhook("webhook_a")
        assert (view.waiting, view.last_error) == (2, "answered 503")
        assert view.next_attempt_at is not None
        assert view.oldest_waiting_at is not None
        assert view.next_attempt_at - view.oldest_waiting_at >= timedelta(seconds=95)
        assert send(sender) == {}, "it is not due yet, and neither is what follows it"
        due_now(sender)
        assert send(sender) == {"failed": 1}
        due_now(sender)
        assert send(sender)["delivered"] == 2
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert of_types(receiver) == ["thread.created"] * 3 + ["thread.renamed"]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [each.event.attempts for each in sender.events(types="callback.delivered")] == [3, 1]  # type: ignore[attr-defined]


def test_what_is_tried_in_vain_for_days_is_abandoned_and_can_be_sent_again(sender: Ledger) -> None:
    answers = {"now": status(500, body="out of order")}
    with receiving(lambda request, connection: answers["now"]) as receiver:
        webhook = sender.create_webhook(receiver.url(), types="thread.*", webhook_id="webhook_a")
        thread = sender.create_thread(agent_id="a")
        for _ in range(ATTEMPTS - 1):
            assert send(sender)["failed"] == 1
            due_now(sender)
        assert send(sender) == {"abandoned": 1}
        (abandoned,) = sender.events(types="callback.*")
        assert (abandoned.event.attempts, abandoned.event.error) == (ATTEMPTS, "answered 500: out of order")  # type: ignore[attr-defined]
        answers["now"] = OK
        webhook.replay()
        assert send(sender) == {"queued": 1, "delivered": 1}
        ids = {request.headers["webhook-id"] for request in receiver.requests}
        assert ids == {str(sender.events(types="thread.created")[0].event_id)}
        again = sender.events(types="callback.delivered")[0]
        assert (again.stream, again.event.replay) == (abandoned.stream, sender.events(types="webhook.replayed")[0].position)  # type: ignore[attr-defined]
        thread.rename("B")
        assert send(sender)["delivered"] == 1, "and it goes on from where it was"


@pytest.mark.fault("G8")
def test_gone_disables_the_webhook_and_nothing_is_lost_when_it_is_enabled_again(sender: Ledger) -> None:
    answers = {"now": status(410)}
    with receiving(lambda request, connection: answers["now"]) as receiver:
        webhook = sender.create_webhook(receiver.url(), types="thread.*", webhook_id="webhook_a")
        thread = sender.create_thread(agent_id="a")
        assert send(sender) == {"queued": 1, "gone": 1}
        view = sender.now.webhook("webhook_a")
        assert (view.status, view.reason) == ("disabled", "the receiver answered 410 to the event at position 2")
        thread.rename("B")
        due_now(sender)
        assert send(sender) == {}
        with pytest.raises(CommandRefused, match="enable it first"):
            webhook.test()
        answers["now"] = OK
        webhook.enable()
        assert send(sender) == {"queued": 1, "delivered": 2}
    assert of_types(receiver) == ["thread.created", "thread.created", "thread.renamed"]


def test_two_secrets_are_good_while_one_replaces_the_other_and_a_deleted_webhooks_are_erased(sender: Ledger) -> None:
    with receiving() as receiver:
        webhook = sender.create_webhook(receiver.url(), types="thread.*", webhook_id="webhook_a")
        (old,) = sender.webhook_secrets("webhook_a")
        webhook.rotate_secret(keep_for="1h")
        new, kept = sender.webhook_secrets("webhook_a")
        assert (kept.secret, new.generation, kept.generation) == (old.secret, 2, 1)
        assert kept.until is not None
        webhook.test()
        assert send(sender) == {"queued": 1, "delivered": 1}
        (request,) = receiver.requests
        for secret in (old, new):
            assert Verifier(secret.secret).verify(request.body, request.headers)["type"] == "webhook.tested"
        webhook.rotate_secret(keep_for="0s")
        assert len(sender.webhook_secrets("webhook_a")) == 1
        webhook.delete()
        send(sender)
        with sender.recorder.store.reading() as connection:
            kept_rows = connection.execute("SELECT FROM runfold.webhook_secrets WHERE webhook_id = 'webhook_a'").fetchall()
        assert kept_rows == []
    with pytest.raises(WebhookNotFound):
        sender.webhook_secrets("webhook_a")
    with pytest.raises(CommandRefused, match="create another"):
        webhook.enable()
    assert sender.now.webhooks() == []
    assert [view.status for view in sender.now.webhooks(include_deleted=True)] == ["deleted"]


@pytest.mark.fault("I11")
def test_an_address_that_leads_nowhere_public_is_refused_when_it_is_registered(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="a")
    for url in ("http://hooks.example.com/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://localhost/"):
        with pytest.raises(InvalidEvent, match="https://hooks"):
            ledger.create_webhook(url)
        with pytest.raises(InvalidEvent, match="callback_url"):
            thread.start_run(callback_url=url)
    assert [each.type for each in ledger.events()] == ["thread.created"]
    with pytest.raises(UsageError, match="unknown event type"):
        ledger.create_webhook("https://hooks.example.com/", types="run.exploded")
    with pytest.raises(InvalidEvent, match="never sent"):
        ledger.create_webhook("https://hooks.example.com/", types="callback.*")


def test_the_same_webhook_under_its_id_is_made_once(ledger: Ledger) -> None:
    one = ledger.create_webhook("https://hooks.example.com/", label="Orders", webhook_id="webhook_a")
    again = ledger.create_webhook("https://hooks.example.com/", label="Orders", webhook_id="webhook_a")
    assert (one, again.receipt.appended) == (again, 0)
    (view,) = ledger.now.webhooks()
    assert (view.label, view.url, view.created_by, view.waiting) == ("Orders", "https://hooks.example.com/", "service:runfold", 0)
