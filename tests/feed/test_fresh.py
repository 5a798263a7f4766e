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
from runfold.domain.run_events import RunStarted
from runfold.errors import LedgerUnavailable
from runfold.feed.fresh import MOST_BYTES, MOST_EVENTS, Fresh
from runfold.feed.shared import Feed
from runfold.feed.tail import Tail
from runfold.handles.run import Run
from runfold.http.agents.following import ThreadEvents
from runfold.http.streams import sse
from runfold.store.appending.appends import Append
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
        while not feed.fresh.has_more(position - 1):
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
            async with asyncio.timeout(60):
                while events.position < first + 1:
                    found += [each.position for each in await events.next(1)]
            other.run(run.id).add_message("user", "elsewhere")
            run.add_message("user", "here again")
            async with asyncio.timeout(60):
                while is_read and events.position < ledger.position():
                    found += [each.position for each in await events.next(1)]
            if not is_read:
                await at_hand(feed, ledger.position())
                assert (await events.next(0), events.position, events.is_caught_up) == ([], first + 1, True)
        return [position - first for position in found]

    assert asyncio.run(given(unread, is_read=False)) == [1]
    assert asyncio.run(given(ledger.tail, is_read=True)) == [1, 2, 3]


def stored(first: int, *sizes: int, thread_id: str = "thread_a") -> Append:
    rows = [Row("run_a", 1, "run.started", 1, b"x" * size, None, "t", thread_id, bytes(16), "{}", "{}") for size in sizes]
    return Append(rows, (), {}, [RunStarted(attempt=1)] * len(rows), first_position=first, recorded_at=NOW)


class Woken:
    """Somebody who follows a thread."""

    times = 0

    def wake(self) -> None:
        self.times += 1


async def taken(fresh: Fresh, *appends: Append) -> None:
    fresh.stored(appends)
    await asyncio.sleep(0)


def after(fresh: Fresh, position: int, most_events: int = 100, most_bytes: int = 100) -> tuple[list[int], int]:
    page = fresh.page("thread_a", position, most_events, most_bytes)
    return [recorded.position for recorded in page.events], page.position


def test_pages_are_a_threads_own_within_bounds_and_begin_only_where_the_next_event_is_here() -> None:
    async def check() -> None:
        fresh, woken, elsewhere = Fresh(), Woken(), Woken()
        await taken(fresh, stored(1, 2))
        assert after(fresh, 0) == ([], 0), "nobody follows"
        fresh.join("thread_a", woken)
        fresh.join("thread_b", elsewhere)
        failed = stored(1, 2)
        failed.error = LedgerUnavailable("away", "wait")
        await taken(fresh, failed, stored(3, 2, 98, 50), stored(6, 2, 2, thread_id="thread_b"), stored(8, 2))
        assert (woken.times, elsewhere.times) == (1, 1)
        assert [after(fresh, position) for position in (1, 2, 4, 8)] == [([], 1), ([3, 4], 4), ([5, 8], 8), ([], 8)]
        assert [after(fresh, 2, most_events) for most_events in (1, 2)] == [([3], 3), ([3, 4], 4)]
        assert after(fresh, 5, most_events=1) == ([8], 8)
        assert [fresh.has_more(position) for position in (1, 2, 7, 8)] == [False, True, True, False]
        await taken(fresh, stored(9, 2, thread_id="thread_c"))
        assert (after(fresh, 8), woken.times) == (([], 9), 1), "nothing of its own, and up to there that is all"
        fresh.forget(7)
        assert [after(fresh, position) for position in (6, 7)] == [([], 6), ([8], 9)]
        await taken(fresh, stored(12, 2))
        assert [after(fresh, position) for position in (7, 10, 11)] == [([], 7), ([], 10), ([12], 12)], "others stored 10 and 11"
        fresh.leave("thread_a", woken)
        assert after(fresh, 11) == ([12], 12)
        fresh.leave("thread_b", elsewhere)
        fresh.leave("thread_b", elsewhere)
        assert after(fresh, 11) == ([], 11)

    asyncio.run(check())


def test_no_more_is_kept_than_the_bounds() -> None:
    async def check() -> None:
        fresh = Fresh()
        fresh.join("thread_a", Woken())
        await taken(fresh, stored(1, *[2] * (MOST_EVENTS + 2)))
        assert [fresh.has_more(position) for position in (1, 2, MOST_EVENTS + 1, MOST_EVENTS + 2)] == [False, True, True, False]
        await taken(fresh, stored(MOST_EVENTS + 3, MOST_BYTES - 10, 20))
        assert [fresh.has_more(position) for position in (MOST_EVENTS + 2, MOST_EVENTS + 3)] == [False, True]
        fresh.forget(MOST_EVENTS + 4)
        await taken(fresh, stored(MOST_EVENTS + 5, MOST_BYTES - 10, 2))
        assert fresh.has_more(MOST_EVENTS + 4), "what was forgotten counts no more"

    asyncio.run(check())
