"""Signatures of what is sent, as Standard Webhooks has them: any library for it verifies them."""

from collections.abc import Iterable
from datetime import UTC, datetime

from standardwebhooks import Webhook

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


def signed_headers(secrets: Iterable[str], id: str, moment: datetime, body: str) -> dict[str, str]:
    """Return the headers for a body: one signature for each secret, so that a receiver may change over at any time.

    `moment` is an aware datetime; the library takes its clock face as it stands, so it is given in UTC.
    """
    moment = moment.astimezone(UTC)
    signatures = [Webhook(secret).sign(id, moment, body) for secret in secrets]
    return {ID: id, TIMESTAMP: str(int(moment.timestamp())), SIGNATURE: " ".join(signatures)}
