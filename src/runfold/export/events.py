"""Events as rows: the columns of the log in our own words, and the way back from a row to an event.

    position, stream, version, type, schema_version, event_id, tenant_id, thread_id, recorded_at, occurred_at,
    run_id, parent_run_id, agent_id, user_id, goal_id, call_id, decision_id,
    actor (kind:id), on_behalf_of, causation_id, correlation_id, traceparent, key_id, data

Nothing of an event is left out. `data` is the payload exactly as it is stored, which is what digests cover; in JSON lines it
is an object. It is null for one that is sealed under a key.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql

from runfold.domain.event import Context, Recorded
from runfold.export.columns import Asked
from runfold.export.manifest import Column, Format
from runfold.store.codec import decode

EVENTS = "events"
SCHEMA_VERSION = 1
"""To be raised with every change to the columns."""

_PAYLOAD = "CASE WHEN key_id IS NULL THEN convert_from(state, 'UTF8') END"
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
    ("key_id", "text", "key_id"),
]


def event_columns(format: Format) -> list[Asked]:
    """The columns of events."""
    data = ("data", "json", f"({_PAYLOAD})::json") if format == "jsonl" else ("data", "text", _PAYLOAD)
    return [Asked(Column(name=name, type=type), sql.SQL(expression)) for name, type, expression in [*_COLUMNS, data]]


def recorded_of(row: Mapping[str, Any]) -> Recorded:
    """A row of events, with its times as datetimes → the event, as the ledger has it; for folding it elsewhere.

    Raises UnknownEventType, UnreadableEvent.
    """
    context = {name: row[name] for name in Context._fields if row[name] is not None}
    return decode(
        (
            row["position"], row["stream"], row["version"], row["type"], row["schema_version"], row["data"].encode(),
            row["tenant_id"], row["thread_id"], UUID(row["event_id"]).bytes, row["recorded_at"],
            orjson.dumps(context).decode(), orjson.dumps(_metadata_of(row)).decode(),
        )
    )  # fmt: skip


def _metadata_of(row: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, name = row["actor"].partition(":")
    actor = {"kind": kind, "id": name}
    if row["on_behalf_of"] is not None:
        actor["on_behalf_of"] = row["on_behalf_of"]
    said: dict[str, Any] = {"actor": actor}
    if isinstance(row["occurred_at"], datetime):
        said["occurred_at"] = row["occurred_at"].isoformat()
    return said | {
        name: row[name] for name in ("causation_id", "correlation_id", "traceparent") if row[name] is not None
    }
