"""Reading the whole log for damage: what is stored against what Runfold writes.

Positions run from 1 to the head without a hole, versions follow each other, times never go back, every event stands in a
stream and a thread where it belongs, every payload is valid for its type, and every digest in it is that of what it is a
digest of. The log is read in pages, each in a
transaction of its own, and memory does not grow with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg
from pydantic import ValidationError

from runfold.domain.approval_events import ApprovalEvent, ApprovalRequested
from runfold.domain.context import Context, Metadata
from runfold.domain.event import Event, event_types, refusal
from runfold.domain.run_events import RunCreated
from runfold.domain.security import AccessDenied, BundleMade, KeyCreated, LossAccepted, SecurityEvent
from runfold.domain.thread import ThreadCreated, ThreadEvent
from runfold.domain.webhook import CallbackEvent, WebhookCreated, WebhookEvent
from runfold.errors import LedgerUnavailable, UnknownEventType, UnreadableEvent, UnreadableTime
from runfold.maintenance.digests import Digests, Place
from runfold.store.appending.append_call import SALT_BYTES
from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader
from runfold.store.setup import rights

PAGE = 500


@dataclass(frozen=True)
class Finding:
    """One damage: what is wrong, where, and what to do."""

    kind: str
    fact: str
    next_step: str
    position: int | None = None
    stream: str | None = None
    field: str | None = None
    """Of what the event says, the part that is wrong."""
    version: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Ready for `--json`."""
        return {
            "kind": self.kind,
            "position": self.position,
            "stream": self.stream,
            "fact": self.fact,
            "next_step": self.next_step,
            "field": self.field,
            "version": self.version,
        }


class _Row(NamedTuple):
    position: int
    stream: str
    version: int
    type: str
    schema_version: int
    state: bytes
    key_id: str | None
    tenant_id: str
    thread_id: str
    event_id: UUID
    recorded_at: datetime
    context: dict[str, Any]
    metadata: dict[str, Any]
    salt_bytes: int | None
    before_position: int | None
    before_tenant_id: str | None
    before_thread_id: str | None


_BEFORE = ("before_position", "before_tenant_id", "before_thread_id")
_LOST = "restore the missing events from a backup, and find out who had the rights of a superuser"
_CHANGED = "compare it with a backup: the database refuses changes, so somebody with the rights of a superuser made one"
_CREATIONS = {ThreadCreated, RunCreated, ApprovalRequested, KeyCreated, AccessDenied, LossAccepted, BundleMade, WebhookCreated}
_PREFIXES: dict[type[Event], str] = {
    ThreadEvent: "thread_",
    ApprovalEvent: "approval_",
    SecurityEvent: "security_",
    WebhookEvent: "webhook_",
    CallbackEvent: "callback_",
}
_OWN_THREAD = {"thread_", "security_", "webhook_", "callback_"}
"""Streams that are stored as threads of their own: a key or a webhook belongs to none."""


