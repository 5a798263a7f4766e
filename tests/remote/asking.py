"""Everything that a ledger can be asked, wherever it is: each method, with what it takes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from runfold.api.route import QuestionRoute
from runfold.api.table import QUESTIONS
from runfold.subscriptions.named import NamedSubscription
from tests.questions import REQUIRED

LEASE = UUID(int=7)
RECEIPT = {
    "v": 1,
    "events": [
        {
            "position": 1,
            "stream": "run_a",
            "version": 1,
            "event_id": "01890000-0000-7000-8000-000000000000",
            "type": "run.created",
            "schema_version": 1,
            "tenant_id": "default",
            "thread_id": "thread_a",
            "recorded_at": "2026-01-31T09:30:00.000000Z",
            "salt": "0" * 32,
            "payload_sha256": "0" * 64,
            "envelope_sha256": "0" * 64,
        }
    ],
}


def _batch_of(remote: Any) -> None:
    with remote.batch() as batch:
        batch.run("run_a").add_message("user", "Hello")


OF_LEDGER: dict[str, Callable[[Any, Path], object]] = {
    "create_thread": lambda remote, _: remote.create_thread(agent_id="support"),
    "create_webhook": lambda remote, _: remote.create_webhook("https://hooks.example.com/x"),
    "batch": lambda remote, _: _batch_of(remote),
    "prepare": lambda remote, _: remote.prepare(1),
    "cancel_runs": lambda remote, _: remote.cancel_runs(["run_a"]),
    "moments": lambda remote, _: remote.moments(),
    "drop_moment": lambda remote, _: remote.drop_moment("moment_a"),
    "webhook_secrets": lambda remote, _: remote.webhook_secrets("webhook_a"),
    "sealed_log": lambda remote, _: remote.sealed_log(),
    "checkpoint": lambda remote, _: remote.checkpoint(),
    "verify_receipt": lambda remote, _: remote.verify_receipt(RECEIPT),
    "make_bundle": lambda remote, folder: remote.make_bundle(folder / "bundle.zip", "run_a"),
    "prove_absence": lambda remote, folder: remote.prove_absence(folder / "bundle.zip", "thread_a", "approval.granted"),
    "events": lambda remote, _: remote.events(),
    "subscribe": lambda remote, _: list(remote.subscribe(after="1@1f2e3d4c", follow=False, patience=0)),
    "position": lambda remote, _: remote.position(),
    "cursor": lambda remote, _: remote.cursor(),
}
ASKS_NOTHING = {
    "receipt",
    "connect",
    "close",
    "now",
    "at",
    "happened_at",
    "thread",
    "run",
    "approval",
    "webhook",
    "subscription",
    "subscriptions",
}
OF_SUBSCRIPTION: dict[str, Callable[[NamedSubscription], object]] = {
    "put": lambda named: named.put(),
    "view": lambda named: named.view(),
    "delete": lambda named: named.delete(),
    "take": lambda named: named.take(),
    "acknowledge": lambda named: named.acknowledge(LEASE, [1]),
    "reject": lambda named: named.reject(LEASE, [1]),
    "extend": lambda named: named.extend(LEASE),
    "release": lambda named: named.release(LEASE),
    "parked": lambda named: named.parked(),
    "replay": lambda named: named.replay(),
    "discard": lambda named: named.discard([1]),
    "reset": lambda named: named.reset(1),
}
ASKED: dict[str, Callable[[Any, Path], object]] = {
    **OF_LEDGER,
    **{
        f"subscription.{name}": lambda remote, _, ask=ask: ask(remote.subscription("billing"))  # type: ignore[misc]
        for name, ask in OF_SUBSCRIPTION.items()
    },
    "subscriptions.all": lambda remote, _: remote.subscriptions.all(),
    "the feed from a position": lambda remote, _: list(remote.subscribe(follow=False, patience=0)),
    "events, the last first": lambda remote, _: remote.events(order="desc"),
    "events of a thread": lambda remote, _: list(remote.now.thread_events("thread_a")),
    "events of a run": lambda remote, _: list(remote.now.run_events("run_a")),
    "a command of a run": lambda remote, _: remote.run("run_a").complete(),
    "a submitted command": lambda remote, _: remote.thread("thread_a").submit_rename("Refund").result(30),
}
IDS = {"thread": "thread_a", "run": "run_a", "approval": "approval_a", "webhook": "webhook_a"}


def _questions() -> Iterator[tuple[str, Callable[[Any, Path], object]]]:
    for route in QUESTIONS:
        if isinstance(route, QuestionRoute) and route.narrowed is None:
            given = {name: IDS.get(name.partition("_")[0], "x") for name in route.path_names} | REQUIRED.get(route.name, {})
            yield route.name, lambda remote, _, route=route, given=given: route.method(remote.now, **given)  # type: ignore[misc]


QUESTIONED = dict(_questions())
