"""The streams that a process has in memory, each folded into its state, so that a command need not read them again."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from runfold.commands.pasts import Pasts
from runfold.domain.context import Context
from runfold.domain.streams import NOT_FOUND, StreamState, is_id
from runfold.domain.subjects import Facts
from runfold.store.codec import StreamKey, dump
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader

_QUICK_SECONDS = 0.002


@dataclass(eq=False, kw_only=True)
class CachedStream:
    """Holds a stream as this process believes it to be."""

    state: StreamState
    tenant_id: str
    thread_id: str = ""
    context: Context = field(default_factory=Context)
    context_json: str = "{}"
    position: int = 0
    dead: bool = False
    """Whether an append on it failed: all that was decided on it is void."""
    stored: int = 0
    """The version up to which it is in the log; what is beyond is on its way."""
    _beginning: tuple[Context, str] | None = None
    """The context whose facts were written last, and how they begin."""
    _written: tuple[str, Facts, str] | None = None
    """How the last context began, what facts it had beside, and the whole: of one event after the other they are often alike."""

    @property
    def key(self) -> StreamKey:
        """Return the tenant and the stream."""
        return self.tenant_id, self.state.id

    def context_with(self, facts: Facts) -> str:
        """Return the context of an event, as JSON: what all events of the stream have, and the facts of this one."""
        known = self._beginning
        if known is None or known[0] is not self.context:
            known = self._beginning = self.context, dump(self.context.facts())[:-1]
        begin, written = known[1], self._written
        if written is None or written[1] != facts or written[0] is not begin:
            text = f"{begin}{',' if len(begin) > 1 and facts else ''}{dump(facts)[1:]}"
            written = self._written = begin, facts, text
        return written[2]


class LoadRequired(Exception):
    """Something must be read first, which takes the database. `load` does it, outside of any lock."""

    def __init__(self, load: Callable[[], None]) -> None:
        super().__init__("something must be read first")
        self.load = load


class CachedStreams:
    """Keeps streams in memory, and forgets those first that were used least recently."""

    def __init__(
        self,
        reader: Reader,
        most: int,
        take: Callable[[StreamKey], "CachedStream | None"] | None = None,
        is_new: Callable[[StreamKey], bool] | None = None,
    ) -> None:
        """`take` hands over a state that somebody else has in memory, if they have it.

        What is new by `is_new` is not looked for: who is wrong about that has a conflict when it is stored.
        """
        self._reader = reader
        self._take = take
        self._is_new = is_new
        self._most = most
        self._cached: OrderedDict[StreamKey, CachedStream] = OrderedDict()
        self.pasts = Pasts()
        """What some of the runs inherited."""

    def get(self, kind: type[StreamState], key: StreamKey) -> CachedStream:
        """Return the stream's state. Raises LoadRequired when it must be read first."""
        cached = self._cached.get(key)
        if cached is None and self._take is not None and (cached := self._take(key)):
            self._cached[key] = cached
        if cached is None:
            if not is_id(kind, key[1]):
                raise NOT_FOUND[kind](key[1])
            if self._is_new is not None and self._is_new(key):
                cached = self._cached[key] = CachedStream(state=kind(key[1]), tenant_id=key[0])
                return cached
            raise LoadRequired(lambda: self.put(self.read(kind, key)))
        if type(cached.state) is not kind:
            raise NOT_FOUND[kind](key[1])
        self._cached.move_to_end(key)
        return cached

    def peek(self, key: StreamKey) -> CachedStream | None:
        """Return the stream's state if it is in memory."""
        return self._cached.get(key)

    def put(self, cached: CachedStream) -> None:
        """Keep a state that was just read, unless another thread was first."""
        present = self._cached.get(cached.key)
        if present is None or present.dead:
            self._cached[cached.key] = cached

    def take(self, key: StreamKey) -> CachedStream | None:
        """Hand a state over, and keep it no longer."""
        return self._cached.pop(key, None)

    def all(self) -> list[CachedStream]:
        """Return all states in memory."""
        return list(self._cached.values())

    def keep(self, cached: CachedStream) -> None:
        """Keep a state instead of an older one, unless it is void."""
        if not cached.dead:
            self._cached[cached.key] = cached
            self.shrink()

    def forget(self, cached: CachedStream) -> None:
        """Drop a state that is not to be believed any more, and void what commands on their way built on it."""
        cached.dead = True
        self.drop(cached)

    def drop(self, cached: CachedStream) -> None:
        """Drop a state that a command has spoilt. What was put on its way before stays good."""
        if self._cached.get(cached.key) is cached:
            del self._cached[cached.key]

    def catch_up(self, cached: CachedStream) -> None:
        """Take in what was recorded since."""
        reader = TenantReader.of(self._reader, cached.tenant_id)
        for recorded in reader.stream(cached.state.id, after_version=cached.state.version):
            if not cached.state.exists:
                cached.thread_id = recorded.thread_id
                cached.context, cached.context_json = recorded.context, recorded.context_json
            cached.state.evolve(recorded.event)
            cached.position = recorded.position

    def read(self, kind: type[StreamState], key: StreamKey) -> CachedStream:
        """Fold a stream from the log."""
        cached, took = CachedStream(state=kind(key[1]), tenant_id=key[0]), math.inf
        while True:
            before, began = took, time.monotonic()
            self.catch_up(cached)
            took, moved_on = time.monotonic() - began, cached.state.version > cached.stored
            cached.stored = cached.state.version
            # A long stream may have moved on while it was folded. One that moves on whenever it is read is never caught.
            if not moved_on or took < _QUICK_SECONDS or took > before / 2:
                return cached

    def shrink(self) -> None:
        """Forget those used least recently. Not while a command collects what it needs: that may be more than fits."""
        while len(self._cached) > self._most:
            oldest = next((key for key, cached in self._cached.items() if cached.stored == cached.state.version), None)
            if oldest is None:
                return  # all are on their way to the log, which does not know them yet
            del self._cached[oldest]
