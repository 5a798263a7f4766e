"""Sources gone wrong: bytes flipped, values of other kinds, lines lost, doubled, cut and put elsewhere. The same for a seed."""

import json
import random
from collections.abc import Callable
from typing import Any

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    12.5,
    1e308,
    2**63,
    2**64,
    10**4000,
    "",
    "n/a",
    "NaN",
    "\0",
    "\ud800",
    "2026-03-01T10:00:00",
    "2026-03-01T10:00:00+99:00",
    1767225600000000000,
    1767225600,
    [],
    {},
    [[]],
    ["a", 1],
    {"type": "text"},
    {"a": {"b": {}}},
    "x" * 5000,
    "<local-command-stdout>",
    "[Request interrupted by user]",
]
"""Values that stand where others are expected."""


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every member of every object and array, by what it is in and its key or index."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        found.append((value, key))
        _places(member, found)
    return found


def _odd_value(chance: random.Random, record: Any) -> Any:
    if places := _places(record, []):
        holder, key = chance.choice(places)
        holder[key] = chance.choice(ODD)
    return record


def _lost_member(chance: random.Random, record: Any) -> Any:
    if places := _places(record, []):
        holder, key = chance.choice(places)
        del holder[key]
    return record


def _other_member(chance: random.Random, record: Any) -> Any:
    """A value from elsewhere in the record."""
    if places := _places(record, []):
        (holder, key), (other, name) = chance.choice(places), chance.choice(places)
        if not isinstance(other[name], dict | list):
            holder[key] = other[name]
    return record


def _renamed_member(chance: random.Random, record: Any) -> Any:
    places = [(holder, key) for holder, key in _places(record, []) if isinstance(holder, dict)]
    if places:
        holder, key = chance.choice(places)
        holder[chance.choice(["id", "type", "content", "\ud800", "", "x" * 300])] = holder.pop(key)
    return record


def _deep_member(chance: random.Random, record: Any) -> Any:
    if places := _places(record, []):
        holder, key = chance.choice(places)
        for _ in range(chance.choice([3, 70, 200])):
            holder[key] = [holder[key]]
    return record


OF_VALUES: list[Callable[[random.Random, Any], Any]] = [
    _odd_value,
    _odd_value,
    _odd_value,
    _lost_member,
    _other_member,
    _renamed_member,
    _deep_member,
]


def _of_bytes(chance: random.Random, raw: bytes) -> bytes:
    at = chance.randrange(len(raw) + 1)
    match chance.randrange(6):
        case 0:
            return raw[:at]
        case 1:
            return raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
        case 2:
            return raw[:at] + chance.choice([b"\0", b"\xff", b"\\u0000", b"\\ud800", b'"', b"{", b"}", b",", b"\r"]) + raw[at:]
        case 3:
            return raw + raw
        case 4:
            return raw[:at] + raw[at + chance.randrange(40) :]
        case _:
            return raw.replace(b":", b":NaN,", 1)


def mutated(chance: random.Random, raw: bytes) -> bytes:
    """JSON that has gone wrong in one place or two."""
    if chance.random() < 0.75:
        try:
            record = json.loads(raw)
            for _ in range(chance.choice([1, 1, 2])):
                record = chance.choice(OF_VALUES)(chance, record)
            return json.dumps(record).encode()
        except (ValueError, RecursionError):
            pass
    return _of_bytes(chance, raw)
