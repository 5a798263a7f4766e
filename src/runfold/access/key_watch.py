"""What stays open for as long as its key is good: an event stream ends with the key that it was asked for with.

A key that this process revokes ends its streams at once, one that was revoked elsewhere or has expired within a second.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

from anyio import CapacityLimiter, to_thread

from runfold.domain.security import Security
from runfold.errors import KeyRefused, LedgerError
from runfold.event_loops import tell_loop
from runfold.store.codec import StreamKey

LOOK_SECONDS = 0.5
"""How often the log is asked after the keys that something is open for."""

Ended = Callable[[KeyRefused], object]
"""What to do when a key is good no more: called once, on the event loop."""


class KeyWatch:
    """Looks after keys while something is open for them. To be used on one event loop."""

    def __init__(self, read: Callable[[StreamKey], Security], clock: Callable[[], datetime]) -> None:
        """`read` gives a key as it is in the log, and is called in a thread of its own."""
        self._read, self._clock = read, clock
        self._open: dict[StreamKey, list[Ended]] = {}
        self._states: dict[StreamKey, Security] = {}
        self._looking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, key: StreamKey, ended: Ended) -> Callable[[], None]:
        """Call `ended` when the key ends; what is returned is to be called when nobody waits for that any more."""
        self._loop = asyncio.get_running_loop()
        self._open.setdefault(key, []).append(ended)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())
        return partial(self._leave, key, ended)

    def revoked(self, key: StreamKey) -> None:
        """This process revoked a key. May be called in any thread."""
        if self._loop is not None:
            tell_loop(self._loop, self._end, key, "revoked")

    def close(self) -> None:
        """The server stops."""
        if self._looking is not None:
            self._looking.cancel()
        self._open.clear()

    def _leave(self, key: StreamKey, ended: Ended) -> None:
        waiting = self._open.get(key, [])
        if ended in waiting:
            waiting.remove(ended)
        if not waiting:
            self._open.pop(key, None)
            self._states.pop(key, None)

    async def _look(self) -> None:
        limiter = CapacityLimiter(1)  # not one of the threads that requests wait for
        while self._open:
            await asyncio.sleep(LOOK_SECONDS)
            keys = list(self._open)
            with contextlib.suppress(LedgerError):  # while the database is away nothing is sent either
                self._states |= await to_thread.run_sync(self._read_all, keys, limiter=limiter)
            for key in keys:
                state = self._states.get(key)
                if state is None:
                    continue
                # A ledger that was put back to an older copy may have no such key any more.
                status = "revoked" if state.key is None else state.status(self._clock())
                if status != "active":
                    self._end(key, status)

    def _read_all(self, keys: Iterable[StreamKey]) -> dict[StreamKey, Security]:
        return {key: self._read(key) for key in keys}

    def _end(self, key: StreamKey, status: str) -> None:
        self._states.pop(key, None)
        error = KeyRefused(f"the key that this was asked for with {'has expired' if status == 'expired' else 'was revoked'}")
        for ended in self._open.pop(key, []):
            ended(error)
