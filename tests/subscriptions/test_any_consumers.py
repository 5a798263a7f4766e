"""Whatever consumers do and whenever their leases end: every event is acknowledged once, and in order within its stream."""

import random

import psycopg
import pytest

from runfold import Ledger, Run
from runfold.subscriptions.views import Delivery, Order, Taken
from tests.databases import TestDatabase


class Group:
    """Consumers of one subscription that acknowledge, reject, forget and give back at random."""

    def __init__(self, ledger: Ledger, rng: random.Random, in_order_of: Order) -> None:
        self.subscription = ledger.subscription("group")
        self.subscription.put(in_order_of=in_order_of, retry_seconds=1, most_attempts=1000)
        self.rng, self.in_order_of = rng, in_order_of
        self.held: list[tuple[Taken, list[Delivery]]] = []
        self.acknowledged: list[Delivery] = []

    def key(self, delivery: Delivery) -> str:
        return delivery.recorded.stream if self.in_order_of == "stream" else delivery.recorded.thread_id

    def take(self) -> None:
        taken = self.subscription.take(self.rng.choice([1, 3, 50]))
        if self.in_order_of != "nothing":
            keys = [{self.key(each) for each in deliveries} for _, deliveries in self.held]
            assert not {self.key(each) for each in taken.deliveries} & set().union(*keys), "a stream is at two consumers"
        if taken.deliveries:
            self.held.append((taken, list(taken.deliveries)))

    def answer(self) -> None:
        taken, left = self.held.pop(self.rng.randrange(len(self.held)))
        while left:
            done = left.pop(0)
            match self.rng.choice(["acknowledge", "acknowledge", "acknowledge", "reject", "release"]):
                case "acknowledge":
                    assert self.subscription.acknowledge(taken.lease, [done.recorded.position]).lost == []
                    self.acknowledged.append(done)
                case "reject":
                    answer = self.subscription.reject(taken.lease, [done.recorded.position], delay_seconds=0)
                    left = [each for each in left if each.recorded.position not in answer.released]
                    assert self.in_order_of != "nothing" or not answer.released
                case _:
                    released = self.subscription.release(taken.lease).released
                    assert released == sorted(each.recorded.position for each in [done, *left])
                    left = []


@pytest.mark.parametrize("in_order_of", ["stream", "thread", "nothing"])
def test_every_event_is_acknowledged_once_and_in_order(
    ledger: Ledger, database: TestDatabase, runs: list[Run], in_order_of: Order
) -> None:
    rng = random.Random(f"{in_order_of} 1")  # noqa: S311  the same each time
    group = Group(ledger, rng, in_order_of)
    for _ in range(60):
        match rng.choice(["record", "take", "take", "answer", "answer", "die"]):
            case "record":
                for _ in range(rng.randrange(6)):
                    rng.choice(runs).add_message("user", "hello")
            case "take":
                group.take()
            case "answer" if group.held:
                group.answer()
            case "die" if group.held:
                lost, _ = group.held.pop()
                with psycopg.connect(database.admin_url) as connection:
                    connection.execute(
                        "UPDATE runfold.subscription_leases SET due = clock_timestamp() - interval '1 second' WHERE lease = %s",
                        [lost.lease],
                    )
    while group.subscription.view().lag:
        group.take()
        while group.held:
            group.answer()
    positions = [each.recorded.position for each in group.acknowledged]
    assert sorted(positions) == list(range(1, ledger.position() + 1))
    if in_order_of != "nothing":
        for key in {group.key(each) for each in group.acknowledged}:
            of_key = [each.recorded.position for each in group.acknowledged if group.key(each) == key]
            assert of_key == sorted(of_key)
