"""The reactor that sends what the outbox holds. Any number of processes may: each thing is claimed by one of them at a time.

It is sent before it is noted that it was, so that whoever dies between the two has it sent once more, under the same id. How it
ended is recorded under a name that follows from what was sent, so that it is recorded once. Who is not in time with a claim is
taken for dead, and then what it sends comes twice.
"""

import random
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any

import structlog

from runfold.commands.caller import Caller
from runfold.commands.executor import CommandExecutor
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.delivery.known_webhooks import KnownWebhooks
from runfold.delivery.outbox import Attempt, Delivery, Outbox
from runfold.delivery.outgoing import Outgoings
from runfold.delivery.posting import GONE, Answer, Poster
from runfold.delivery.reactor import HOLD_SECONDS, Claim, Reacted
from runfold.delivery.schedule import pause_after, retry_after
from runfold.delivery.webhook_queue import CALLBACKS, STEPS
from runfold.domain.context import Context
from runfold.domain.recorded import Recorded
from runfold.domain.values import Actor
from runfold.domain.webhook import AnyCallbackEvent, Callback, CallbackAbandoned, CallbackDelivered
from runfold.errors import CommandRefused, LedgerError, NotFound
from runfold.failpoint import reach
from runfold.handles.calling.local import CallerExecutor
from runfold.ids import stable_id
from runfold.store.reading.reader import Reader

ACTOR = Actor(kind="system", id="delivery")
"""Who records how it ended."""
AT_ONCE = 8
WAIT_SECONDS = 0.05
NOT_READY_SECONDS = 5.0
"""After so long it is looked again for what could not be sent for a reason of ours."""
_log = structlog.get_logger()


def callback_stream(delivery: Delivery) -> str:
    """Return the stream of what became of something that was sent."""
    return stable_id("callback", delivery.tenant_id, delivery.webhook_id, str(delivery.event_id))


