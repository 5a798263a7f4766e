"""Who follows a ledger that is put back to an older copy is told, whichever way they follow it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runfold import HistoryChanged, Ledger, Settings
from runfold.errors import UsageError
from tests.databases import TestDatabase
from tests.feed.following import Following, positions, record
from tests.put_back import EarlierCopy, put_back
from tests.waiting import until


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    """This test's database, and a mark file of its own."""
    return database.settings.model_copy(update={"mark_file": tmp_path / "marks.json"})


@pytest.mark.fault("K8")
def test_a_subscription_says_where_it_is_and_is_resumed_there(ledger: Ledger) -> None:
    record(ledger, 8)
    subscription = ledger.subscribe(follow=False)
    assert subscription.cursor == ledger.cursor(0)
    for recorded in subscription:
        if recorded.position == 5:
            break
    assert subscription.cursor == ledger.cursor(5)
    assert positions(ledger.subscribe(after=subscription.cursor, follow=False)) == [6, 7, 8]
    assert positions(ledger.subscribe(after="5", follow=False)) == [6, 7, 8]
    with pytest.raises(UsageError, match="is not a position or a cursor"):
        ledger.subscribe(after="5@x")


@pytest.mark.fault("K8", "B9")
def test_a_cursor_of_the_history_before_goes_on_where_both_are_the_same_and_is_refused_beyond(
    settings: Settings, database: TestDatabase
) -> None:
    with Ledger.open(settings=settings) as ledger:
        record(ledger, 64)
        cursors = [ledger.cursor(position) for position in range(65)]
    put_back(database, 33)
    with Ledger.open(settings=settings) as ledger:
        record(ledger, 73)
        for position, cursor in enumerate(cursors):
            if position <= 33:
                assert positions(ledger.subscribe(after=cursor, follow=False))[0] == position + 1
                continue
            for refused in (lambda after: next(ledger.subscribe(after=after)), lambda after: ledger.events(after=after)):
                with pytest.raises(HistoryChanged, match=f"{cursor} belongs to another history") as changed:
                    refused(cursor)
                assert (changed.value.position, changed.value.epoch) == (33, str(ledger.head().epoch))
                assert changed.value.cursor == ledger.cursor(33)
        assert positions(ledger.subscribe(after=changed.value.cursor, follow=False)) == list(range(34, 74))
        assert positions(ledger.subscribe(after=64, follow=False)) == list(range(65, 74)), "a bare position is not checked"


Replaced = Callable[[], None]


@pytest.fixture(params=["put back", "replaced"])
def older(request: pytest.FixtureRequest, database: TestDatabase, ledger: Ledger) -> Iterator[Replaced]:
    """The ledger holds 6 events; called, it holds these again, whatever came after them."""
    record(ledger, 6)
    if request.param == "put back":
        yield lambda: put_back(database, 6)
    else:
        copy = EarlierCopy(database)
        yield copy.take_over


@pytest.mark.fault("K8")
def test_who_follows_is_told_when_the_ledger_is_put_back_under_them(older: Replaced, ledger: Ledger, settings: Settings) -> None:
    """In the same process as who appends, and in one that only follows."""
    record(ledger, 10)
    before = str(ledger.head().epoch)
    with Ledger.open(settings=settings) as other:
        following = [Following(each.subscribe(after=after)) for each in (ledger, other) for after in (0, 3)]
        for each in following:
            each.wait_for(10)
        older()
        for each in following:
            until(lambda each=each: each.error)
        told = [each.error for each in following if isinstance(each.error, HistoryChanged)]
        assert [(each.position, each.epoch != before) for each in told] == [(6, True)] * 4
        record(ledger, 30)
        assert positions(other.subscribe(after=told[0].cursor, follow=False)) == list(range(7, 31))
        assert len({each.epoch for each in told} | {str(ledger.head().epoch)}) == 1


@pytest.mark.fault("K8")
def test_who_had_seen_no_more_than_both_hold_goes_on(older: Replaced, ledger: Ledger) -> None:
    following = Following(ledger.subscribe())
    following.wait_for(6)
    before = following.subscription.cursor
    older()
    record(ledger, 12)
    following.wait_for(12)
    following.subscription.stop()
    assert following.positions == list(range(1, 13))
    if ledger.cursor(6) != before:  # nothing was lost where it was only put back to where it was
        assert following.subscription.cursor == ledger.cursor(12)


@pytest.mark.fault("K8")
def test_commands_go_on_from_what_is_stored_and_not_from_what_was(older: Replaced, ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="a", thread_id="thread_kept")
    thread.start_run(run_id="run_lost").complete()
    older()
    ledger.history.check()
    again = ledger.create_thread(agent_id="b", thread_id="thread_kept")
    assert again.receipt is not None
    assert (again.receipt.appended, again.receipt.position) == (1, 7)
    assert again.start_run(run_id="run_lost").view().status == "running"


@pytest.mark.fault("K8")
def test_many_followers_of_a_busy_ledger_see_one_history_whole_and_are_told_of_the_other(older: Replaced, ledger: Ledger) -> None:
    """However a swap falls between reading and appending: nobody is given an event of one history after one of the other."""
    stop = threading.Event()

    def append() -> None:
        while not stop.is_set():
            ledger.create_thread(agent_id="a")

    subscriptions = [ledger.subscribe() for _ in range(6)]
    seen: list[list[tuple[int, bytes]]] = [[] for _ in subscriptions]
    errors: list[HistoryChanged] = []

    def collect(number: int) -> None:
        try:
            for recorded in subscriptions[number]:
                seen[number].append((recorded.position, recorded.event_id_bytes))
        except HistoryChanged as error:
            errors.append(error)

    threads = [threading.Thread(target=append), *(threading.Thread(target=collect, args=[number]) for number in range(6))]
    for thread in threads:
        thread.start()
    until(lambda: all(len(found) > 200 for found in seen))
    stop.set()
    threads[0].join()
    older()
    for _ in range(300):
        ledger.create_thread(agent_id="b")
    for thread in threads:
        thread.join(60)
    assert [error.position for error in errors] == [6] * 6
    present = {recorded.position: recorded.event_id_bytes for recorded in ledger.events()}
    for found in seen:
        assert [position for position, _ in found] == list(range(1, len(found) + 1))
        of_the_other = [position for position, event_id in found if present.get(position) != event_id]
        assert of_the_other == list(range(7, len(found) + 1)), "all after the last common one are of the history before"
