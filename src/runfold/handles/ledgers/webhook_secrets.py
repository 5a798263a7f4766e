"""The secrets that receivers of webhooks verify signatures with."""

from datetime import datetime

from runfold.errors import WebhookNotFound
from runfold.history.views import View
from runfold.queries.reading import Reading
from runfold.store.sealed_secrets import SealedSecrets

CALLBACKS = "callbacks"
"""Stands for a webhook's id where runs name the addresses: what is sent there has one secret for each tenant."""


class WebhookSecret(View):
    """Shows a secret, for the receiver of what is signed with it."""

    generation: int
    secret: str
    """As libraries for Standard Webhooks take it: `whsec_…`."""
    until: datetime | None = None
    """Until when it is signed with; null for the present one."""


def secrets_of(reading: Reading, sealed: SealedSecrets, tenant_id: str, webhook_id: str, now: datetime) -> list[WebhookSecret]:
    """Return the secrets in use, the present one first. Raises WebhookNotFound, SecretSealed."""
    if webhook_id == CALLBACKS:
        return [WebhookSecret(generation=1, secret=sealed.secret(tenant_id, webhook_id, 1))]
    view = reading.webhook(webhook_id)
    if view.status == "deleted":
        raise WebhookNotFound(webhook_id)
    present = view.secret_generation
    found = [WebhookSecret(generation=present, secret=sealed.secret(tenant_id, webhook_id, present))]
    if present > 1 and view.both_secrets_until is not None and now < view.both_secrets_until:
        before = sealed.secret(tenant_id, webhook_id, present - 1)
        found.append(WebhookSecret(generation=present - 1, secret=before, until=view.both_secrets_until))
    return found
