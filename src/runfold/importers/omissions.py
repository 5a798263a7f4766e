"""What is larger than the ledger takes: the rest of its record goes in, and it stands in its place with its size and digest.

A text keeps its beginning. Of a file in base64 nothing is kept but its name in its place, for a part of it would be damaged.
"""

import re
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from runfold.domain.parts import FilePart
from runfold.domain.values import Value, digest
from runfold.method_call import MethodCall
from runfold.store.codec import Limits

T = TypeVar("T")

OMITTED = "records larger than an event takes, in which an omission with its size and digest stands for the rest"
LEAST = 1024
"""Strings of so few bytes are never cut: what is too large because there are so many is a problem."""
_ROOM = 4096
"""Bytes that an event needs beside what is given for it."""
_ENCODED = re.compile(r"(?:data:[^,]{0,200},)?[A-Za-z0-9+/_-]{200}")


def reduced(value: T, limits: Limits) -> T:
    """The same, small enough for one event: strings that are too long are cut, and then the longest, until all of it fits."""
    most = limits.string_bytes
    found = _cut_in(value, most)
    while most > LEAST and _size(found) > limits.event_bytes - _ROOM:
        most //= 2
        found = _cut_in(value, most)
    return found  # type: ignore[no-any-return]  # it is of the same shape


def _cut_in(value: Any, most: int) -> Any:
    match value:
        case str():
            return _cut(value, most)
        case FilePart(data=str(data)) if _cut(data, most) is not data:
            return value.model_copy(update={"data": None, "name": f"{value.name or 'file'} {_omission(data)}"[:most]})
        case Value():
            changes = {name: cut for name, member in value if (cut := _cut_in(member, most)) is not member}
            return value.model_copy(update=changes) if changes else value
        case dict():
            cut = {_cut_in(key, most): _cut_in(member, most) for key, member in value.items()}
            return cut if any(cut.get(key, cut) is not member for key, member in value.items()) else value
        case list() | tuple():
            members = [_cut_in(member, most) for member in value]
            return type(value)(members) if any(map(_is_another, members, value)) else value
        case _:
            return value


def _is_another(one: object, other: object) -> bool:
    return one is not other


def _cut(text: str, most: int) -> str:
    if len(text) * 4 <= most or len(raw := text.encode()) <= most:
        return text
    if _ENCODED.match(text):
        return _omission(text)
    kept = raw[: most - 200].decode(errors="ignore")
    return f"{kept}… [omitted: {len(raw) - len(kept.encode()):,} of {len(raw):,} bytes, {digest(raw)} of the whole]"


def _omission(text: str) -> str:
    return f"[omitted: {len(text.encode()):,} bytes, {digest(text)}]"


def _size(value: Any) -> int:
    """Bytes of JSON that a value takes, about."""
    return len(orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS))


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else str(value)


def amended(call: MethodCall[T], limits: Limits) -> MethodCall[T] | None:
    """The same call with omissions in what is too large; None where nothing is."""
    args, kwargs = reduced((call.args, call.kwargs), limits)
    return None if args is call.args and kwargs is call.kwargs else replace(call, args=args, kwargs=kwargs)
