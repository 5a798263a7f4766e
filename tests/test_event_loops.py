"""Event loops, seen from threads that are not theirs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from runfold.event_loops import running_loop, tell_loop


def test_a_loop_is_told_from_another_thread() -> None:
    async def wait() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        with ThreadPoolExecutor(1) as threads:
            threads.submit(tell_loop, asyncio.get_running_loop(), told.set_result, 7).result()
        return await told

    assert asyncio.run(wait()) == 7


def test_a_loop_that_has_ended_is_not_told() -> None:
    async def find_out() -> asyncio.AbstractEventLoop:
        found = running_loop()
        assert found is asyncio.get_running_loop()
        return found

    told: list[int] = []
    tell_loop(asyncio.run(find_out()), told.append, 7)
    assert told == []
    assert running_loop() is None
