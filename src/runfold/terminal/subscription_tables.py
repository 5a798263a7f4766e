"""Tables of named subscriptions, and of what they set aside."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.table import Table

from runfold.terminal.tables import table
from runfold.terminal.text import one_line, to_the_minute

if TYPE_CHECKING:
    from runfold.subscriptions.views import ParkedEvent, SubscriptionView


def subscription_table(subscriptions: "Iterable[SubscriptionView]") -> Table:
    """Draw named subscriptions, and how far each is."""
    rows = (
        (
            each.name,
            each.owner,
            ", ".join(f"{name}={_listed(value)}" for name, value in each.wanted.items()),
            each.in_order_of,
            each.acknowledged_up_to.partition("@")[0],
            each.lag,
            each.leased,
            each.waiting,
            each.parked,
            to_the_minute(each.oldest_at),
        )
        for each in subscriptions
    )
    heads = ("name", "owner", "only", "in order of", "#done up to", "#behind", "#leased", "#waiting", "#parked", "oldest (UTC)")
    return table(heads, rows)


def parked_table(parked: "Iterable[ParkedEvent]") -> Table:
    """Draw events that a subscription set aside."""
    rows = (
        (each.position, each.attempts, to_the_minute(each.parked_at), each.consumer, one_line(each.reason or ""))
        for each in parked
    )
    return table(("#position", "#given", "since (UTC)", "last to", "reason"), rows, wraps="reason")


def _listed(value: Any) -> str:
    return "|".join(value) if isinstance(value, list) else str(value)
