"""What is drawn of webhooks: a list, one of them, attempts, and the call that a run asked for."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from runfold.terminal import styles
from runfold.terminal.tables import table
from runfold.terminal.text import counted, shown, to_the_minute

if TYPE_CHECKING:
    from runfold.queries.webhooks import AttemptView, CallbackView, WebhookView


def webhook_table(webhooks: "Iterable[WebhookView]") -> Table:
    """Draw webhooks."""
    rows = (
        (
            webhook.id,
            shown(webhook.status, styles.WEBHOOK.get(webhook.status, "")),
            webhook.label,
            webhook.url,
            ", ".join(webhook.filter.types),
            webhook.waiting or "",
            to_the_minute(webhook.oldest_waiting_at),
            webhook.last_error or webhook.reason,
        )
        for webhook in webhooks
    )
    return table(("id", "status", "label", "address", "types", "#waiting", "since (UTC)", "last error"), rows, "last error")


def webhook_facts(webhook: "WebhookView") -> Table:
    """Draw one webhook."""
    asked = webhook.filter.model_dump(mode="json", exclude_defaults=True)
    return _facts(
        {
            "id": webhook.id,
            "label": webhook.label,
            "address": webhook.url,
            "status": f"{webhook.status} ({webhook.reason})" if webhook.reason else webhook.status,
            "sends": f"{webhook.content}, as {webhook.format}",
            **{name.replace("_", " "): _listed(value) for name, value in asked.items()},
            "created": f"{to_the_minute(webhook.created_at)} by {webhook.created_by}, at position {webhook.created_position}",
            "secret": f"number {webhook.secret_generation}",
            "looked at": "nothing yet" if webhook.position is None else f"up to position {webhook.position}",
            "waiting": f"{webhook.waiting}, since {to_the_minute(webhook.oldest_waiting_at)}" if webhook.waiting else "nothing",
            "next attempt": to_the_minute(webhook.next_attempt_at) if webhook.waiting else None,
            "last error": webhook.last_error,
        }
    )


def callback_facts(callback: "CallbackView") -> Table:
    """Draw what became of the call that a run asked for."""
    sent = to_the_minute(callback.callback_sent_at)
    return _facts(
        {
            "run": callback.run_id,
            "address": callback.callback_url,
            "state": "the run has not ended" if callback.state == "none_yet" else callback.state,
            "ended": sent and f"{sent} (UTC), after {counted(callback.attempts, 'attempt')}",
            "status": callback.callback_status_code,
            "error": callback.callback_error,
            "next attempt": to_the_minute(callback.next_attempt_at),
        }
    )


def attempt_table(attempts: "Iterable[AttemptView]") -> Table:
    """Draw attempts."""
    rows = (
        (
            to_the_minute(attempt.attempted_at),
            attempt.position,
            attempt.event_id,
            attempt.attempt,
            attempt.status_code,
            attempt.milliseconds,
            attempt.error,
        )
        for attempt in attempts
    )
    return table(("tried (UTC)", "#position", "id", "#attempt", "#status", "#ms", "error"), rows, "error")


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{each['kind']}:{each['id']}" if isinstance(each, dict) else str(each) for each in value)
    return str(value)


def _facts(facts: Mapping[str, Any]) -> Table:
    made = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    made.add_column(no_wrap=True, style="bold")
    made.add_column(overflow="fold")
    for name, value in facts.items():
        if value not in (None, ""):
            made.add_row(Text(name), shown(str(value)))
    return made
