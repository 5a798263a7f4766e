"""What a process has just stored is at hand for who follows it there, before the log's tail has read it: nothing else, and no
event without those before it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from runfold import Ledger
from runfold.access.limits import Pools
from runfold.errors import LedgerUnavailable
from runfold.feed.fresh import MOST_BYTES, MOST_EVENTS, Fresh
from runfold.feed.shared import Feed
from runfold.feed.tail import Tail
from runfold.handles.run import Run
from runfold.http.agents.following import ThreadEvents
from runfold.http.streams import sse
from runfold.store.appender import Append
from runfold.store.codec import Row

NOW = datetime.now(UTC)


@pytest.fixture
def unread(ledger: Ledger) -> Tail:
    """A tail that reads nothing."""
    tail = Tail(ledger.recorder.store, ledger.recorder.reader, ledger.history)
    tail.close()
    return tail


@asynccontextmanager
async def following(ledger: Ledger, tail: Tail, run: Run) -> AsyncIterator[tuple[Feed, ThreadEvents]]:
    feed, thread_id = Feed(sse), ledger.now.run(run.id).thread_id
    tell_no_more = ledger.command_executor.tell_stored(feed.fresh.stored)
    events = ThreadEvents(feed, Pools(), ledger.now.reader.tolerant(), thread_id, ledger.position())
    events.join(tail, ledger.head())
    try:
        yield feed, events
    finally:
        events.leave()
        tell_no_more()


async def at_hand(feed: Feed, position: int) -> None:
    async with asyncio.timeout(60):
        while feed.fresh.get(position) is None:
            await asyncio.sleep(0.001)


def begun(ledger: Ledger) -> Run:
    return ledger.create_thread(agent_id="a").create_run()


def test_what_is_stored_here_is_given_without_the_tail_as_the_log_has_it(ledger: Ledger, unread: Tail) -> None:
    run, elsewhere = begun(ledger), begun(ledger)

    async def given() -> list[int]:
        async with following(ledger, unread, run) as (feed, events):
            elsewhere.start()
            run.start()
            run.add_message("user", "é", message_id="m")
            await at_hand(feed, ledger.position())
            found = await events.next(60)
            assert (events.position, events.is_caught_up) == (ledger.position(), True)
            for each in found:
                (stored,) = ledger.events(after=each.position - 1, up_to=each.position)
                assert (each.event, each.stream, each.version, each.tenant_id, each.thread_id, each.recorded_at) == (
                    *(stored.event, stored.stream, stored.version),
                    *(stored.tenant_id, stored.thread_id, stored.recorded_at),
                )
                assert (each.context, each.metadata, each.event_id) == (stored.context, stored.metadata, stored.event_id)
            return [each.position for each in found]

    before = ledger.position()
    assert asyncio.run(given()) == [before + 2, before + 3], "those of its thread"


def test_what_others_stored_between_is_waited_for_and_neither_skipped_nor_doubled(
    ledger: Ledger, other: Ledger, unread: Tail
) -> None:
    run = begun(ledger)

    async def given(tail: Tail, *, is_read: bool) -> list[int]:
        found, first = list[int](), ledger.position()
        async with following(ledger, tail, run) as (feed, events):
            run.add_message("user", "here")
            other.run(run.id).add_message("user", "elsewhere")
            run.add_message("user", "here again")
            last = ledger.position()
            async with asyncio.timeout(60):
                while events.position < (last if is_read else first + 1):
                    found += [each.position for each in await events.next(1)]
            if not is_read:
                await at_hand(feed, last)
                assert (await events.next(0), events.position, events.is_caught_up) == ([], first + 1, True)
        return [position - first for position in found]

    assert asyncio.run(given(unread, is_read=False)) == [1]
    assert asyncio.run(given(ledger.tail, is_read=True)) == [1, 2, 3]


def rows(count: int, size: int = 2) -> list[Row]:
    return [Row("run_a", 1, "run.started", 1, b"x" * size, None, "t", "thread_a", bytes(16), "{}", "{}") for _ in range(count)]


def stored(first: int, *sizes: int) -> Append:
    return Append([row for size in sizes for row in rows(1, size)], (), {}, None, first, b"", NOW)


class Woken:
    """Somebody who follows a thread."""

    times = 0

    def wake(self) -> None:
        self.times += 1


async def taken(fresh: Fresh, *appends: Append) -> None:
    fresh.stored(appends)
    await asyncio.sleep(0)


def test_no_more_is_kept_than_the_bounds_and_nothing_that_failed_or_that_nobody_follows() -> None:
    async def check() -> None:
        fresh, woken = Fresh(), Woken()
        await taken(fresh, stored(1, 2))
        assert fresh.get(1) is None, "nobody follows"
        fresh.join("thread_a", woken)
        failed = stored(1, 2)
        failed.error = LedgerUnavailable("away", "wait")
        await taken(fresh, failed, stored(2, 2, 2))
        assert [fresh.get(position) is not None for position in (1, 2, 3, 4)] == [False, True, True, False]
        assert woken.times == 1
        await taken(fresh, stored(4, *[2] * MOST_EVENTS))
        assert [fresh.get(position) is not None for position in (3, 4, 3 + MOST_EVENTS)] == [False, True, True]
        await taken(fresh, stored(4 + MOST_EVENTS, MOST_BYTES - 10, 20))
        assert [fresh.get(position) is not None for position in (4 + MOST_EVENTS, 5 + MOST_EVENTS)] == [False, True]
        fresh.forget(5 + MOST_EVENTS)
        assert fresh.get(5 + MOST_EVENTS) is None
        await taken(fresh, stored(6 + MOST_EVENTS, MOST_BYTES - 10), stored(7 + MOST_EVENTS, 2))
        assert fresh.get(6 + MOST_EVENTS) is not None, "what was forgotten counts no more"
        fresh.leave("thread_a", woken)
        assert fresh.get(7 + MOST_EVENTS) is None
        fresh.leave("thread_a", woken)

    asyncio.run(check())