@dataclass
class LogCheck:
    """One reading of the log. `head` is the position it is about; `events` counts what was read so far."""

    reader: Reader
    progress: Callable[[int], None] = lambda _: None
    head: int = 0
    events: int = 0
    _last_position: int = field(default=0, init=False)
    _last_time: datetime | None = field(default=None, init=False)
    _salted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._queries = named_queries("runfold.maintenance", "checking.sql")
        self._digests = Digests(self.reader)
        try:
            ((self.head, self._head_time, self._lowest, self._highest),) = self.reader.rows(self._queries["ends"])
        except (LedgerUnavailable, UnreadableTime) as error:  # the first or the last event is on a page that cannot be read
            _unreadable(error)
            head = self.reader.head()
            self.head, self._head_time, self._lowest, self._highest = head.position, head.recorded_at, None, None

    def findings(self) -> Iterator[Finding]:
        """Every damage, in the order of positions."""
        yield from self._guards()
        yield from self._ends()
        while self._last_position < self.head:
            try:
                page = self._page(PAGE)
            except (LedgerUnavailable, UnreadableTime, ValueError) as error:
                _unreadable(error)
                yield from self._damaged_page()
                continue
            if not page:
                yield self._hole(self.head + 1)
                return
            for row in map(self._with_before, page):
                yield from self._place(row)
                yield from self._belonging(row)
            self.events += len(page)
            self.progress(self._last_position)
        if self._last_time != self._head_time:
            fact = f"the head says that the last event was recorded at {self._head_time}, and that event says {self._last_time}"
            yield Finding("head", fact, _CHANGED, self.head)

    def _page(self, limit: int) -> list[_Row]:
        return [_Row(*row) for row in self.reader.rows(self._queries["page"], [self._last_position, self.head, limit])]

    def _damaged_page(self) -> Iterator[Finding]:
        """A page's events one by one, as some of them cannot be read."""
        for _ in range(min(PAGE, self.head - self._last_position)):
            try:
                for row in map(self._with_before, self._page(1)):
                    yield from self._place(row)
                    yield from self._belonging(row)
                    self.events += 1
            except (LedgerUnavailable, UnreadableTime, ValueError) as error:
                kind, why, next_step = _unreadable(error)
                self._last_position += 1
                yield Finding(kind, f"position {self._last_position} cannot be read ({why})", next_step, self._last_position)
        self.progress(self._last_position)

    def _guards(self) -> Iterator[Finding]:
        missing = self.reader.rows(self._queries["guards"])
        for kind, name in missing:
            fact = f"the {kind} {name} of runfold.log is missing or switched off, so the database lets events be damaged"
            yield Finding("guard", fact, "set it up again as in Runfold's migrations, and find out who removed it")
        yield from self._rights()
        if ("constraint", "log_event_id") in missing:
            for event_id, first, last in self.reader.rows(self._queries["repeated event ids"]):
                yield Finding(
                    "event_id", f"the event id {event_id} stands at position {first} and again at {last}", _CHANGED, last
                )
        if ("constraint", "log_tenant_stream_version") in missing:
            for stream, version, first, last in self.reader.rows(self._queries["repeated versions"]):
                fact = f"version {version} of {stream} stands at position {first} and again at {last}"
                yield Finding("version", fact, _CHANGED, last, stream)

    def _rights(self) -> Iterator[Finding]:
        """Yield the rights that roles lack or should not have, and where queries alone keep tenants apart."""
        with self.reader.datastore.reading() as connection:
            found = rights.faults(connection)
        for _, fact in found:
            yield Finding("guard", fact, f"{rights.NEXT_STEP}, and find out who removed it")

    def _ends(self) -> Iterator[Finding]:
        highest = self._highest or 0
        if highest > self.head:
            fact = f"events stand up to position {highest}, and the head is at {self.head}: the next append would meet them"
            yield Finding("head", fact, "set the head back only after it is known how it was changed", self.head + 1)
        if self._lowest is not None and self._lowest < 1:
            yield Finding("position", f"an event stands at position {self._lowest}, before the first", _CHANGED, self._lowest)

    def _place(self, row: _Row) -> Iterator[Finding]:
        """Yield where it stands in the ledger and in its stream."""
        if row.position > self._last_position + 1:
            yield self._hole(row.position)
        elif row.position == self._last_position:
            yield Finding("position", f"two events stand at position {row.position}", _CHANGED, row.position, row.stream)
        if self._last_time is not None and row.recorded_at < self._last_time:
            fact = f"position {row.position} was recorded at {row.recorded_at}, before its predecessor ({self._last_time})"
            yield Finding("recorded_at", fact, _CHANGED, row.position, row.stream)
        if row.before_position is None and row.version > 1:
            fact = f"{row.stream} has version {row.version} at position {row.position}, and no version {row.version - 1}"
            yield Finding("version", fact, _LOST, row.position, row.stream)
        elif (row.before_position or 0) > row.position:
            fact = f"{row.stream} has version {row.version} at position {row.position}, and the one before it only after that"
            yield Finding("version", fact, _CHANGED, row.position, row.stream)
        if row.salt_bytes != SALT_BYTES and (self._salted or row.salt_bytes is not None):
            fact = f"position {row.position} has {row.salt_bytes or 'no'} bytes of salt, and not {SALT_BYTES}"
            yield Finding("salt", fact, _CHANGED, row.position, row.stream)
        self._salted = self._salted or row.salt_bytes is not None
        self._last_position, self._last_time = row.position, row.recorded_at

    def _belonging(self, row: _Row) -> Iterator[Finding]:
        """Yield the faults of what it says, and of where it stands."""
        if row.key_id is not None:
            return  # sealed: its words cannot be read here
        try:
            event = event_types.read(row.type, row.schema_version, row.state, row.position)
        except UnknownEventType:
            fact = f"position {row.position} holds the type {row.type!r}, schema version {row.schema_version}, which is not known"
            yield Finding("type", fact, "upgrade Runfold if a newer one wrote here; else " + _CHANGED, row.position, row.stream)
            return
        except UnreadableEvent as error:
            fact = f"the {row.type} at position {row.position} is not valid: {error.reason}"
            yield Finding("payload", fact, _CHANGED, row.position, row.stream)
            return
        what = f"the {row.type} at position {row.position}"
        if reason := _envelope_fault(row):
            yield Finding("envelope", f"{what} has {reason}", _CHANGED, row.position, row.stream)
        if fault := _stream_fault(row, event):
            yield Finding("stream", f"{what} {fault}", _CHANGED, row.position, row.stream)
        for field_, fact in self._digests.faults(
            Place(row.position, row.tenant_id, row.stream, row.version, row.thread_id), event
        ):
            yield Finding("digest", f"{field_} of {what}: {fact}", _CHANGED, row.position, row.stream, field_)

    def _with_before(self, row: _Row) -> _Row:
        """An event that was moved to another tenant stands apart from those before it."""
        if row.before_position is not None or row.version <= 1:
            return row
        found = self.reader.rows(self._queries["before of another tenant"], [row.stream, row.version])
        return row._replace(**dict(zip(_BEFORE, found[0], strict=True))) if found else row

    def _hole(self, until: int) -> Finding:
        first, last = self._last_position + 1, until - 1
        self._last_position = last
        what = f"position {first} is" if first == last else f"positions {first} to {last} are"
        return Finding("position", f"{what} missing", _LOST, first)


