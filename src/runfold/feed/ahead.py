"""Looking ahead in a thread of its own, so that whoever takes events waits no longer than they want, or not in their thread."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from runfold.errors import LedgerError
from runfold.event_loops import tell_loop
from runfold.feed.looked import Looked, Source

MOST_EVENTS, MOST_LOOKS = 1000, 1000
"""It looks no further ahead than this."""

Found = Looked | LedgerError


class Ahead:
    """Looks on through a source, and keeps what it finds until that is taken."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: deque[Found | BaseException] = deque()
        self._events = 0
        self._changed = threading.Condition()
        self._is_stopped = False
        self._told: Callable[[], object] = lambda: None
        threading.Thread(target=self._look_on, name="runfold-subscription", daemon=True).start()

    def take(self, seconds: float | None = None) -> Found | None:
        """Return what was found next; None when the time is up, or it was stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._found or self._is_stopped, seconds)
        return self._taken()

    async def take_soon(self, seconds: float | None = None) -> Found | None:
        """Return the same to a coroutine, whose thread goes on meanwhile."""
        loop, is_there = asyncio.get_running_loop(), asyncio.Event()
        self._told = lambda: tell_loop(loop, is_there.set)
        try:
            if not (self._found or self._is_stopped):
                async with asyncio.timeout(seconds):
                    await is_there.wait()
        except TimeoutError:
            return None
        finally:
            self._told = lambda: None
        return self._taken()

    def stop(self) -> None:
        """Look no further; from any thread."""
        self._is_stopped = True
        self._source.stop()
        self._tell()

    def _taken(self) -> Found | None:
        with self._changed:
            if not self._found or self._is_stopped:
                return None
            found = self._found.popleft()
            self._events -= len(found.events) if isinstance(found, Looked) else 0
            self._changed.notify_all()
        if isinstance(found, Looked | LedgerError):
            return found
        raise found

    def _look_on(self) -> None:
        try:
            while not self._is_stopped:
                found = self._source.look()
                self._keep(found)
                if found.is_over:
                    return
        except BaseException as error:
            self._keep(error)
        finally:
            self._source.close()

    def _keep(self, found: Found | BaseException) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or (self._events < MOST_EVENTS and len(self._found) < MOST_LOOKS))
            if self._found and _is_bare(found) and _is_bare(self._found[-1]):
                self._found.pop()  # it has only come further
            self._found.append(found)
            self._events += len(found.events) if isinstance(found, Looked) else 0
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self._told()


def _is_bare(found: Found | BaseException) -> bool:
    return isinstance(found, Looked) and not (found.events or found.is_caught_up or found.is_over)
