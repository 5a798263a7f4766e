"""Batches, `async for`, the end of a run, what is told on the way, and what comes after an error: here and over HTTP alike."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from runfold import HistoryChanged, Ledger, LedgerUnavailable, Run, Subscription
from runfold.errors import SubscriptionEnded, UsageError
from runfold.feed.ahead import Ahead
from runfold.feed.looked import Looked
from runfold.store.cursor import Cursor
from tests.put_back import put_back
from tests.waiting import until

Subscribe = Callable[..., Subscription]


@pytest.fixture(params=["here", "over HTTP"])
def subscribe(request: pytest.FixtureRequest, ledger: Ledger) -> Iterator[Subscribe]:
    if request.param == "here":
        yield ledger.subscribe
        return
    with Ledger.connect(request.getfixturevalue("address")) as remote:
        yield remote.subscribe


def said(run: Run, *texts: str) -> None:
    for text in texts:
        run.add_message("user", text)


def test_batches_hold_each_event_once_and_the_cursor_to_go_on_after(subscribe: Subscribe, ledger: Ledger, run: Run) -> None:
    said(run, *map(str, range(17)))  # 4 to 20
    for size in (1, 3, 20, 100):
        with subscribe(follow=False) as subscription:
            batches = list(subscription.batches(size, seconds=30))
        assert [each.position for batch in batches for each in batch] == list(range(1, 21))
        assert {len(batch) for batch in batches[:-1]} <= {size}
        assert [batch.cursor for batch in batches] == [ledger.cursor(batch.events[-1].position) for batch in batches]
    with subscribe() as subscription:
        first = next(subscription.batches(7, seconds=30))
    resumed = subscribe(after=first.cursor, follow=False)
    assert [each.position for batch in resumed.batches() for each in batch] == list(range(8, 21))


def test_a_batch_waits_no_longer_than_it_may_and_says_when_all_was_given(subscribe: Subscribe, run: Run) -> None:
    with subscribe(after=3) as subscription:
        batches = subscription.batches(size=1000, seconds=0)
        said(run, "one")
        assert [each.position for each in next(batches)] == [4]
        said(run, "two")
        assert [each.position for each in next(batches)] == [5]
    with subscribe() as subscription:  # what waits for no more than a minute waits for nothing once it has caught up
        batch = next(subscription.batches(size=1000, seconds=60))
        assert ([each.position for each in batch], batch.is_caught_up) == ([1, 2, 3, 4, 5], True)


def test_a_batch_that_is_begun_is_given_when_the_subscription_is_stopped(subscribe: Subscribe, run: Run) -> None:
    with subscribe(after="now") as subscription:
        batches, found = subscription.batches(size=1000, seconds=60), []
        taking = threading.Thread(target=lambda: found.extend(batches))
        taking.start()
        until(lambda: subscription.is_caught_up)
        said(run, "one")
        until(lambda: subscription.position == 4)
        subscription.stop()
        taking.join(30)
    assert [[each.position for each in batch] for batch in found] == [[4]]
    assert list(batches) == []


@pytest.mark.shares
@pytest.mark.parametrize(
    ("size", "seconds"), [(0, 1), (-1, 1), (1.5, 1), (True, 1), ("5", 1), (5, -1), (5, float("nan")), (5, "1")]
)
def test_what_is_no_batch_is_refused(ledger: Ledger, size: Any, seconds: Any) -> None:
    with pytest.raises(UsageError, match="batch"):
        ledger.subscribe().batches(size, seconds)


def test_async_for_takes_events_and_batches_while_the_loop_does_other_things(subscribe: Subscribe, run: Run) -> None:
    async def follow() -> tuple[list[int], list[int]]:
        events: list[int] = []
        async with subscribe(after=2) as subscription:
            async for recorded in subscription:
                events.append(recorded.position)
                assert subscription.position == recorded.position
                if len(events) == 1:
                    await asyncio.to_thread(said, run, "one", "two")
                if len(events) == 3:
                    break
        async with subscribe(follow=False) as subscription:
            batched = [each.position async for batch in subscription.batches(2, 30) for each in batch]
        return events, batched

    assert asyncio.run(follow()) == ([3, 4, 5], [1, 2, 3, 4, 5])


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_one_that_is_forgotten_after_its_event_loop_has_ended_ends_in_silence(
    subscribe: Subscribe, run: Run, is_at_hand: bool
) -> None:
    async def take_one(subscription: Subscription) -> int:
        if is_at_hand:
            subscription.ahead()
            await asyncio.sleep(0.3)
        return (await anext(subscription)).position

    subscription = subscribe()
    assert asyncio.run(take_one(subscription)) == 1
    del subscription
    gc.collect()
    said(run, "one")


def test_async_for_ends_with_its_error_and_is_cancelled_like_any_other_wait(ledger: Ledger, run: Run) -> None:
    async def follow() -> None:
        async with ledger.subscribe(after="now") as subscription:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(subscription)
            said(run, "one")
            assert (await anext(subscription)).position == 4
        with pytest.raises(StopAsyncIteration):
            await anext(subscription)

    asyncio.run(follow())


def test_of_one_run_it_ends_with_the_run_and_all_that_was_recorded_with_its_end(subscribe: Subscribe, run: Run) -> None:
    with subscribe(run_id=run.id) as following, subscribe(run_id=run.id, types="approval.*") as narrowed:
        run.request_approval("send")  # 4, 5
        run.cancel()  # its approval is withdrawn, in the same transaction
        assert [each.type for each in following][-2:] == ["run.cancelled", "approval.withdrawn"]
        assert [each.type for each in narrowed] == ["approval.requested", "approval.withdrawn"]
    assert len(list(subscribe(run_id=run.id))) == len(list(subscribe(run_id=run.id, follow=False))), "when it has ended, too"
    with subscribe(run_id=run.id, until_run_ends=False) as going_on:
        ended = [next(going_on) for _ in range(6)]
        run.link("flow")
        assert next(going_on).type == "run.linked"
    assert "run.cancelled" in {each.type for each in ended}


def test_it_is_told_once_when_all_that_was_there_has_been_taken(subscribe: Subscribe, ledger: Ledger, run: Run) -> None:
    told: list[str] = []
    with subscribe(when_caught_up=told.append) as subscription:
        assert [next(subscription).position for _ in range(3)] == [1, 2, 3]
        assert (told, subscription.is_caught_up) == ([], False), "the third may still be in hand"
        said(run, "one")
        assert (next(subscription).position, told, subscription.is_caught_up) == (4, [ledger.cursor(3)], True)
        said(run, "two")
        assert next(subscription).position == 5
    assert told == [ledger.cursor(3)]


def test_now_is_when_it_is_asked_and_not_when_the_first_event_is_taken(subscribe: Subscribe, ledger: Ledger, run: Run) -> None:
    with subscribe(after="now") as subscription:
        assert (subscription.position, subscription.cursor) == (3, ledger.cursor(3))
        said(run, "one")
        assert next(subscription).position == 4


def test_after_an_error_it_says_that_it_has_ended_and_where_to_go_on(
    subscribe: Subscribe, database: Any, ledger: Ledger, run: Run
) -> None:
    said(run, *map(str, range(7)))
    with subscribe() as events, subscribe() as batched:
        batches = batched.batches(5, seconds=30)
        assert [next(events).position for _ in range(10)] == [each.position for _ in range(2) for each in next(batches)]
        put_back(database, 6)
        ledger.history.check()
        for subscription, more in ((events, events), (batched, batches)):
            with pytest.raises(HistoryChanged) as changed:
                next(more)
            for _ in range(2):
                with pytest.raises(SubscriptionEnded, match="HistoryChanged") as ended:
                    next(more)
                assert ended.value.cursor == changed.value.cursor == ledger.cursor(6)
            subscription.stop()
            assert list(more) == []


def test_one_that_was_not_served_for_too_long_goes_on_where_it_was(ledger: Ledger, run: Run, settings: Any) -> None:
    with Ledger.open(settings=settings) as there:
        subscription = there.subscribe(patience=0)
        assert [next(subscription).position for _ in range(3)] == [1, 2, 3]
    with pytest.raises(LedgerUnavailable):
        next(subscription)
    with pytest.raises(SubscriptionEnded) as ended:
        next(subscription)
    said(run, "later")
    assert [each.position for each in ledger.subscribe(after=ended.value.cursor, follow=False)] == [4]


class Endless:
    """A source that always has more."""

    begun = Cursor(0)

    def __init__(self) -> None:
        self.looks, self.is_closed = 0, False

    def look(self) -> Looked:
        self.looks += 1
        return Looked(Cursor(self.looks), [SimpleNamespace(position=self.looks)] * 100)  # type: ignore[list-item]

    def stop(self) -> None:
        """It never waits."""

    def close(self) -> None:
        self.is_closed = True


def test_it_looks_ahead_no_further_than_it_may_and_stops_when_nobody_holds_it() -> None:
    source = Endless()
    subscription = Subscription(source)
    subscription.ahead()
    until(lambda: source.looks == 11)  # 1000 events are kept, and a look is made before there is room for it
    assert len(next(subscription.batches(50))) == 50
    del subscription
    gc.collect()
    until(lambda: source.is_closed)
    assert source.looks <= 13


def test_what_goes_wrong_while_it_looks_ahead_comes_to_who_takes() -> None:
    class Broken(Endless):
        def look(self) -> Looked:
            raise ZeroDivisionError

    ahead = Ahead(Broken())
    with pytest.raises(ZeroDivisionError):
        ahead.take(30)
