"""How much of everything the server takes, and what of it is taken just now: threads, and bytes of bodies."""

import contextlib
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread

from runfold.errors import TooBusy
from runfold.settings import MIB, Settings
from runfold.uncollected import uncollected

P = ParamSpec("P")
T = TypeVar("T")

SMALL_BODY = 16 * 1024
"""A body up to here is parsed at once; a larger one in a thread, while others go on."""
LARGE_BODY = MIB
FREE_BYTES = 64 * 1024
"""Of each body; they count towards no bound but that of connections."""
MOST_CONNECTIONS = 10_000
SPARE_FILES = 96
"""Open files that are kept for the database and for ourselves."""


def most_connections() -> int:
    """As many as the operating system lets this process open files for, with some to spare."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(16, min(MOST_CONNECTIONS, files - SPARE_FILES))


@dataclass(frozen=True)
class Limits:
    """How much one request, one address and all together may take, and for how long."""

    body_bytes: int = 16 * MIB
    body_values: int = 250_000
    """JSON values in one body."""
    batch_commands: int = 10_000
    bytes_in_flight: int = 128 * MIB
    """Of all bodies together; one owner of keys may have half of it."""
    head_bytes: int = 32 * 1024
    """Of the request line and the headers."""
    headers: int = 100
    url_bytes: int = 16 * 1024
    head_seconds: float = 10.0
    """From the connection, or the first byte of a further request, to the end of its headers."""
    body_seconds: float = 20.0
    """That a body may take, whatever its size."""
    body_bytes_a_second: int = 32 * 1024
    """That it must bring beyond that."""
    connections: int | None = None
    """At once; None: as many as there may be open files, with some to spare."""
    connections_an_address: int | None = None
    """Of one address; None: three quarters of all."""
    heartbeat_seconds: float = 15.0
    stuck_seconds: float = 30.0
    """A client that takes nothing for so long is dropped."""
    agent_runs: int = 1000
    """Of agents, at work at once in one process."""

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """As the settings say."""
        return cls(
            body_bytes=settings.max_body_bytes,
            bytes_in_flight=settings.max_bytes_in_flight,
            head_bytes=settings.max_head_bytes,
            url_bytes=settings.max_url_bytes,
            head_seconds=settings.head_timeout,
            body_seconds=settings.body_timeout,
            connections=settings.max_connections,
            connections_an_address=settings.max_connections_per_address,
        )

    @property
    def all_connections(self) -> int:
        """Return how many at once."""
        return most_connections() if self.connections is None else self.connections

    @property
    def of_one_address(self) -> int:
        """Return how many of one address."""
        return self.connections_an_address or max(1, self.all_connections * 3 // 4)


class Pool:
    """Threads for one kind of work, so that no other kind waits for it, and a bound on what waits for them."""

    def __init__(self, work: str, threads: int, waiting: int) -> None:
        self._work, self._waiting = work, waiting
        self._threads = CapacityLimiter(threads)

    @property
    def busy(self) -> int:
        """Return how many threads are at work."""
        return self._threads.borrowed_tokens

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread. Raises TooBusy where too much waits already, and what the function raises."""
        if self._threads.statistics().tasks_waiting >= self._waiting:
            raise TooBusy(f"{self._waiting} {self._work} wait already", 1.0)
        return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=self._threads)


class Pools:
    """The pools of one service."""

    def __init__(self) -> None:
        self.keys = Pool("look-ups of keys", 4, 1000)
        self.commands = Pool("commands", 8, 1000)
        self.questions = Pool("questions", 6, 1000)
        self.bundles = Pool("bundles", 2, 20)
        self._medium = Pool("bodies of more than 16 KiB", 2, 1000)
        self._large = Pool("bodies of more than 1 MiB", 1, 100)

    async def on_body(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that works on a body of some size: here where it is small, else in a thread, in turn."""
        if size <= SMALL_BODY:
            return function(*args, **kwargs)
        if size <= LARGE_BODY:
            return await self._medium.run(function, *args, **kwargs)
        return await self._large.run(_frugally, partial(function, *args, **kwargs))


def _frugally(work: Callable[[], T]) -> T:
    """Do what makes many objects that have no cycles."""
    with uncollected():
        return work()


class Hold:
    """The bytes of one body."""

    def __init__(self, in_flight: "BytesInFlight", owner: str) -> None:
        self._in_flight, self._owner = in_flight, owner
        self._size = self._held = 0

    def add(self, size: int) -> None:
        """So many bytes more. Raises TooBusy where others hold too many."""
        self._size += size
        if (more := self._size - FREE_BYTES - self._held) > 0:
            self._in_flight.take(self._owner, more)
            self._held += more

    def release(self) -> None:
        """Nobody needs the body any more."""
        if self._held:
            self._in_flight.give_back(self._owner, self._held)
            self._held = 0


class Tally(Protocol):
    """What is held, by whom, and how much that is of all together."""

    @property
    def total(self) -> int:
        """Return what all hold."""

    def take(self, owner: str, size: int, most: int, most_of_one: int) -> bool:
        """Return whether there is room for so much more; then it is taken."""

    def give_back(self, owner: str, size: int) -> None:
        """Let others have it."""


class OwnTally:
    """What is held in this process, which is all there is."""

    def __init__(self) -> None:
        self._owners: Counter[str] = Counter()
        self.total = 0

    def take(self, owner: str, size: int, most: int, most_of_one: int) -> bool:
        """Return whether there is room for so much more; then it is taken."""
        if self.total + size > most or self._owners[owner] + size > most_of_one:
            return False
        self.total += size
        self._owners[owner] += size
        return True

    def give_back(self, owner: str, size: int) -> None:
        """Let others have it."""
        self.total -= size
        self._owners[owner] -= size
        if not self._owners[owner]:
            del self._owners[owner]


class BytesInFlight:
    """The bytes of all bodies that are being read or worked on, and whose they are."""

    def __init__(self, most: int, tally: Tally | None = None) -> None:
        """`tally` counts for several processes; without one this is all."""
        self._most = most
        self._tally = tally or OwnTally()

    @property
    def total(self) -> int:
        """Return how many there are."""
        return self._tally.total

    @contextlib.contextmanager
    def holding(self, owner: str) -> Iterator[Hold]:
        """A body's bytes while it is needed."""
        hold = Hold(self, owner)
        try:
            yield hold
        finally:
            hold.release()

    def take(self, owner: str, size: int) -> None:
        """Raises TooBusy where all hold too many, or this owner half of them."""
        if not self._tally.take(owner, size, self._most, self._most // 2):
            raise TooBusy(f"bodies of {self.total:,} bytes are being worked on", 1.0)

    def give_back(self, owner: str, size: int) -> None:
        """They are free for others."""
        self._tally.give_back(owner, size)
