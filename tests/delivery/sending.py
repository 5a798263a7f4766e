"""Reactors of webhooks, driven by hand: what they do is done when the call returns."""

import contextlib
from collections.abc import Iterator
from ipaddress import ip_network

from runfold import Ledger
from runfold.delivery.claims import Claims
from runfold.delivery.loop import ReactorLoop
from runfold.delivery.posting import Poster
from runfold.delivery.webhook_reactors import webhook_reactors
from runfold.domain.web_address import AddressRules
from runfold.settings import Settings

LOCAL = "127.0.0.0/8"
_ALL_DUE = """WITH mine AS MATERIALIZED (
    SELECT tenant_id, webhook_id, position FROM runfold.deliveries ORDER BY 1, 2, 3 FOR UPDATE
)
UPDATE runfold.deliveries AS d
   SET due_at = clock_timestamp()
  FROM mine
 WHERE (d.tenant_id, d.webhook_id, d.position) = (mine.tenant_id, mine.webhook_id, mine.position)"""


@contextlib.contextmanager
def sending_ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger so that it may send to this machine."""
    allowed = Settings(**{**settings.model_dump(exclude_unset=True), "webhook_allow": LOCAL, "webhook_timeout": 10})
    with Ledger.open(settings=allowed) as ledger:
        yield ledger


def send(ledger: Ledger, poster: Poster | None = None) -> dict[str, int]:
    """Send all that is due now; return how often what came of it."""
    loop = ReactorLoop(ledger.recorder.store, webhook_reactors(ledger, poster, senders=1), Claims(ledger.recorder.store))
    found: dict[str, int] = {}
    while done := {name: count for each in loop.once().values() for name, count in each.items()}:
        for name, count in done.items():
            found[name] = found.get(name, 0) + count
    return found


def due_now(ledger: Ledger) -> None:
    """Let whatever is to be tried again later be due; taken in the order in which all take it, so that nobody waits for it."""
    with ledger.recorder.store.reading() as connection:
        connection.execute(_ALL_DUE)


def private(*networks: str) -> AddressRules:
    """Return rules that allow some networks, and any port."""
    return AddressRules(
        frozenset({"http", "https"}), frozenset(range(1, 65536)), tuple(ip_network(network) for network in networks)
    )
