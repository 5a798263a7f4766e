"""PostgreSQL arrays in its binary form, made in one go.

psycopg looks at every member of a list to find out what it is. The append function's columns are known, and a batch has
thousands of members, so packing them here takes a third of the time.
"""

import struct
from collections.abc import Iterable
from typing import ClassVar

from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

_NULL = b"\xff\xff\xff\xff"
_HEADER = struct.Struct("!iiIii")  # dimensions, has nulls, oid of members, length, first index
_LENGTH = struct.Struct("!i").pack


class Array:
    """Members packed, with the oids of the array type and of its members."""

    __slots__ = ("packed",)

    member_oid: ClassVar[int]

    def __init__(self, members: Iterable[bytes], count: int) -> None:
        self.packed = (
            _HEADER.pack(1, 1, self.member_oid, count, 1) + b"".join(members)
            if count
            else _HEADER.pack(0, 0, self.member_oid, 0, 0)[:12]
        )


class TextArray(Array):
    """An array text[], from strings or None. Most columns of a batch repeat values, so each text is packed once."""

    __slots__ = ()
    member_oid = 25

    def __init__(self, values: Iterable[str | None], count: int) -> None:
        packed: dict[str | None, bytes] = {None: _NULL}
        members = []
        for value in values:
            member = packed.get(value)
            if member is None and value is not None:
                raw = value.encode()
                member = packed[value] = _LENGTH(len(raw)) + raw
            members.append(member or _NULL)
        super().__init__(members, count)


class ByteaArray(Array):
    """An array bytea[], from bytes."""

    __slots__ = ()
    member_oid = 17

    def __init__(self, values: Iterable[bytes], count: int) -> None:
        super().__init__((_LENGTH(len(value)) + value for value in values), count)


class UuidArray(Array):
    """An array uuid[], from sixteen bytes each."""

    __slots__ = ()
    member_oid = 2950

    def __init__(self, values: Iterable[bytes], count: int) -> None:
        length = _LENGTH(16)
        super().__init__((length + value for value in values), count)


class Int8Array(Array):
    """An array bigint[], from integers."""

    __slots__ = ()
    member_oid = 20

    def __init__(self, values: Iterable[int], count: int) -> None:
        pack = struct.Struct("!iq").pack
        super().__init__((pack(8, value) for value in values), count)


class Int2Array(Array):
    """An array smallint[], from integers."""

    __slots__ = ()
    member_oid = 21

    def __init__(self, values: Iterable[int], count: int) -> None:
        pack = struct.Struct("!ih").pack
        super().__init__((pack(2, value) for value in values), count)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        return obj.packed


_ARRAY_OIDS: dict[type[Array], int] = {TextArray: 1009, ByteaArray: 1001, UuidArray: 2951, Int8Array: 1016, Int2Array: 1005}


def register(adapters: AdaptersMap) -> None:
    """Let a connection take these as parameters."""
    for array, oid in _ARRAY_OIDS.items():
        adapters.register_dumper(array, type(f"{array.__name__}Dumper", (_ArrayDumper,), {"oid": oid}))