class WebhookSender:
    """Sends, several things at a time."""

    hold_seconds = HOLD_SECONDS

    def __init__(
        self,
        name: str,
        pause: float,
        outbox: Outbox,
        reader: Reader,
        commands: CommandExecutor,
        outgoings: Outgoings,
        poster: Poster,
    ) -> None:
        self.name, self.pause = name, pause
        self._outbox, self._reader, self._commands = outbox, reader.tolerant(), commands
        self._outgoings, self._poster = outgoings, poster
        self._known = KnownWebhooks(reader)
        self._pool = ThreadPoolExecutor(AT_ONCE, "runfold-webhooks")
        self._busy: dict[Future[str], Delivery] = {}

    def react(self, claim: Claim) -> Reacted:  # noqa: ARG002  each thing that is sent is claimed by itself
        """Begin to send what is due, as far as there is room, and return what has ended since."""
        while len(self._busy) < AT_ONCE and (delivery := self._outbox.claim()) is not None:
            reach("delivery claimed")
            self._known.refresh(self._reader.head())
            self._busy[self._pool.submit(self._send, delivery)] = delivery
        done, _ = wait(self._busy, WAIT_SECONDS, FIRST_COMPLETED) if self._busy else (set(), None)
        counts: dict[str, int] = {}
        for future in done:
            del self._busy[future]
            ended = future.result()
            counts[ended] = counts.get(ended, 0) + 1
        return Reacted(counts, has_more=bool(self._busy or done))

    def _send(self, delivery: Delivery) -> str:
        """Send one thing; return what became of it in a word."""
        try:
            return self._sent(delivery)
        except LedgerError as error:
            _log.warning("not sent", webhook=delivery.webhook_id, position=delivery.position, error=str(error))
            self._outbox.put_off(delivery, None, NOT_READY_SECONDS)
            return "put_off"

    def _sent(self, delivery: Delivery) -> str:
        recorded = self._reader.at_positions([delivery.position]).get(delivery.position)
        webhook = self._known.by_id.get((delivery.tenant_id, delivery.webhook_id))
        if webhook is not None and webhook.fault is not None:
            raise webhook.fault
        if webhook is not None and webhook.state.status == "disabled":
            self._outbox.put_off(delivery, None, NOT_READY_SECONDS)
            return "put_off"
        is_same = recorded is not None and recorded.event_id == delivery.event_id
        outgoing = self._outgoings.of(delivery, recorded, webhook) if recorded is not None and is_same else None
        if recorded is None or outgoing is None or (webhook is not None and webhook.state.status == "deleted"):
            self._outbox.ended(delivery, None)  # the ledger was restored, or nobody wants it any more
            return "dropped"
        began = time.monotonic()
        answer = self._poster.post(outgoing.url, outgoing.body, outgoing.headers)
        reach("delivery sent")
        attempt = Attempt(round(1000 * (time.monotonic() - began)), answer.status_code, answer.error)
        return self._noted(delivery, recorded, attempt, answer)

    def _noted(self, delivery: Delivery, recorded: Recorded, attempt: Attempt, answer: Answer) -> str:
        facts: dict[str, Any] = {
            "webhook_id": None if delivery.webhook_id in {CALLBACKS, STEPS} else delivery.webhook_id,
            "event_id": str(delivery.event_id),
            "position": delivery.position,
            "attempts": delivery.attempts + 1,
            "replay": delivery.replay,
        }
        if answer.is_accepted:
            self._end(delivery, recorded, CallbackDelivered(**facts, status_code=answer.status_code or 0))
            reach("delivery recorded")
            self._outbox.ended(delivery, attempt)
            return "delivered"
        if answer.status_code == GONE and facts["webhook_id"] is not None:
            self._disable(delivery)
            self._outbox.put_off(delivery, attempt, NOT_READY_SECONDS)
            return "gone"
        asked = retry_after(answer.retry_after, datetime.now(UTC))
        pause = None if answer.status_code == GONE else pause_after(delivery.attempts + 1, asked, random.random)
        if pause is not None:
            self._outbox.put_off(delivery, attempt, pause)
            return "failed"
        said = CallbackAbandoned(**facts, error=answer.error or "it was not accepted", status_code=answer.status_code)
        self._end(delivery, recorded, said)
        self._outbox.ended(delivery, attempt)
        return "abandoned"

    def _end(self, delivery: Delivery, recorded: Recorded, ended: AnyCallbackEvent) -> None:
        """Record how it ended; where that is recorded already, nothing is."""
        stream = callback_stream(delivery)

        def decide(session: Session) -> None:
            callback = session.new(Callback, stream)
            if callback.exists:
                session.record(callback, callback.end(ended))
            else:
                session.begin(callback, callback.end(ended), stream, _context(delivery, recorded))

        executor = CallerExecutor(self._commands, Caller(recorded.tenant_id, ACTOR))
        executor.execute_plan(Plan(stream, decide, itself, {"causation_id": str(delivery.event_id)}))

    def _disable(self, delivery: Delivery) -> None:
        """Send nothing more to a receiver that says that it is gone."""

        def decide(session: Session) -> None:
            webhook = session.webhook(delivery.webhook_id)
            comment = f"the receiver answered {GONE} to the event at position {delivery.position}"
            session.record(webhook, webhook.disable("gone", comment))

        executor = CallerExecutor(self._commands, Caller(delivery.tenant_id, ACTOR))
        try:
            executor.execute_plan(Plan(delivery.webhook_id, decide, itself, {"causation_id": str(delivery.event_id)}))
        except (CommandRefused, NotFound) as error:  # somebody has just deleted it
            _log.info("not disabled", webhook=delivery.webhook_id, error=str(error))


def _context(delivery: Delivery, recorded: Recorded) -> Context:
    """Return what stands beside the end: of the call that a run asked for, the run."""
    if delivery.webhook_id != CALLBACKS:
        return Context()
    of = recorded.context
    return Context(run_id=of.run_id, agent_id=of.agent_id, user_id=of.user_id, goal_id=of.goal_id)
