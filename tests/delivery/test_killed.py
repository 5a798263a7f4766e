"""Receivers that fail, hang, redirect and lose answers, and workers that are killed: everything arrives, in order, signed."""

import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from standardwebhooks import Webhook as Verifier

from runfold import Ledger
from runfold.settings import Settings, environment
from tests.waiting import until

from .receiver import OK, Request, receiving, status
from .sending import LOCAL, due_now, sending_ledger

SEED = 20_261_129
POINTS = ("delivery claimed:3", "delivery sent:2", "delivery recorded:2")
RUNS, MESSAGES = 3, 4
MOST_REFUSALS = 4
"""After so many nothing is refused any more: nothing is to be abandoned by chance."""


class Moody:
    """Answers as chance has it, and notes what it accepted."""

    def __init__(self, elsewhere: str) -> None:
        self.accepted: list[str] = []
        self._chance, self._turn, self._hangs = random.Random(SEED), threading.Lock(), 1  # noqa: S311
        self._elsewhere, self._tries = elsewhere, dict[str, int]()

    def __call__(self, request: Request, connection: socket.socket) -> bytes:
        with self._turn:
            name = request.headers["webhook-id"]
            self._tries[name] = self._tries.get(name, 0) + 1
            mood = self._chance.random() if self._tries[name] <= MOST_REFUSALS else 1.0
            if mood < 0.12:
                return status(500, body="out of order")
            if mood < 0.2:
                return status(307, f"Location: {self._elsewhere}")
            if mood < 0.26:
                return status(429, "Retry-After: 600")
            if mood < 0.3 and self._hangs:
                self._hangs -= 1
                threading.Event().wait(3)
                return b""
            self.accepted.append(name)
            return b"" if mood < 0.4 else OK  # taken in, and the answer is lost


@pytest.fixture
def worker(settings: Settings) -> Iterator[Callable[[str | None], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(point: str | None) -> subprocess.Popen[bytes]:
        more = {"RUNFOLD_WEBHOOK_ALLOW": LOCAL, "RUNFOLD_WEBHOOK_TIMEOUT": "1"}
        killed = {} if point is None else {"RUNFOLD_FAILPOINT": point}
        words = ["work", "--until-input-ends", "--react", "webhooks"]
        found = subprocess.Popen(
            [sys.executable, "-P", "-m", "runfold.cli.main", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment(settings), **more, **killed},
        )
        started.append(found)
        return found

    yield start
    for each in started:
        each.kill()
        each.wait()
        if each.stdin is not None:
            each.stdin.close()


def as_if_later(ledger: Ledger) -> None:
    """Let what the dead had claimed be free, and whatever waits be due."""
    with ledger.recorder.store.reading() as connection:
        connection.execute("UPDATE runfold.reactors SET worker = NULL, held_until = '-infinity'")
        connection.execute("UPDATE runfold.deliveries SET claimed_until = NULL")
    due_now(ledger)


@pytest.mark.fault("G8")
@pytest.mark.row("LT-112")
def test_every_event_arrives_under_its_id_in_the_order_of_its_stream_whatever_dies(
    settings: Settings, worker: Callable[[str | None], subprocess.Popen[bytes]]
) -> None:
    with receiving() as elsewhere, sending_ledger(settings) as ledger:
        moods = {path: Moody(elsewhere.url()) for path in ("/all", "/messages")}
        with receiving(lambda request, connection: moods[request.path](request, connection)) as receiver:
            ledger.create_webhook(receiver.url("/all"), webhook_id="webhook_all", types=["run.*", "message.*"])
            ledger.create_webhook(receiver.url("/messages"), webhook_id="webhook_m", types="message.*", format="cloudevents")
            for _ in range(RUNS):
                run = ledger.create_thread(agent_id="a").start_run()
                for number in range(MESSAGES):
                    run.add_message("user", f"Hello {number}")
                run.complete()
            for point in POINTS:
                process = worker(point)
                until(lambda: due_now(ledger) or process.poll() is not None, 120, otherwise=lambda: f"it never came to {point}")  # noqa: B023
                assert process.wait() == -9
                as_if_later(ledger)
            worker(None)
            wanted = {
                "/all": ledger.events(types=["run.*", "message.*"]),
                "/messages": ledger.events(types="message.*"),
            }
            expected = sum(map(len, wanted.values()))
            until(lambda: due_now(ledger) or len(ledger.events(types="callback.*")) == expected, 120)
        assert elsewhere.requests == [], "no redirect was followed"
        for path, webhook_id in (("/all", "webhook_all"), ("/messages", "webhook_m")):
            ids = [str(recorded.event_id) for recorded in wanted[path]]
            first = list(dict.fromkeys(moods[path].accepted))
            assert sorted(first) == sorted(ids), "each was accepted"
            stream_of = {str(recorded.event_id): recorded.stream for recorded in wanted[path]}
            for stream in set(stream_of.values()):
                assert [each for each in first if stream_of[each] == stream] == [
                    each for each in ids if stream_of[each] == stream
                ]
            secret = ledger.webhook_secrets(webhook_id)[0].secret
            for request in receiver.requests:
                if request.path == path:
                    said = Verifier(secret).verify(request.body, request.headers)
                    assert request.headers["webhook-id"] in {said.get("event_id"), said.get("id")}
        ended = ledger.events(types="callback.*")
        assert {each.type for each in ended} == {"callback.delivered"}
        assert len({(each.event.webhook_id, each.event.event_id) for each in ended}) == expected  # type: ignore[attr-defined]
