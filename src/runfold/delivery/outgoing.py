"""What is sent for a row of the outbox: where to, which body, and signed with which secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps

from runfold.delivery.bodies import JSON, Body, event_body
from runfold.delivery.known_webhooks import KnownWebhook
from runfold.delivery.outbox import Delivery
from runfold.delivery.run_callback import callback_body
from runfold.delivery.signing import signed_headers
from runfold.delivery.webhook_queue import CALLBACKS, STEPS
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCreated
from runfold.domain.step import StepFinished, StepStarted
from runfold.errors import UnknownEventType
from runfold.settings import Settings
from runfold.store.datastore import EVERY_TENANT
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.sealed_secrets import SealedSecrets

AGENT = "Runfold-Webhooks/1"


@dataclass(frozen=True)
class Outgoing:
    """One request."""

    url: str
    body: str
    headers: Mapping[str, str]


class Outgoings:
    """Makes requests of rows."""

    def __init__(self, reader: Reader, secrets: SealedSecrets, settings: Settings) -> None:
        self._reader, self._secrets, self._settings = reader, secrets, settings

    def of(self, delivery: Delivery, recorded: Recorded, webhook: KnownWebhook | None) -> Outgoing | None:
        """Return the request for a row, None where there is nobody to send it to any more.

        Raises SecretSealed, LedgerUnavailable, and Damage for what cannot be read here.
        """
        if delivery.webhook_id == CALLBACKS:
            return self._callback(delivery, recorded)
        if delivery.webhook_id == STEPS:
            return self._step(delivery, recorded)
        created = webhook.state.created if webhook is not None else None
        if webhook is None or created is None:
            return None
        epoch = self._reader.head().epoch
        body = event_body(recorded, epoch, created.format, created.content, self._settings.public_url)
        state, now = webhook.state, datetime.now(UTC)
        generations = [state.generation]
        if state.generation > 1 and state.previous_until is not None and now < state.previous_until:
            generations.append(state.generation - 1)
        return self._signed(created.url, delivery, body, delivery.tenant_id, generations)

    def _callback(self, delivery: Delivery, recorded: Recorded) -> Outgoing | None:
        recorded.facts_beside()  # what it ends as is recorded with them
        reader = TenantReader.of(self._reader, recorded.tenant_id)
        created = next(reader.stream(recorded.stream, up_to_version=1), None)
        if created is None or not isinstance(created.event, RunCreated) or created.event.callback_url is None:
            return None
        body = Body(callback_body(reader, created.event, recorded), JSON)
        return self._signed(created.event.callback_url, delivery, body, recorded.tenant_id, [1])

    def _step(self, delivery: Delivery, recorded: Recorded) -> Outgoing | None:
        if recorded.is_raw:
            raise UnknownEventType(recorded.type, recorded.schema_version, recorded.position)
        settings, event = self._settings, recorded.event
        if settings.step_webhook_url is None or not isinstance(event, StepStarted | StepFinished):
            return None
        body = Body(dumps({"step_id": event.step_id}), JSON)
        found = self._signed(settings.step_webhook_url, delivery, body, EVERY_TENANT, [1])
        if settings.step_webhook_key is None:
            return found
        return Outgoing(
            found.url, found.body, {**found.headers, "authorization": f"Bearer {settings.step_webhook_key.get_secret_value()}"}
        )

    def _signed(self, url: str, delivery: Delivery, body: Body, tenant_id: str, generations: list[int]) -> Outgoing:
        secrets = [self._secrets.secret(tenant_id, delivery.webhook_id, number) for number in generations]
        headers = signed_headers(secrets, str(delivery.event_id), datetime.now(UTC), body.text)
        return Outgoing(url, body.text, {**headers, "content-type": body.media_type, "user-agent": AGENT})
