"""Waiting until read models have come to a position: any number of questions wait, and one looks for all of them.

A question that waits holds no thread and no connection to the database.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from anyio import CapacityLimiter, to_thread

from runfold.errors import LedgerError
from runfold.queries.sources.read_models import Progress

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.1
"""Seconds from one look to the next: longer while nothing moves."""

Look = Callable[[Iterable[str]], Mapping[str, Progress]]
"""How far some read models are, asked of the database."""


class Watch:
    """Looks while somebody waits. To be used on one event loop."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._thread = CapacityLimiter(1)
        self._waiting: dict[str, dict[asyncio.Future[bool], int]] = {}
        self._looking: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """The number of questions that wait."""
        return sum(map(len, self._waiting.values()))

    async def reached(self, name: str, position: int, until: float) -> bool:
        """Wait until a read model is at a position; false where it is not by `until`, of the loop's time, or has stopped."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.setdefault(name, {})[waiter] = position
        if self._looking is None:
            self._looking = loop.create_task(self._look_on())
        try:
            async with asyncio.timeout_at(until):
                return await waiter
        except TimeoutError:
            return False
        finally:
            self._forget(name, waiter)

    def close(self) -> None:
        """The server stops: nobody waits any longer. To be called on the event loop."""
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(False)

    def _forget(self, name: str, waiter: "asyncio.Future[bool]") -> None:
        waiters = self._waiting.get(name, {})
        waiters.pop(waiter, None)
        if not waiters:
            self._waiting.pop(name, None)

    async def _look_on(self) -> None:
        before: Mapping[str, Progress] = {}
        pause = FIRST_PAUSE
        try:
            while self._waiting:
                found = await self._progress()
                self._tell(found)
                pause = FIRST_PAUSE if found != before else min(pause * 1.5, LONGEST_PAUSE)
                before = found
                await asyncio.sleep(pause)
        finally:
            self._looking = None

    async def _progress(self) -> Mapping[str, Progress]:
        """An answer that does not come leaves it to those who wait to ask, and to say what is wrong."""
        names = list(self._waiting)
        try:
            return await to_thread.run_sync(self._look, names, limiter=self._thread)
        except LedgerError:
            return {name: Progress(None, has_stopped=True) for name in names}

    def _tell(self, found: Mapping[str, Progress]) -> None:
        for name, progress in found.items():
            for waiter, wanted in list(self._waiting.get(name, {}).items()):
                is_there = progress.position is not None and progress.position >= wanted
                if (is_there or progress.has_stopped) and not waiter.done():
                    waiter.set_result(is_there)
