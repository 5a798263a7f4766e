"""Webhooks: what is recorded leaves, signed, at least once under the same id, in the order of its stream."""

import json
import socket
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpcore2
import pytest
from standardwebhooks import Webhook as Verifier

from runfold import Ledger
from runfold.access.keys import Keys
from runfold.commands.caller import Caller
from runfold.delivery.posting import Answer, Poster
from runfold.delivery.schedule import ATTEMPTS
from runfold.domain.values import Actor
from runfold.errors import (
    CommandRefused,
    InvalidEvent,
    LedgerError,
    RunNotFound,
    ScopeMissing,
    ThreadNotFound,
    UsageError,
    WebhookNotFound,
)
from runfold.http.app import create_app
from runfold.maintenance.checking import LogCheck
from runfold.settings import Settings
from tests.serving import serving

from .receiver import OK, Receiver, Request, receiving, status
from .sending import LOCAL, due_now, private, send, sending_ledger


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
    assert sender.at(1).webhook_attempts("webhook_a") == []
    assert len(sender.at(sender.events(types="run.started")[0].position).webhook_attempts("webhook_a")) == 2
    with pytest.raises(WebhookNotFound):
        sender.at(0).webhook_attempts("webhook_a")
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


def test_a_place_that_the_log_has_not_is_refused(sender: Ledger) -> None:
    sender.create_thread(agent_id="a")
    with pytest.raises(InvalidEvent, match="after: is beyond the ledger, which ends at 1; leave it out"):
        sender.create_webhook("https://hooks.example.com/", after=2)
    made = [sender.create_webhook("https://hooks.example.com/", after=1, webhook_id="webhook_a") for _ in range(2)]
    assert [each.receipt.appended for each in made] == [1, 0]
    for place in (-1, "1", True, 1.5):
        with pytest.raises(InvalidEvent, match="after: is a position"):
            made[0].replay(after=place)  # type: ignore[arg-type]


def test_a_thread_or_run_that_is_not_there_is_refused(sender: Ledger, settings: Settings) -> None:
    run = sender.create_thread(agent_id="a").start_run()
    other = sender.create_thread(agent_id="a")
    (thread_id,) = {recorded.thread_id for recorded in sender.events(run_id=run.id)}
    acme = sending_ledger(settings.model_copy(update={"tenant": "acme"}))
    with acme as ledger, pytest.raises(ThreadNotFound):
        ledger.create_webhook("https://hooks.example.com/", thread_id=thread_id)
    refused: list[tuple[dict[str, Any], type[LedgerError]]] = [
        ({"thread_id": "thread_none"}, ThreadNotFound),
        ({"run_id": "run_none"}, RunNotFound),
        ({"thread_id": other.id, "run_id": run.id}, InvalidEvent),
    ]
    for narrowed, error in refused:
        with pytest.raises(error):
            sender.create_webhook("https://hooks.example.com/", **narrowed)
    for narrowed in ({"run_id": run.id}, {"thread_id": thread_id}, {"thread_id": thread_id, "run_id": run.id}):
        assert sender.create_webhook("https://hooks.example.com/", **narrowed).receipt.appended == 1
    with sender.batch() as batch:
        batch.create_webhook("https://hooks.example.com/", thread_id=batch.create_thread(agent_id="a").id)
    assert len(sender.now.webhooks()) == 4


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


def test_a_remote_ledger_has_webhooks_too_and_a_key_needs_the_scope_for_them(settings: Settings) -> None:
    with receiving() as receiver, sending_ledger(settings) as ledger, serving(create_app(ledger, Keys(ledger))) as address:
        keys = {
            scope: ledger.create_key(owner="human:ada", scopes=scopes, label=scope).text
            for scope, scopes in {"managing": ["webhooks:manage"], "reading": ["runs:read", "runs:write", "events:read"]}.items()
        }
        with Ledger.connect(address, keys["managing"]) as remote:
            webhook = remote.create_webhook(receiver.url(), types=["thread.*"], user_id="u", webhook_id="webhook_a")
            assert remote.webhook_secrets(webhook.id) == ledger.webhook_secrets(webhook.id)
            assert remote.now.webhook(webhook.id) == ledger.now.webhook(webhook.id)
            webhook.rotate_secret()
            webhook.test()
            ledger.create_thread(agent_id="a", user_id="u")
            ledger.create_thread(agent_id="a", user_id="other")
            assert send(ledger) == {"queued": 2, "delivered": 2}
            assert remote.now.webhook_attempts(webhook.id) == ledger.now.webhook_attempts(webhook.id)
            webhook.delete()
            with pytest.raises(InvalidEvent, match="loopback"):
                remote.create_webhook("https://[::1]/")
        with Ledger.connect(address, keys["reading"]) as remote:
            for ask in (remote.now.webhooks, lambda: remote.webhook_secrets("webhook_a"), remote.webhook("webhook_a").enable):
                with pytest.raises(ScopeMissing, match="webhooks:manage"):
                    ask()
    assert sorted(map(str, of_types(receiver))) == ["thread.created", "webhook.tested"]


