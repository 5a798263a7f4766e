"""The reactors that send what others asked for, made for a ledger."""

import time
from datetime import timedelta
from importlib.util import find_spec

import structlog

from runfold.delivery.outbox import Outbox
from runfold.delivery.posting import Poster
from runfold.delivery.reactor import HOLD_SECONDS, Claim, Reacted, Reactor
from runfold.delivery.webhook_queue import WebhookQueue
from runfold.ledger import Ledger
from runfold.store.sealed_secrets import SealedSecrets

SENDERS = 4
"""So many processes share the sending at most; more take over from those that die."""
QUICK, SLOW = 0.25, 1.0
"""Seconds after which the first sender looks again, where nothing was to be sent; and the others, for when there is much."""
GRACE = timedelta(seconds=30)
"""How much longer than an attempt may take its claim lasts."""
TIDY_SECONDS = 3600.0
LOOK_AT_CLOCKS_SECONDS = 60.0
"""After so long it is looked again for what a clock put off that was put back since."""
LIBRARIES = ("cryptography", "standardwebhooks")
_log = structlog.get_logger()


def is_installed() -> bool:
    """Return whether the libraries that sending needs are there."""
    return all(find_spec(name) is not None for name in LIBRARIES)


def outbox_of(ledger: Ledger) -> Outbox:
    """Return the outbox of a ledger."""
    return Outbox(ledger.recorder.store, timedelta(seconds=ledger.settings.webhook_timeout) + GRACE)


def webhook_reactors(ledger: Ledger, poster: Poster | None = None, senders: int = SENDERS) -> list[Reactor]:
    """Return the reactors that send to webhooks; none where their libraries are not installed."""
    if not is_installed():
        _log.warning("nothing is sent to webhooks or callbacks; install `runfold[webhooks]`")
        return []
    from runfold.delivery.outgoing import Outgoings  # noqa: PLC0415  it needs the libraries
    from runfold.delivery.webhook_sender import WebhookSender  # noqa: PLC0415

    settings, commands = ledger.settings, ledger.command_executor
    reader, outbox = ledger.recorder.reader, outbox_of(ledger)
    outgoings = Outgoings(reader, commands.sealed_secrets, settings)
    poster = poster or Poster(settings.address_rules, settings.webhook_timeout)
    sending = [
        WebhookSender(f"webhooks.sender-{number}", QUICK if number == 1 else SLOW, outbox, reader, commands, outgoings, poster)
        for number in range(1, senders + 1)
    ]
    queue = WebhookQueue(reader, outbox, has_steps=settings.step_webhook_url is not None)
    return [queue, *sending, Tidying(outbox, commands.sealed_secrets)]


class Tidying:
    """Forgets attempts that are long over, and encrypts secrets anew where the first key has changed."""

    name, pause, hold_seconds = "webhooks.tidying", 5.0, HOLD_SECONDS

    def __init__(self, outbox: Outbox, secrets: SealedSecrets) -> None:
        self._outbox, self._secrets = outbox, secrets
        self._not_before = self._clocks_not_before = 0.0

    def react(self, claim: Claim) -> Reacted:  # noqa: ARG002
        """Tidy up, now and then."""
        if time.monotonic() >= self._clocks_not_before:
            self._clocks_not_before = time.monotonic() + LOOK_AT_CLOCKS_SECONDS
            self._outbox.make_due_what_is_due_too_late()
        if time.monotonic() < self._not_before:
            return Reacted()
        self._not_before = time.monotonic() + TIDY_SECONDS
        self._outbox.forget_attempts()
        anew = self._secrets.encrypt_anew()
        return Reacted({"encrypted_anew": anew} if anew else {})
