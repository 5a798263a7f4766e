"""PostgreSQL's binary form of what an append sends, made in one go.

psycopg looks at every value to find out what it is. The columns of an event are known, and a batch has thousands of them.
"""

import struct
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from itertools import repeat
from typing import Any, ClassVar

from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

from runfold.store.codec import Row

_TEXT, _BYTEA, _INT8, _INT4, _INT2, _UUID, _JSONB = 25, 17, 20, 23, 21, 2950, 3802
"""Oids, which are the same everywhere."""
_NULL = b"\xff\xff\xff\xff"
_ARRAY = struct.Struct("!iiIii").pack  # dimensions, has nulls, oid of members, length, first index
_EMPTY = struct.Struct("!iiI").pack
_LENGTH = struct.Struct("!i").pack
_BIGINT, _INT, _SMALLINT = struct.Struct("!iq").pack, struct.Struct("!ii").pack, struct.Struct("!ih").pack

# The columns of runfold.new_event: oid and length before each value, neighbours of a known length in one go.
_STREAM = struct.Struct("!iIi").pack
_VERSION = struct.Struct("!Iiq").pack
_SCHEMA_VERSION = struct.Struct("!IihI").pack
_OTHER_TEXT = struct.Struct("!Ii").pack
_EVENT_ID = struct.pack("!Ii", _UUID, 16)
_JSON = struct.Struct("!IiB").pack
_NO_TEXT = struct.pack("!I", _TEXT) + _NULL
_COLUMNS, _JSONB_VERSION = 11, 1
_JSONB_BEGINS = bytes([_JSONB_VERSION])
_MOST_ALIKE = 4096
"""So many of what events have in common are kept packed: of one event after the other it is mostly the same."""


def events(rows: Collection[Row], oid: int) -> bytes:
    """An array runfold.new_event[], whose type has an oid of its own in each database."""
    return array(oid, [_event(row) for row in rows])


def groups(rows: Collection[Row], most: int) -> list[bytes | None] | None:
    """What runfold.append_events_in_groups takes of events: what each group of them has in common, and what is of each alone.

    None where there are more groups than `most`.
    """
    numbers: dict[tuple[Any, ...], int] = {}
    group_of, versions, states, event_ids = [], [], [], []
    for stream, version, kind, schema_version, state, key_id, tenant_id, thread_id, event_id, context, metadata in rows:
        common = stream, kind, schema_version, key_id, tenant_id, thread_id, context, metadata
        group_of.append(number := numbers.setdefault(common, len(numbers) + 1))
        if number > most:
            return None
        versions.append(version)
        states.append(state)
        event_ids.append(event_id)
    streams, kinds, schema_versions, key_ids, tenant_ids, thread_ids, contexts, metadatas = zip(*numbers, strict=True)
    return [
        texts(streams),
        texts(kinds),
        _numbers(_INT2, _SMALLINT, 2, schema_versions),
        None if set(key_ids) == {None} else _texts_or_null(key_ids),
        texts(tenant_ids),
        texts(thread_ids),
        _jsons(contexts),
        _jsons(metadatas),
        _numbers(_INT4, _INT, 4, group_of),
        bigints(versions),
        array(_BYTEA, states),
        array(_UUID, event_ids),
    ]


def texts(values: Collection[str]) -> bytes:
    """An array text[]."""
    return array(_TEXT, [value.encode() for value in values])


def bigints(values: Collection[int]) -> bytes:
    """An array bigint[]."""
    return _numbers(_INT8, _BIGINT, 8, values)


def _numbers(oid: int, pack: Callable[[int, int], bytes], size: int, values: Collection[int]) -> bytes:
    if not values:
        return _EMPTY(0, 0, oid)
    return _ARRAY(1, 0, oid, len(values), 1) + b"".join(map(pack, repeat(size), values))


def _jsons(values: Collection[str]) -> bytes:
    return array(_JSONB, [_JSONB_BEGINS + value.encode() for value in values])


def _texts_or_null(values: Collection[str | None]) -> bytes:
    members = [_NULL if value is None else _LENGTH(len(raw := value.encode())) + raw for value in values]
    return _ARRAY(1, 1, _TEXT, len(values), 1) + b"".join(members)


def array(oid: int, members: Collection[bytes]) -> bytes:
    """An array of packed members."""
    if not members:
        return _EMPTY(0, 0, oid)
    return _ARRAY(1, 0, oid, len(members), 1) + b"".join([_LENGTH(len(member)) + member for member in members])


def _event(row: Row) -> bytes:
    stream, version, kind, schema_version, state, key_id, tenant_id, thread_id, event_id, context, metadata = row
    return b"".join(
        (
            _stream(stream),
            _VERSION(_INT8, 8, version),
            _type(kind, schema_version),
            _LENGTH(len(state)),
            state,
            _place(key_id, tenant_id, thread_id),
            event_id,
            _json(context),
            _json(metadata),
        )
    )


@lru_cache(_MOST_ALIKE)
def _stream(stream: str) -> bytes:
    raw = stream.encode()
    return _STREAM(_COLUMNS, _TEXT, len(raw)) + raw


@lru_cache(_MOST_ALIKE)
def _type(kind: str, schema_version: int) -> bytes:
    return _text(kind) + _SCHEMA_VERSION(_INT2, 2, schema_version, _BYTEA)


@lru_cache(_MOST_ALIKE)
def _place(key_id: str | None, tenant_id: str, thread_id: str) -> bytes:
    return (_NO_TEXT if key_id is None else _text(key_id)) + _text(tenant_id) + _text(thread_id) + _EVENT_ID


def _text(value: str) -> bytes:
    raw = value.encode()
    return _OTHER_TEXT(_TEXT, len(raw)) + raw


@lru_cache(_MOST_ALIKE)
def _json(value: str) -> bytes:
    raw = value.encode()
    return _JSON(_JSONB, len(raw) + 1, _JSONB_VERSION) + raw


class UuidArray:
    """An array uuid[], from sixteen bytes each, as a parameter of a query."""

    __slots__ = ("packed",)

    oid: ClassVar[int] = 2951

    def __init__(self, values: Iterable[bytes]) -> None:
        self.packed = array(_UUID, [*values])


class _UuidArrayDumper(Dumper):
    format, oid = Format.BINARY, UuidArray.oid

    def dump(self, obj: UuidArray) -> bytes:
        return obj.packed


def register(adapters: AdaptersMap) -> None:
    """Let a connection take these as parameters."""
    adapters.register_dumper(UuidArray, _UuidArrayDumper)
