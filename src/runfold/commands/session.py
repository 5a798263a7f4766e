"""What one command sees and does: the states it looks at, and the events it records, not yet stored."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from runfold.commands.caller import Caller
from runfold.domain.approval import Approval
from runfold.domain.event import Context, Event
from runfold.domain.message import MessageState
from runfold.domain.run import Run
from runfold.domain.security import Security, key_stream
from runfold.domain.streams import NOT_FOUND, State, is_id
from runfold.domain.thread import Thread
from runfold.domain.tool_call import Call
from runfold.errors import KeyNotFound, VersionConflict
from runfold.history.path import History, thread_tree
from runfold.history.tree import Tree
from runfold.store.codec import Limits, Row, StreamKey, dump, encode
from runfold.store.reader import Reader, TenantReader

_NOTHING: dict[StreamKey, int] = {}
_QUICK_SECONDS = 0.002
S = TypeVar("S", Thread, Run, Approval, Security)


@dataclass(eq=False, kw_only=True)
class CachedStream:
    """A stream as this process believes it to be."""

    state: State
    tenant_id: str
    thread_id: str = ""
    context: Context = field(default_factory=Context)
    context_json: str = "{}"
    position: int = 0
    dead: bool = False
    """Whether an append on it failed: all that was decided on it is void."""
    stored: int = 0
    """The version up to which it is in the log; what is beyond is on its way."""

    @property
    def key(self) -> StreamKey:
        """Which stream it is."""
        return self.tenant_id, self.state.id


class LoadRequired(Exception):
    """Something must be read first, which takes the database. `load` does it, outside of any lock."""

    def __init__(self, load: Callable[[], None]) -> None:
        super().__init__("something must be read first")
        self.load = load


class States:
    """The states of streams kept in memory, those used least recently forgotten first."""

    def __init__(self, reader: Reader, most: int, take: Callable[[StreamKey], "CachedStream | None"] | None = None) -> None:
        """`take` hands over a state that somebody else has in memory, if they have it."""
        self._reader = reader
        self._take = take
        self._most = most
        self._cached: OrderedDict[StreamKey, CachedStream] = OrderedDict()

    def get(self, kind: type[State], key: StreamKey) -> CachedStream:
        """The stream's state. Raises LoadRequired when it must be read first."""
        cached = self._cached.get(key)
        if cached is None and self._take is not None and (cached := self._take(key)):
            self._cached[key] = cached
        if cached is None:
            if not is_id(kind, key[1]):
                raise NOT_FOUND[kind](key[1])
            raise LoadRequired(lambda: self.put(self.read(kind, key)))
        if type(cached.state) is not kind:
            raise NOT_FOUND[kind](key[1])
        self._cached.move_to_end(key)
        return cached

    def peek(self, key: StreamKey) -> CachedStream | None:
        """The stream's state if it is in memory."""
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
        """All states in memory."""
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
        for recorded in self._reader.of(cached.tenant_id).stream(cached.state.id, after_version=cached.state.version):
            if not cached.state.exists:
                cached.thread_id = recorded.thread_id
                cached.context, cached.context_json = recorded.context, recorded.context_json
            cached.state.evolve(recorded.event)
            cached.position = recorded.position

    def read(self, kind: type[State], key: StreamKey) -> CachedStream:
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