def _unreadable(error: LedgerUnavailable | UnreadableTime | ValueError) -> tuple[str, str, str]:
    """Return of what kind an event is that cannot be read, why, and the next step: it is on a page that the disk has damaged, or
    has a time or JSON beside it that nothing reads. Raises the error where it is of anything else.
    """
    if isinstance(error, ValueError):
        return "envelope", str(error), _CHANGED
    if isinstance(error, UnreadableTime):
        return "envelope", error.reason, _CHANGED
    if isinstance(error.__cause__, psycopg.errors.DataCorrupted):
        return "page", error.fact, error.next_step
    raise error


def _envelope_fault(row: _Row) -> str | None:
    try:
        Context(**row.context)
    except TypeError as error:
        return f"a context that cannot be read: {error}"
    if odd := next((name for name, value in row.context.items() if not isinstance(value, str)), None):
        return f"a context that cannot be read: {odd} is no text"
    try:
        Metadata.model_validate_json(orjson.dumps(row.metadata))  # as whoever reads the event does
    except ValidationError as error:
        return f"metadata that cannot be read: {refusal(error).args[0]}"
    return None


def _stream_fault(row: _Row, event: Event) -> str | None:
    prefix = next((prefix for kind, prefix in _PREFIXES.items() if isinstance(event, kind)), "run_")
    begins = row.version == 1 and row.before_position is None
    is_creation = begins if isinstance(event, CallbackEvent) else type(event) in _CREATIONS
    says_thread = event.thread_id if isinstance(event, RunCreated) else row.stream if prefix in _OWN_THREAD else row.thread_id
    before = f"the events before it in {row.stream} are of"
    faults = (
        (not row.stream.startswith(prefix), f"stands in {row.stream}, which is no stream of its kind ({prefix}…)"),
        (says_thread != row.thread_id, f"is of thread {says_thread}, and is stored as one of {row.thread_id}"),
        (
            row.before_thread_id not in {None, row.thread_id},
            f"is of thread {row.thread_id}, and {before} {row.before_thread_id}",
        ),
        (
            row.before_tenant_id not in {None, row.tenant_id},
            f"is of tenant {row.tenant_id}, and {before} {row.before_tenant_id}",
        ),
        (begins and not is_creation, f"begins {row.stream}, which only its creation can"),
        (row.version > 1 and is_creation, f"stands at version {row.version} of {row.stream}, which it should begin"),
    )
    return next((reason for wrong, reason in faults if wrong), None)
