"""What waits to be sent is changed by several at once, and none of them waits for another that waits for it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from runfold import Ledger, Settings
from runfold.delivery.outbox import Delivery, Outbox
from tests.databases import TestDatabase
from tests.waiting import until

MOST = 6
HOOK = "webhook_1"
ADD = """INSERT INTO runfold.deliveries (tenant_id, webhook_id, position, event_id, stream, due_at)
SELECT 'default', %s, p, gen_random_uuid(), 'run_1', clock_timestamp() + make_interval(days => 10 - p)
  FROM generate_series(%s, 1, -1) AS p"""
LOCK = "SELECT position FROM runfold.deliveries WHERE position {} ORDER BY position FOR UPDATE NOWAIT"
WAITS = """SELECT count(*)
  FROM pg_stat_activity
 WHERE datname = current_database()
   AND wait_event_type = 'Lock'"""


def _enable(outbox: Outbox) -> None:
    (feed,) = [each for each in outbox.feeds() if each.webhook_id == HOOK]
    outbox.set_active(feed, active=True)


def _put_off(outbox: Outbox) -> None:
    outbox.put_off(Delivery("default", HOOK, 1, uuid4(), "run_1", None, 0, uuid4()), None, 60.0)


CHANGES: dict[str, Callable[[Outbox], None]] = {
    "a webhook is enabled": _enable,
    "one is put off, and what follows it": _put_off,
    "a webhook is deleted": lambda outbox: outbox.forget_webhook("default", HOOK),
    "a clock was put back": lambda outbox: outbox.make_due_what_is_due_too_late(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=[*CHANGES])
def test_whoever_changes_what_waits_takes_it_in_the_order_of_positions(
    settings: Settings, database: TestDatabase, change: Callable[[Outbox], None]
) -> None:
    with (
        Ledger.open(settings=settings) as ledger,
        psycopg.connect(database.admin_url) as other,
        psycopg.connect(database.admin_url, autocommit=True) as looking,
    ):
        outbox = Outbox(ledger.recorder.store, timedelta(minutes=1))
        outbox.add_feed("default", HOOK, 0, uuid4())
        other.execute(ADD, [HOOK, MOST])  # the last one first: in the table, and in the order in which they are due
        other.commit()
        assert other.execute(LOCK.format("= 1")).fetchall() == [(1,)]
        changing = threading.Thread(target=change, args=(outbox,))
        changing.start()
        until(lambda: looking.execute(WAITS).fetchone() == (1,))
        assert len(other.execute(LOCK.format("> 1")).fetchall()) == MOST - 1, "none of them is held by who waits for the first"
        other.rollback()
        changing.join(30)
        assert not changing.is_alive()


def test_what_a_clock_put_off_that_was_put_back_since_is_due(ledger: Ledger, database: TestDatabase) -> None:
    outbox = Outbox(ledger.recorder.store, timedelta(minutes=1))
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(ADD, [HOOK, 2])  # in eight and nine days
        admin.execute("UPDATE runfold.deliveries SET due_at = clock_timestamp() + interval '30 hours' WHERE position = 2")
    outbox.make_due_what_is_due_too_late()
    claimed = outbox.claim()
    assert claimed is not None
    assert claimed.position == 1
    outbox.ended(claimed, None)
    assert outbox.claim() is None, "a pause that a receiver may ask for is kept"


def test_what_was_noted_by_a_clock_that_was_put_back_since_is_due(ledger: Ledger, database: TestDatabase) -> None:
    outbox = Outbox(ledger.recorder.store, timedelta(minutes=1))
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(ADD, [HOOK, 1])
        admin.execute("UPDATE runfold.deliveries SET due_at = clock_timestamp()")
        first = outbox.claim()
        assert first is not None
        outbox.put_off(first, None, 60)
        outbox.make_due_what_is_due_too_late()
        assert outbox.claim() is None, "a pause is kept"
        admin.execute(
            "UPDATE runfold.deliveries SET due_at = due_at + interval '1 hour', noted_at = noted_at + interval '1 hour'"
        )
        outbox.make_due_what_is_due_too_late()
        assert outbox.claim() is not None
