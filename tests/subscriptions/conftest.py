"""Named subscriptions, here and over HTTP alike."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from runfold import Ledger, Run
from runfold.subscriptions.named import NamedSubscription
from runfold.subscriptions.views import Taken
from tests.databases import TestDatabase

Named = Callable[[str], NamedSubscription]


def at(taken: Taken) -> list[int]:
    """The positions that were taken."""
    return [each.recorded.position for each in taken.deliveries]


def leases_end(database: TestDatabase) -> None:
    """Let the time of all leases be over."""
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("UPDATE runfold.subscription_leases SET due = clock_timestamp() - interval '1 second'")


@pytest.fixture(params=["here", "over HTTP"])
def named(request: pytest.FixtureRequest, ledger: Ledger) -> Iterator[Named]:
    """Give subscriptions of the ledger, by name."""
    if request.param == "here":
        yield ledger.subscription
        return
    with Ledger.connect(request.getfixturevalue("address")) as remote:
        yield remote.subscription


@pytest.fixture
def runs(ledger: Ledger) -> list[Run]:
    """Make three runs in two threads, of which positions 1 to 8 tell."""
    one, two = (ledger.create_thread(agent_id="a") for _ in range(2))
    return [one.start_run(), one.start_run(), two.start_run()]