class Session:
    """One command at work, in its caller's tenant. It records into memory; the executor stores all of it, or nothing."""

    __slots__ = (
        "_caller",
        "_fetched",
        "_limits",
        "_reader",
        "_seen",
        "_states",
        "_tenant_id",
        "events",
        "metadata",
        "rows",
        "touched",
    )

    def __init__(self, states: States, reader: Reader, limits: Limits, caller: Caller, metadata: str) -> None:
        """`reader` is asked for what is in no state: the tree of a thread, the past of a run."""
        self._states = states
        self._reader = reader
        self._limits = limits
        self._caller = caller
        self._tenant_id = caller.tenant_id
        self.metadata = metadata
        self._fetched: dict[object, Any] | None = None
        self.rows: list[Row] = []
        self.events: list[Event] = []
        """The event of each row."""
        self.touched: dict[str, CachedStream] = {}
        self._seen: dict[str, int] = {}
        """Streams that existed, and the version each was at when the command first looked."""

    def thread(self, thread_id: str) -> Thread:
        """A thread that exists. Raises ThreadNotFound."""
        return cast("Thread", self._existing(Thread, thread_id).state)

    def run(self, run_id: str) -> Run:
        """A run that exists. Raises RunNotFound."""
        return cast("Run", self._existing(Run, run_id).state)

    def approval(self, approval_id: str) -> Approval:
        """An approval that exists. Raises ApprovalNotFound."""
        return cast("Approval", self._existing(Approval, approval_id).state)

    def key(self, key_id: str) -> Security:
        """A key that exists. Raises KeyNotFound."""
        found = cast("Security", self._existing(Security, key_stream(key_id)).state)
        if found.key is None:
            raise KeyNotFound(key_id)
        return found

    @property
    def seen(self) -> dict[str, int]:
        """What it looked at, and the version it saw; 0 for what did not exist."""
        return self._seen

    def new(self, kind: type[S], stream: str) -> S:
        """A thread, run or approval that may not exist yet."""
        cached = self._states.get(kind, (self._tenant_id, stream))
        self._seen.setdefault(stream, cached.state.version)
        return cast("S", cached.state)

    def context_of(self, state: State) -> Context:
        """The keys that are put beside every event of a stream."""
        return self._of(state).context

    def thread_of(self, state: State) -> str:
        """The thread that a run or an approval belongs to."""
        return self._of(state).thread_id

    def tree(self, thread_id: str) -> Tree:
        """The runs and heads of a thread."""
        return cast("Tree", self._fetch(("tree", thread_id), lambda: thread_tree(self._log, thread_id)))

    def inherited_message(self, run: Run, message_id: str) -> MessageState | None:
        """A message of a run's past, as the rules must know it; None where there is none."""
        return cast("MessageState | None", self._fetch(("message", message_id), lambda: self._past(run).message(message_id)))

    def inherited_call(self, run: Run, call_id: str) -> Call | None:
        """A tool call of a run's past, as the rules must know it; None where there is none."""
        return cast("Call | None", self._fetch(("call", call_id), lambda: self._past(run).call(call_id)))

    def inherited_state(self, run: Run) -> Any:
        """The shared state document that a run began with."""
        return self._fetch("state", lambda: self._past(run).state())

    def _past(self, run: Run) -> History:
        return History(self._log, self.thread_of(run), run.id)

    @property
    def _log(self) -> TenantReader:
        return self._reader.of(self._tenant_id)

    def _fetch(self, key: object, read: Callable[[], Any]) -> Any:
        """What must be read from the database: once a command. Raises LoadRequired."""
        fetched = self._fetched = {} if self._fetched is None else self._fetched
        if key not in fetched:
            raise LoadRequired(lambda: fetched.__setitem__(key, read()))
        return fetched[key]

    def next_command(self, metadata: str) -> None:
        """Another command follows in the same session: what was read for the last one may be out of date."""
        self.metadata, self._fetched = metadata, None

    def expect(self, state: State, version: int | None) -> None:
        """Raise VersionConflict unless the stream is at that version."""
        if version is not None and state.version != version:
            raise VersionConflict(state.id, version, state.version)

    def begin(self, state: State, events: list[Event], thread_id: str, context: Context) -> None:
        """Record the first events of a stream, and with them what stands beside all its events."""
        cached = self._of(state)
        cached.thread_id = thread_id
        cached.context, cached.context_json = context, dump(context.facts())
        self.record(state, events)

    def record(self, state: State, events: list[Event]) -> None:
        """Record what happened."""
        if not events:
            return
        stream = state.id
        cached = self.touched.get(stream)
        if cached is None:
            cached = self.touched[stream] = self._of(state)
        payloads = [encode(event, self._limits) for event in events]  # first: one that is too large changes nothing
        for event, payload in zip(events, payloads, strict=True):
            state.evolve(event)
            self.events.append(event)
            self.rows.append(
                Row(
                    stream,
                    state.version,
                    event.type,
                    event.schema_version,
                    payload,
                    None,
                    self._tenant_id,
                    cached.thread_id,
                    self._caller.event_id(len(self.rows)),
                    cached.context_json,
                    self.metadata,
                )
            )

    def undo(self) -> None:
        """The command was refused half-way: what it wrote to is read again when it is needed."""
        for stream in {row.stream for row in self.rows}:
            self._states.drop(self.touched[stream])
        self.rows, self.events, self.touched, self._seen = [], [], {}, {}

    def watched(self) -> dict[StreamKey, int]:
        """What it looked at and did not write to, and the version it saw."""
        if len(self._seen) == 1 and self.rows[0].stream in self._seen:
            return _NOTHING
        written = {row.stream for row in self.rows}
        return {(self._tenant_id, stream): version for stream, version in self._seen.items() if stream not in written}

    def _of(self, state: State) -> CachedStream:
        return self._states.get(type(state), (self._tenant_id, state.id))

    def _existing(self, kind: type[State], stream: str) -> CachedStream:
        cached = self.touched.get(stream)
        if cached is None:
            cached = self._states.get(kind, (self._tenant_id, stream))
            self._seen.setdefault(stream, cached.state.version)
            if not cached.state.exists:
                raise NOT_FOUND[kind](stream)
            self.touched[stream] = cached
        return cached
