"""Events as rows: the columns of the log in our own words, and the way back from a row to an event.

    position, stream, version, type, schema_version, event_id, tenant_id, thread_id, recorded_at, occurred_at,
    run_id, parent_run_id, agent_id, user_id, goal_id, call_id, decision_id, call_run_id, tool_name, action, step_name, node_id,
    provider, request_model, message_role, decision_type, severity (its context: what it is about),
    actor (kind:id), on_behalf_of, causation_id, correlation_id, traceparent, request_digest,
    key_id, salt (hexadecimal), data

Nothing of an event is left out. `data` is the payload exactly as it is stored, which is what digests cover; in JSON lines it
is an object. It is null for one that is sealed under a key.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import orjson
from psycopg import sql

from runfold.domain.context import Context
from runfold.domain.recorded import Recorded
from runfold.errors import Damage, ExportRefused, UsageError
from runfold.export.columns import Asked
from runfold.export.folder import PASSING, Folder
from runfold.export.manifest import Column, Format, Manifest
from runfold.export.order import Order, Outcome
from runfold.store.codec import decode
from runfold.store.cursor import Place
from runfold.store.epochs import position_of
from runfold.store.queries import named_queries
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.reading.which_event import ask_about_events

EVENTS = "events"
STRETCH = 10_000
"""How many positions are read in one transaction."""
SCHEMA_VERSION = 3
"""To be raised with every change to the columns."""

_PAYLOAD = "CASE WHEN key_id IS NULL THEN convert_from(state, 'UTF8') END"
_QUERIES = named_queries("runfold.export", "events.sql")
_COLUMNS: list[tuple[str, str, str]] = [
    ("position", "bigint", "notification_id"),
    ("stream", "text", "originator_id"),
    ("version", "bigint", "originator_version"),
    ("type", "text", "topic"),
    ("schema_version", "smallint", "schema_version"),
    ("event_id", "text", "event_id::text"),
    ("tenant_id", "text", "tenant_id"),
    ("thread_id", "text", "thread_id"),
    ("recorded_at", "timestamp with time zone", "recorded_at"),
    ("occurred_at", "timestamp with time zone", "(metadata ->> 'occurred_at')::timestamptz"),
    *((name, "text", f"context ->> '{name}'") for name in Context._fields),
    ("actor", "text", "(metadata -> 'actor' ->> 'kind') || ':' || (metadata -> 'actor' ->> 'id')"),
    ("on_behalf_of", "text", "metadata -> 'actor' ->> 'on_behalf_of'"),
    ("causation_id", "text", "metadata ->> 'causation_id'"),
    ("correlation_id", "text", "metadata ->> 'correlation_id'"),
    ("traceparent", "text", "metadata ->> 'traceparent'"),
    ("request_digest", "text", "metadata ->> 'request_digest'"),
    ("key_id", "text", "key_id"),
    ("salt", "text", "encode(salt, 'hex')"),
]


def event_columns(format: Format) -> list[Asked]:
    """The columns of events."""
    data = ("data", "json", f"({_PAYLOAD})::json") if format == "jsonl" else ("data", "text", _PAYLOAD)
    return [Asked(Column(name=name, type=kind), sql.SQL(expression)) for name, kind, expression in [*_COLUMNS, data]]


def recorded_of(row: Mapping[str, Any]) -> Recorded:
    """A row of events, with its times as datetimes → the event, as the ledger has it; for folding it elsewhere.

    Raises UnknownEventType, UnreadableEvent.
    """
    context = {name: row[name] for name in Context._fields if row[name] is not None}
    return decode(
        (
            row["position"],
            row["stream"],
            row["version"],
            row["type"],
            row["schema_version"],
            row["data"].encode(),
            row["tenant_id"],
            row["thread_id"],
            UUID(row["event_id"]).bytes,
            row["recorded_at"],
            orjson.dumps(context).decode(),
            orjson.dumps(_metadata_of(row)).decode(),
            None if row["salt"] is None else bytes.fromhex(row["salt"]),
        )
    )


def _metadata_of(row: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, name = row["actor"].partition(":")
    actor = {"kind": kind, "id": name}
    if row["on_behalf_of"] is not None:
        actor["on_behalf_of"] = row["on_behalf_of"]
    said: dict[str, Any] = {"actor": actor}
    if isinstance(row["occurred_at"], datetime):
        said["occurred_at"] = row["occurred_at"].isoformat()
    texts = ("causation_id", "correlation_id", "traceparent", "request_digest")
    return said | {name: row[name] for name in texts if row[name] is not None}


class EventExport:
    """Events, in stretches of positions, each read in a transaction of its own. What the folder has is gone on with."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._asked = event_columns(order.format)
        self._folder = Folder(order.place)

    def run(self, after: Place, up_to: int | None, *, is_exact: bool = False) -> Outcome:
        """Bring the folder to a position, the head if None; to no other if that is to be exact.

        Raises ExportRefused, ExportDamaged, HistoryChanged, UsageError.
        """
        reader = self._order.ledger.recorder.reader
        after, head = position_of(reader, after), reader.head()
        up_to = head.position if up_to is None else up_to
        for position in (after, up_to):
            if position > head.position:
                raise UsageError(f"position {position} is not in the ledger, which holds 1 to {head.position}")
        if after > up_to:
            raise UsageError(f"nothing is after position {after} and up to {up_to}; begin before the end")
        said = before = self._begun(after, head.epoch)
        if is_exact and said.last_position > up_to:
            fact = f"holds events up to position {said.last_position}, beyond {up_to}"
            raise ExportRefused(str(self._order.place), fact, "choose another folder with --output")
        while said.last_position < up_to:
            said = self._add_part(said, up_to)
        return Outcome(said, len(said.parts) - len(before.parts), said.rows - before.rows)

    def _begun(self, after: int, epoch: UUID) -> Manifest:
        order = self._order
        empty = Manifest(
            table=EVENTS,
            format=order.format,
            schema_version=SCHEMA_VERSION,
            epoch=epoch,
            tenant_id=order.tenant_id,
            columns=tuple(each.column for each in self._asked),
            first_position=after + 1,
            last_position=after,
            as_of=after,
            rows_per_part=order.rows_per_part,
            rows=0,
        )
        said = self._folder.read()
        if said is None:
            self._folder.begin(empty)
            return empty
        order.require_same(said, empty)
        self._folder.check(said, lambda done, total: order.told(done, total, "checking what is there"))
        self._folder.tidy(said)
        if said.epoch != epoch:  # a history that this one came from: what is there is of both
            said = said.but(epoch=epoch)
            self._folder.say(said)
        return said

    def _add_part(self, said: Manifest, up_to: int) -> Manifest:
        order, first = self._order, said.last_position + 1
        taken = self._folder.path / f"{PASSING}taken"
        try:
            rows, last = self._take(taken, said.last_position, up_to)
            moved = said.but(last_position=last, as_of=last, rows_per_part=order.rows_per_part)
            if rows:
                moved = self._folder.add(moved, first, last, rows, partial(order.writer.finish, self._asked, taken))
            else:
                self._folder.say(moved)
        finally:
            taken.unlink(missing_ok=True)
        order.told(last - said.first_position + 1, up_to - said.first_position + 1, f"position {last}")
        return moved

    def _take(self, taken: Path, after: int, up_to: int) -> tuple[int, int]:
        """Write down the rows of the next part; how many they are, and the last position that was looked at."""
        rows, most = 0, self._order.rows_per_part
        with taken.open("wb") as file:
            while rows < most and after < up_to:
                expected, end = self._stretch(after, min(after + STRETCH, up_to), most - rows)
                found = ask_about_events(self._order.ledger.recorder.reader, partial(self._copy, file, after), after, end)
                if found != expected:
                    raise Damage(f"positions {after + 1} to {end} hold {found} of {expected} events; run `runfold check`")
                rows, after = rows + found, end
        return rows, after

    def _stretch(self, after: int, end: int, most: int) -> tuple[int, int]:
        """Return how many rows there are up to a position, or to an earlier one that has just as many as are wanted."""
        if self._order.tenant_id is None:  # positions have no hole
            end = min(end, after + most)
            return end - after, end
        ((rows, last),) = TenantReader.of(self._order.ledger.recorder.reader, self._order.tenant_id).rows(
            _QUERIES["stretch"], [after, end, self._order.tenant_id, most]
        )
        return rows, last if rows == most else end

    def _copy(self, file: IO[bytes], after: int, end: int) -> int:
        source = sql.SQL(
            "FROM runfold.log WHERE notification_id > {} AND notification_id <= {} AND {} ORDER BY notification_id"
        ).format(sql.Literal(after), sql.Literal(end), self._order.only_tenant)
        query = self._order.writer.query(self._asked, source)
        store = self._order.ledger.recorder.store
        with store.reading(self._order.shown_of) as connection, connection.cursor().copy(query) as copy:
            return self._order.writer.take(copy, file, end - after + 1)
