"""What one command sees and does: the states it looks at, and the events it records, not yet stored."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar, cast

from runfold.commands.cached_streams import CachedStream, CachedStreams, LoadRequired
from runfold.commands.caller import Caller
from runfold.commands.pasts import Past
from runfold.commands.thread_heads import Heads, ThreadHeads
from runfold.domain.approval import Approval
from runfold.domain.context import Context
from runfold.domain.event import Event
from runfold.domain.message import MessageState
from runfold.domain.run import Run
from runfold.domain.security import Scope, Security, key_stream
from runfold.domain.streams import NOT_FOUND, StreamState
from runfold.domain.subjects import about
from runfold.domain.thread import Thread
from runfold.domain.tool_call import ToolCallState
from runfold.domain.webhook import Callback, Webhook
from runfold.errors import InvalidEvent, KeyNotFound, VersionConflict, shortened
from runfold.history.path import History
from runfold.ids import new_event_id
from runfold.store.codec import Limits, Row, StreamKey, dump, encode, form_of
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader

_NOTHING: dict[StreamKey, int] = {}
_new_row = tuple.__new__
"""A row of its values. The constructor of a named tuple takes twice as long, and each event has one."""
S = TypeVar("S", Thread, Run, Approval, Security, Webhook, Callback)


class Session:
    """Shows one command the states of its tenant, and records into memory; the executor stores all of it, or nothing."""

    __slots__ = (
        "_caller",
        "_fetched",
        "_heads",
        "_limits",
        "_reader",
        "_seen",
        "_states",
        "_tenant_id",
        "events",
        "heads_of",
        "metadata",
        "rows",
        "touched",
    )

    def __init__(
        self, states: CachedStreams, reader: Reader, limits: Limits, caller: Caller, metadata: str, heads: ThreadHeads
    ) -> None:
        """`reader` is asked for what is in no state: the heads of a thread, the past of a run."""
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
        self._heads = heads
        self.heads_of: Callable[[str], Heads] | None = None
        """What tells the heads of a thread; None for the log."""
        self._seen: dict[str, int] = {}
        """Streams that existed, and the version each was at when the command first looked."""

    def thread(self, thread_id: str) -> Thread:
        """Return a thread that exists. Raises ThreadNotFound."""
        return cast("Thread", self._existing(Thread, thread_id).state)

    def run(self, run_id: str) -> Run:
        """Return a run that exists. Raises RunNotFound."""
        run: Run = self._existing(Run, run_id).state  # type: ignore[assignment]  # it is of the kind that was asked for
        return run

    def approval(self, approval_id: str) -> Approval:
        """Return an approval that exists. Raises ApprovalNotFound."""
        return cast("Approval", self._existing(Approval, approval_id).state)

    def key(self, key_id: str) -> Security:
        """Return a key that exists. Raises KeyNotFound."""
        found = cast("Security", self._existing(Security, key_stream(key_id)).state)
        if found.key is None:
            raise KeyNotFound(key_id)
        return found

    def webhook(self, webhook_id: str) -> Webhook:
        """Return a webhook that exists. Raises WebhookNotFound."""
        return cast("Webhook", self._existing(Webhook, webhook_id).state)

    def may(self, scope: Scope) -> bool:
        """Return whether the caller is let do what a scope is for."""
        return self._caller.may(scope)

    def head(self) -> int:
        """Return the last position of the ledger, as it was when the command was decided."""
        return cast("int", self._fetch("head", lambda: self._log.head().position))

    @property
    def seen(self) -> dict[str, int]:
        """Return what it looked at, and the version it saw; 0 for what did not exist."""
        return self._seen

    def new(self, kind: type[S], stream: str) -> S:
        """Return a thread, run or approval that may not exist yet."""
        cached = self._states.get(kind, (self._tenant_id, stream))
        self._seen.setdefault(stream, cached.state.version)
        return cast("S", cached.state)

    def context_of(self, state: StreamState) -> Context:
        """Return the keys that are put beside every event of a stream."""
        return self._of(state).context

    def thread_of(self, state: StreamState) -> str:
        """Return the thread that a run or an approval belongs to."""
        return self._of(state).thread_id

    def heads(self, thread_id: str) -> Heads:
        """Return the run that each head of a thread is at."""
        tell = self.heads_of or partial(self._heads.of, self._log)
        return cast("Heads", self._fetch(("heads", thread_id), lambda: tell(thread_id)))

    def inherited_message(self, run: Run, message_id: str) -> MessageState | None:
        """Return a message of a run's past, as the rules must know it; None where there is none."""
        if known := run.messages.past.get(message_id):
            return known
        if not _inherits(run):
            return None
        found = self._past(run).messages.get(message_id)
        if found is not None:
            run.messages.past[message_id] = found
        return found

    def inherited_call(self, run: Run, call_id: str) -> ToolCallState | None:
        """Return a tool call of a run's past, as the rules must know it; None where there is none."""
        if known := run.calls.past.get(call_id):
            return known
        if not _inherits(run):
            return None
        found = self._past(run).calls.get(call_id)
        if found is not None:
            run.calls.past[call_id] = found
        return found

    def look_up_calls(self, run: Run, call_ids: Iterable[str]) -> None:
        """Look up how its past left calls that a run did not ask for itself."""
        for call_id in call_ids:
            if run.calls.asked(call_id) is None:
                self.inherited_call(run, call_id)

    def inherited_state(self, run: Run) -> Any:
        """Return the shared state document that a run began with."""
        return self._fetch("state", lambda: History(self._log, self.thread_of(run), run.id).state())

    def _past(self, run: Run) -> Past:
        pasts, thread_id = self._states.pasts, self.thread_of(run)
        if (known := pasts.get((self._tenant_id, run.id))) is not None:
            return known
        return cast("Past", self._fetch(("past", run.id), lambda: pasts.read(self._log, thread_id, run.id)))

    @property
    def _log(self) -> TenantReader:
        return TenantReader.of(self._reader, self._tenant_id)

    def _fetch(self, key: object, read: Callable[[], Any]) -> Any:
        """Return what must be read from the database: once a command. Raises LoadRequired."""
        fetched = self._fetched = {} if self._fetched is None else self._fetched
        if key not in fetched:
            raise LoadRequired(lambda: fetched.__setitem__(key, read()))
        return fetched[key]

    def next_command(self, metadata: str) -> None:
        """Begin another command in the same session: what was read for the last one may be out of date."""
        self.metadata, self._fetched = metadata, None

    def expect(self, state: StreamState, version: int | None) -> None:
        """Raise VersionConflict unless the stream is at that version, and InvalidEvent for what is none."""
        if version is None:
            return
        if type(version) is not int:
            raise InvalidEvent("expected_version", f"{shortened(repr(version))} is not a whole number")
        if state.version != version:
            raise VersionConflict(state.id, version, state.version)

    def begin(self, state: StreamState, events: list[Event], thread_id: str, context: Context) -> None:
        """Record the first events of a stream, and with them what stands beside all its events."""
        cached = self._of(state)
        cached.thread_id = thread_id
        context = context._replace(source=self._caller.source)
        cached.context, cached.context_json = context, dump(context.facts())
        self.record(state, events)

    def record(self, state: StreamState, events: list[Event]) -> None:
        """Record what happened."""
        if not events:
            return
        stream, rows, caller = state.id, self.rows, self._caller
        cached = self.touched.get(stream)
        if cached is None:
            cached = self.touched[stream] = self._of(state)
        payloads = [encode(event, self._limits) for event in events]  # first: one that is too large changes nothing
        run = state if isinstance(state, Run) else None
        for event, payload in zip(events, payloads):  # noqa: B905  they are as many
            kind, schema_version, _ = form_of(type(event))
            state.evolve(event)
            facts = None if run is None else about(run, event)
            rows.append(
                _new_row(
                    Row,
                    (
                        stream,
                        state.version,
                        kind,
                        schema_version,
                        payload,
                        None,
                        self._tenant_id,
                        cached.thread_id,
                        new_event_id() if caller.key is None else caller.event_id(len(rows)),
                        cached.context_json if facts is None else cached.context_with(facts),
                        self.metadata,
                    ),
                )
            )
        self.events += events

    def undo(self) -> None:
        """Take back a command that was refused half-way: what it wrote to is read again when it is needed."""
        for stream in {row.stream for row in self.rows}:
            self._states.drop(self.touched[stream])
        self.rows, self.events, self.touched, self._seen = [], [], {}, {}

    def watched(self) -> dict[StreamKey, int]:
        """Return what it looked at and did not write to, and the version it saw."""
        if len(self._seen) == 1 and self.rows[0].stream in self._seen:
            return _NOTHING
        written = {row.stream for row in self.rows}
        return {(self._tenant_id, stream): version for stream, version in self._seen.items() if stream not in written}

    def _of(self, state: StreamState) -> CachedStream:
        return self._states.get(type(state), (self._tenant_id, state.id))

    def _existing(self, kind: type[StreamState], stream: str) -> CachedStream:
        cached = self.touched.get(stream)
        if cached is None:
            cached = self._states.get(kind, (self._tenant_id, stream))
            self._seen.setdefault(stream, cached.state.version)
            if not cached.state.exists:
                raise NOT_FOUND[kind](stream)
            self.touched[stream] = cached
        return cached


def _inherits(run: Run) -> bool:
    """Return whether a run has a past beside its own."""
    return run.parent is not None and run.parent.kind != "spawned_by"
