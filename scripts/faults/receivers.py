"""G8: receivers of webhooks that fail, hang, redirect and lose answers, while the workers that send are killed."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import psycopg
from standardwebhooks import Webhook, WebhookVerificationError

from faults.row import row
from faults.stage import Stage
from runfold import Ledger, Settings
from runfold.domain.recorded import Recorded
from runfold.settings import environment

ALLOWED: dict[str, Any] = {"webhook_allow": "127.0.0.0/8", "webhook_timeout": 1.0}
MOST_REFUSALS = 5
"""After so many nothing is refused any more: nothing is to be abandoned."""
WORKERS = 3
KILLS, SHORT_KILLS = 15, 2
"""How often a worker is killed."""
_FREE = "ctid IN (SELECT ctid FROM runfold.deliveries WHERE {0} > clock_timestamp() FOR UPDATE SKIP LOCKED)"
"""Rows that no sender holds: it takes several at once, in an order of its own, and both could wait for each other."""
_LATER = (
    f"UPDATE runfold.deliveries SET due_at = clock_timestamp() WHERE {_FREE.format('due_at')}",
    f"UPDATE runfold.deliveries SET claimed_until = NULL WHERE {_FREE.format('claimed_until')}",
    "UPDATE runfold.reactors SET worker = NULL WHERE name LIKE 'webhooks.%'",
)


@row("G8", "receivers fail, senders are killed", share=0.001)
def receivers(stage: Stage) -> None:
    """Receivers answer 500, 429, redirect, hang, or take an event in and lose the answer, while the workers that send are
    killed again and again. Each event arrives under its id, the first time in the order of its stream, with a valid signature,
    and how it ended is recorded once."""
    settings = Settings(database_url=stage.server.url, **ALLOWED)
    with Ledger.open(settings=settings) as ledger, _receiving(stage) as receiver:
        webhook = ledger.create_webhook(receiver.url, types=["run.*", "message.*"], webhook_id=f"webhook_{stage.tag}")
        try:
            wanted_kills = SHORT_KILLS if stage.short else KILLS
            stage.start_writers(2, modes=("single",), pause=stage.pace(2.0 * wanted_kills, 2))
            workers = [_worker(settings) for _ in range(WORKERS)]
            kills, is_enough = 0, False
            while not (is_enough and _is_done(ledger, webhook.id, stage)):
                stage.pause(0.05, 0.4)
                is_enough = is_enough or stage.enough(kills, wanted_kills)
                if kills < wanted_kills and stage.rng.random() < 0.1:
                    kills += 1
                    victim = stage.rng.randrange(WORKERS)
                    os.killpg(workers[victim].pid, signal.SIGKILL)
                    workers[victim].wait()
                    workers[victim] = _worker(settings)
                with psycopg.connect(stage.server.url, autocommit=True, options="-c runfold.tenant=*") as connection:
                    for statement in _LATER if stage.rng.random() < 0.5 else _LATER[:1]:
                        connection.execute(statement)
            for worker in workers:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
            secret = ledger.webhook_secrets(webhook.id)[0].secret
            wanted = list(ledger.subscribe(after=webhook.receipt.position, follow=False, types=["run.*", "message.*"]))
            _compare(stage, ledger, receiver, wanted, webhook.id, secret)
            stage.figures.measured |= {"workers killed": kills, "requests": len(receiver.requests), "events sent": len(wanted)}
        finally:
            webhook.delete()
    stage.finish()


def _is_done(ledger: Ledger, webhook_id: str, stage: Stage) -> bool:
    view = ledger.now.webhook(webhook_id)
    is_written = not stage.crew.alive()
    return is_written and view.waiting == 0 and view.position is not None and _nothing_after(ledger, view.position)


def _nothing_after(ledger: Ledger, position: int) -> bool:
    return not ledger.events(after=position, types=["run.*", "message.*"], limit=1)


def _compare(stage: Stage, ledger: Ledger, receiver: "Receiver", wanted: list[Recorded], webhook_id: str, secret: str) -> None:
    first = list(dict.fromkeys(receiver.accepted))
    ids = {str(recorded.event_id): recorded for recorded in wanted}
    stage.expect(first != [] and set(first) == set(ids), f"{len(first)} events arrived of {len(ids)}")
    by_stream = sorted((name for name in first if name in ids), key=lambda name: ids[name].stream)
    for stream, told in itertools.groupby(by_stream, key=lambda name: ids[name].stream):
        positions = [ids[name].position for name in told]
        stage.expect(positions == sorted(positions), f"{stream} arrived in another order")
    stage.expect(not receiver.elsewhere, f"{receiver.elsewhere} redirects were followed")
    for headers, body in receiver.requests[:2000]:
        try:
            said = Webhook(secret).verify(body, headers)
            stage.expect(said["event_id"] == headers["webhook-id"], "an event came under another id")
        except WebhookVerificationError as error:
            stage.expect("too old" in str(error), f"a signature is not valid: {error}")
    ended = [recorded.event for recorded in ledger.subscribe(follow=False, types=["callback.*"])]
    of_webhook = [event.event_id for event in ended if getattr(event, "webhook_id", None) == webhook_id]  # type: ignore[attr-defined]
    stage.expect(sorted(of_webhook) == sorted(ids), f"{len(of_webhook)} ends are recorded of {len(ids)} events")


def _worker(settings: Settings) -> "subprocess.Popen[bytes]":
    words = ["work", "--until-input-ends", "--react", "webhooks"]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "runfold.cli.main", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(settings),
        start_new_session=True,
    )


class Receiver:
    """What arrives, and what was accepted of it."""

    def __init__(self, seed: str) -> None:
        self.url = ""
        self.requests: list[tuple[dict[str, str], str]] = []
        self.accepted: list[str] = []
        self.elsewhere = 0
        self._chance, self._turn = Random(seed), threading.Lock()
        self._refused: dict[str, int] = {}

    def mood(self, headers: dict[str, str], body: str) -> float:
        """Note a request, and return what is to become of it: from 1 on it is accepted."""
        name = headers.get("webhook-id", "")
        with self._turn:
            self.requests.append((headers, body))
            mood = self._chance.random() * 1.6
            if mood < 1 and self._refused.get(name, 0) >= MOST_REFUSALS:
                mood = 1.0
            if mood < 1:
                self._refused[name] = self._refused.get(name, 0) + 1
            if mood >= 0.7:
                self.accepted.append(name)
        return mood


@contextmanager
def _receiving(stage: Stage) -> Iterator[Receiver]:
    receiver = Receiver(stage.seed)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            if self.path == "/elsewhere":
                receiver.elsewhere += 1
            mood = receiver.mood({name.lower(): value for name, value in self.headers.items()}, body)
            if mood < 0.05:
                time.sleep(1.5)
            elif mood < 0.3:
                self._say(500)
            elif mood < 0.5:
                self._say(429, {"Retry-After": "600"})
            elif mood < 0.7:
                self._say(308, {"Location": "/elsewhere"})
            elif mood >= 1:
                self._say(204)  # below that it was taken in, and the answer is lost

        do_GET = do_POST  # noqa: N815  the server calls it so

        def _say(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
        try:
            yield receiver
        finally:
            with suppress(OSError):
                server.shutdown()
            thread.join(10)