def test_events_about_keys_are_sent_only_where_who_made_the_webhook_may_see_them(sender: Ledger) -> None:
    may_not = sender.on_behalf(Caller("default", Actor.parse("human:bob"), scopes=frozenset({"webhooks:manage"})))
    with receiving() as receiver:
        sender.create_webhook(receiver.url("/owner"))
        may_not.create_webhook(receiver.url("/bob"))
        sender.create_key(owner="human:ada", scopes=["runs:read"], label="x")
        sender.create_thread(agent_id="a")
        send(sender)
    told = sorted((request.path, json.loads(request.body)["type"]) for request in receiver.requests)
    assert told == [("/bob", "thread.created"), ("/owner", "security.key_created"), ("/owner", "thread.created")]


def test_a_tenant_is_sent_nothing_of_another_and_sees_none_of_its_webhooks(sender: Ledger) -> None:
    other = sender.on_behalf(Caller("acme", Actor.parse("human:eve")))
    with receiving() as receiver:
        sender.create_webhook(receiver.url("/default"), webhook_id="webhook_a")
        other.create_webhook(receiver.url("/acme"), webhook_id="webhook_a")
        sender.create_thread(agent_id="a")
        other.create_thread(agent_id="a").rename("Ours")
        assert send(sender)["delivered"] == 3
        assert sorted(request.path for request in receiver.requests) == ["/acme", "/acme", "/default"]
        assert sender.webhook_secrets("webhook_a") != other.webhook_secrets("webhook_a")
        assert len(sender.now.webhook_attempts("webhook_a")) == 1
        assert len(other.now.webhook_attempts("webhook_a")) == 2


@pytest.mark.fault("I11")
def test_a_name_that_leads_elsewhere_when_it_is_sent_to_is_not_connected_to(sender: Ledger) -> None:
    leads_to = iter(["127.0.0.1", "169.254.169.254", "10.0.0.1", "127.0.0.1"])
    with receiving() as receiver:
        rules = private(LOCAL)
        sender.create_webhook(f"https://hooks.example.com:{8443}/", types="thread.*", webhook_id="webhook_a")

        def resolve(host: str, port: int) -> list[str]:
            return [next(leads_to)]

        class Rewritten(Poster):
            def post(self, url: str, body: str, headers: Mapping[str, str]) -> Answer:
                return super().post(receiver.url(host="hooks.example.com"), body, headers)

        thread, poster = sender.create_thread(agent_id="a"), Rewritten(rules, 10, resolve)
        thread.rename("B")
        assert send(sender, poster) == {"queued": 2, "delivered": 1, "failed": 1}
        assert len(receiver.requests) == 1
        assert "link-local" in str(sender.now.webhook("webhook_a").last_error)
        due_now(sender)
        assert send(sender, poster) == {"failed": 1}
        due_now(sender)
        assert send(sender, poster) == {"delivered": 1}
    assert of_types(receiver) == ["thread.created", "thread.renamed"]


def test_the_certificates_that_are_trusted_are_read_once_for_all_that_is_sent(
    sender: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = httpcore2.default_ssl_context
    times: list[int] = []
    monkeypatch.setattr(httpcore2, "default_ssl_context", lambda: times.append(1) or read())
    with socket.create_server(("127.0.0.1", 0)) as closed:
        sender.create_webhook(f"https://127.0.0.1:{closed.getsockname()[1]}/", types=["thread.created"])
    for _ in range(6):
        sender.create_thread(agent_id="a")
    assert send(sender)["failed"] == 6
    assert len(times) == 1
