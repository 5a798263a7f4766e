"""Events to follow, and what a subscription delivers, collected."""

import threading

from runfold import Ledger, Subscription
from tests.waiting import until

SECONDS = 30
"""For what takes no time, on a machine that others use as well."""


def record(ledger: Ledger, up_to: int) -> None:
    """Record events until the ledger has come to a position."""
    while ledger.position() < up_to:
        ledger.create_thread(agent_id="a")


def positions(subscription: Subscription, count: int | None = None) -> list[int]:
    found = []
    for recorded in subscription:
        found.append(recorded.position)
        if len(found) == count:
            break
    return found


class Following:
    """Collects what a subscription delivers, in a thread."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.positions: list[int] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self) -> None:
        try:
            for recorded in self.subscription:
                self.positions.append(recorded.position)
        except Exception as error:
            self.error = error

    def wait_for(self, position: int) -> None:
        until(
            lambda: position in self.positions[-3:], otherwise=lambda: f"at {self.positions[-1:]}, not {position}; {self.error}"
        )

    def stop(self) -> None:
        self.subscription.stop()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
