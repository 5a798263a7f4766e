"""Starts the processes of a server, starts one again that dies, and ends all of them together."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from runfold.access.limits import Limits
from runfold.access.shared_limits import SharedLimits
from runfold.http.folding import FoldingBeside
from runfold.http.processes.dispatcher import Dispatcher
from runfold.http.processes.server_process import Given, ServerProcess
from runfold.http.server import GRACE_SECONDS, INTERRUPTED, SIGNALS

FIRST_PAUSE, LONGEST_PAUSE, SETTLED_SECONDS = 0.25, 30.0, 60.0
"""Seconds until one that ended is started again, twice as many each time; and after how many it counts as running well."""
STOP_SECONDS = GRACE_SECONDS + 5.0
"""How long processes may take to end that were told to."""
_log = structlog.get_logger("runfold.http")

Ready = Callable[[Sequence[int]], None]
"""Called once all processes serve, with their ids."""


class ServerProcessFailed(Exception):
    """A process of the server ended before it served, which the log says."""


class Crew:
    """The processes of one server, and the folding process beside them."""

    def __init__(
        self,
        listener: socket.socket,
        processes: int,
        limits: Limits,
        environment: Mapping[str, str],
        own: tuple[Sequence[str], Sequence[str]],
        folding: FoldingBeside | None,
    ) -> None:
        """`own` are the projections and the agents that it was started with."""
        self._listener, self._folding = listener, folding
        file = SharedLimits.new(processes)
        self._shared = SharedLimits(file, 0, processes)
        given = Given(processes, file, *own, environment)
        self._all = [ServerProcess(number, given, self._metrics_beside, self._look) for number in range(processes)]
        self._dispatcher = Dispatcher(listener, self._all, limits)
        self._has_begun, self._is_stopping = False, False
        self._stop, self._looks = asyncio.Event(), asyncio.Event()

    async def run(self, ready: Ready) -> None:
        """Serve until SIGTERM or Ctrl-C; a second Ctrl-C ends everything at once. Raises ServerProcessFailed."""
        with self._signals():
            keeping = [asyncio.create_task(self._keep(each)) for each in self._all]
            try:
                await self._until_all_serve(keeping)
                if not self._is_stopping:
                    self._has_begun = True
                    ready([each.pid or 0 for each in self._all])
                    await self._serve()
            finally:
                await self._end(keeping)

    async def _until_all_serve(self, keeping: Sequence["asyncio.Task[None]"]) -> None:
        while not self._is_stopping and not all(each.is_serving for each in self._all):
            self._looks.clear()
            waiting = asyncio.create_task(self._looks.wait())
            done, _ = await asyncio.wait([waiting, *keeping], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            for each in done - {waiting}:
                each.result()

    async def _serve(self) -> None:
        accepting = asyncio.create_task(self._dispatcher.run())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([accepting, stopping], return_when=asyncio.FIRST_COMPLETED)
        for each in (accepting, stopping):
            each.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting

    async def _keep(self, each: ServerProcess) -> None:
        """Run it, and another after it, until the server stops."""
        pause = FIRST_PAUSE
        while not self._is_stopping:
            began = time.monotonic()
            why: dict[str, Any]
            try:
                event, why = "a server process ended, and is started again", {"exit_code": await each.run()}
            except OSError as error:
                event, why = "a server process cannot be started yet", {"error": str(error)}
            if self._is_stopping:
                return
            self._shared.forget(each.number)
            if not self._has_begun:
                _log.error("a server process ended before it served", process=each.number + 1, **why)
                raise ServerProcessFailed
            if time.monotonic() - began > SETTLED_SECONDS:
                pause = FIRST_PAUSE
            _log.warning(event, process=each.number + 1, after_seconds=pause, **why)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _end(self, keeping: Sequence["asyncio.Task[None]"]) -> None:
        self._is_stopping = True
        self._listener.close()
        if self._folding is not None:
            self._folding.ask_to_stop()
        for each in self._all:
            each.ask_to_end()
        _, late = await asyncio.wait(keeping, timeout=STOP_SECONDS)
        for each in self._all if late else ():
            each.kill()
        await asyncio.wait(keeping)

    async def _metrics_beside(self, number: int) -> Mapping[int, Any]:
        others = [each for each in self._all if each.number != number]
        texts = await asyncio.gather(*(each.metrics() for each in others))
        return {each.number: text for each, text in zip(others, texts, strict=True)}

    def _look(self) -> None:
        self._looks.set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._asked_to_stop, number)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _asked_to_stop(self, number: int) -> None:
        if self._is_stopping and number == signal.SIGINT:
            for each in self._all:
                each.kill()
            os._exit(INTERRUPTED)
        if not self._is_stopping:
            _log.info("shutting down")
        self._is_stopping = True
        self._stop.set()
        self._looks.set()
