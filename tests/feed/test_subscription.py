"""The ordered feed after a position."""

import threading
import time

import psycopg
import pytest

from runfold import Ledger, LedgerUnavailable, Run
from runfold.feed import log_source as subscribing
from runfold.feed import tail as tails
from tests.feed.following import SECONDS, Following, positions
from tests.waiting import until

KILL_LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND query ILIKE 'LISTEN%' AND pid <> pg_backend_pid()"
)


LATER = 2 * SECONDS


def test_without_following_it_ends_at_the_head(ledger: Ledger, run: Run) -> None:
    for number in range(7):
        run.add_message("user", str(number))
    subscription = ledger.subscribe(follow=False)
    assert positions(subscription) == list(range(1, 11))
    assert subscription.position == 10
    run.add_message("user", "later")
    assert positions(subscription) == []
    assert positions(ledger.subscribe(after=subscription.position, follow=False)) == [11]


def test_it_is_narrowed_by_type_thread_and_run(ledger: Ledger, run: Run) -> None:
    run.request_approval("send").grant(actor="human:ada")  # 4 to 8: requested, waiting, voted, granted, resumed
    other = ledger.create_thread(agent_id="sales").start_run()  # 9 to 11
    other.add_message("user", "hello")  # 12
    thread_id = run.view().thread_id
    for wanted, expected in (
        ({"types": ["approval.*"]}, [4, 6, 7]),
        ({"types": ["run.created", "message.*"]}, [2, 10, 12]),
        ({"thread_id": thread_id}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"run_id": run.id}, [2, 3, 4, 5, 6, 7, 8]),
        ({"run_id": other.id, "types": ["*.added"]}, [12]),
        ({"types": "run.created"}, [2, 10]),
        ({"agent_id": "sales"}, [9, 10, 11, 12]),
        ({"actor": "human:ada"}, [6, 7, 8]),
    ):
        subscription = ledger.subscribe(follow=False, **wanted)
        assert (positions(subscription), subscription.position) == (expected, 12)


def test_its_position_moves_over_what_is_not_wanted(ledger: Ledger, run: Run) -> None:
    following = Following(subscription := ledger.subscribe(types=["run.completed"]))
    for number in range(20):
        run.add_message("user", str(number))
    until(lambda: subscription.position == 23)
    following.stop()
    assert following.positions == []


def test_resuming_after_its_position_misses_nothing_and_repeats_nothing(
    ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "PAGE", 4)
    for number in range(27):
        run.add_message("user", str(number))
    seen: list[int] = []
    after = 0
    while len(seen) < 30:
        with ledger.subscribe(after=after, follow=False) as subscription:
            seen += positions(subscription, 7)
            after = subscription.position
    assert seen == list(range(1, 31))


def test_what_is_kept_for_followers_is_bounded_and_none_of_them_misses_any(
    ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "KEPT_BYTES", 20_000)
    monkeypatch.setattr(tails, "PAGE", 4)  # what was read last is kept whatever its size
    quick, slow = (Following(ledger.subscribe(after=3)) for _ in range(2))
    for number in range(60):
        run.add_message("user", "x" * 4_000)
        if number == 30:
            late = Following(ledger.subscribe(after=3))
    for following in (quick, slow, late):
        following.wait_for(63)
        following.stop()
        assert following.positions == list(range(4, 64))
    assert sum(len(recorded.event.content[0].text) for recorded in ledger.tail._kept) <= 24_000


def test_stopping_ends_it_at_once_even_with_events_in_hand(ledger: Ledger, run: Run) -> None:
    for number in range(10):
        run.add_message("user", str(number))
    subscription = ledger.subscribe()
    seen = []
    for recorded in subscription:
        seen.append(recorded.position)
        subscription.stop()
    assert seen == [1]
    assert subscription.position == 1


def test_it_is_stopped_from_another_thread_while_it_waits(ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribing, "LOOK_AGAIN_SECONDS", LATER)  # when it would notice by itself
    following = Following(ledger.subscribe(after=3))
    until(lambda: ledger.tail._thread)  # that is there for those who wait
    following.stop()
    assert (following.positions, following.error) == ([], None)


@pytest.mark.fault("C-2")
def test_it_delivers_all_that_many_writers_write_in_order_and_soon(ledger: Ledger, other: Ledger, run: Run) -> None:
    followings = [Following(ledger.subscribe()), Following(other.subscribe()), Following(ledger.subscribe(types=["message.*"]))]
    runs = [ledger.thread(run.view().thread_id).start_run(parent=None) for _ in range(4)]

    def write(handle: Run) -> None:
        for number in range(60):
            handle.add_message("user", str(number))

    writers = [
        threading.Thread(target=write, args=[where.run(handle.id)])
        for where, handle in zip((ledger, other) * 2, runs, strict=True)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    head = ledger.position()
    for following in followings:
        following.wait_for(head)
        following.stop()
    assert followings[0].positions == followings[1].positions == list(range(1, head + 1))
    assert followings[2].positions == list(range(12, head + 1))


def test_a_quiet_one_hears_of_an_event_soon_after_it_is_recorded(
    ledger: Ledger, other: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        for module, name in ((tails, "BUSY_SECONDS"), (tails, "QUIET_SECONDS"), (subscribing, "LOOK_AGAIN_SECONDS")):
            patched.setattr(module, name, LATER)  # when it would look again by itself
        following = Following(other.subscribe(after=3))
        for count in range(5):
            run.add_message("user", str(count))
            following.wait_for(4 + count)
    run.add_message("user", "so that nobody waits any longer")
    following.wait_for(9)
    following.stop()


@pytest.mark.fault("D4", "H9")
def test_it_goes_on_when_its_listening_session_is_killed(database, ledger: Ledger, other: Ledger, run: Run) -> None:
    following = Following(other.subscribe())
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        for number in range(30):
            run.add_message("user", str(number))
            if number % 6 == 3:
                following.wait_for(number + 4)
                time.sleep(0.02)
                admin.execute(KILL_LISTENERS)
    following.wait_for(33)
    following.stop()
    assert (following.positions, following.error) == (list(range(1, 34)), None)


def test_without_following_an_unreachable_database_is_an_error(ledger: Ledger, run: Run) -> None:
    subscription = ledger.subscribe(follow=False)
    ledger.close()
    with pytest.raises(LedgerUnavailable, match="the ledger is closed; open it again"):
        next(subscription)
