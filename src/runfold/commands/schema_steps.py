"""How much work a JSON Schema makes of a value, counted before it is done: a few references can ask for the same a billion times.

What is counted is no less than what a validator does: each part of the schema, once for each way that leads to it, on each
part of the value that it applies to.
"""

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from runfold.errors import InvalidEvent

MOST_STEPS = 250_000
"""Some tenths of a second."""
MOST_PARTS = 10_000
"""Of a schema: making it ready takes some microseconds for each."""

_SAME = ("not", "if", "then", "else")
_SAME_LISTS = ("allOf", "anyOf", "oneOf")
_SAME_MAPS = ("dependentSchemas", "dependencies")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_OF_MEMBERS = ("additionalProperties", "unevaluatedProperties")
_OF_ITEMS = ("items", "additionalItems", "unevaluatedItems", "contains")
_LOOKS_AROUND = re.compile(r"\(\?[=!<>]|\\[1-9kg]|[*+?}]\+")
_REPEATED = re.compile(r"\{(\d{1,6})(?:,(\d{0,6}))?\}")

Schema = Mapping[str, Any]


def require_small(name: str, schema: Any) -> None:
    """Raise InvalidEvent for a schema of too many parts."""
    parts, left = 0, [schema]
    while left:
        part = left.pop()
        parts += 1
        if parts > MOST_PARTS:
            raise InvalidEvent(name, f"has more than {MOST_PARTS:,} parts; send a smaller JSON Schema")
        left.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())


def require_few_steps(name: str, value: Any, schema: Schema) -> None:
    """Raise InvalidEvent where holding a value to a schema takes more than `MOST_STEPS`."""
    named = _named(schema)
    steps, left = 0, [(schema, value)]
    while left:
        part, member = left.pop()
        if not isinstance(part, dict):
            continue
        steps += _weight(part, member)
        for below in _below(part, member, schema, named):
            steps += 1
            if steps > MOST_STEPS:
                break
            left.append(below)
        if steps > MOST_STEPS:
            raise InvalidEvent(
                name, f"takes more than {MOST_STEPS:,} steps to be held to its JSON Schema; simplify the schema, or send less"
            )


def _below(part: Schema, value: Any, root: Schema, named: Mapping[str, list[Any]]) -> Iterator[tuple[Any, Any]]:
    """Return the parts of a schema below one, each with what it applies to."""
    again = 2 if "unevaluatedProperties" in part or "unevaluatedItems" in part else 1  # they ask what the others looked at
    for _ in range(again):
        for same in _same(part, root, named):
            yield same, value
    if isinstance(value, dict):
        yield from _of_object(part, value)
    elif isinstance(value, list):
        yield from _of_array(part, value)


def _same(part: Schema, root: Schema, named: Mapping[str, list[Any]]) -> Iterator[Any]:
    """Return what applies to the same value."""
    for key in _SAME:
        if key in part:
            yield part[key]
    for key in _SAME_LISTS:
        yield from _list(part.get(key))
    for key in _SAME_MAPS:
        yield from _dict(part.get(key)).values()
    for key in _REFERENCES:
        if isinstance(reference := part.get(key), str):
            yield from _referred(reference, root, named)


def _of_object(part: Schema, value: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    properties, patterns = _dict(part.get("properties")), _dict(part.get("patternProperties"))
    others = [part[key] for key in _OF_MEMBERS if key in part]
    for key, member in value.items():
        if key in properties:
            yield properties[key], member
        for pattern, inner in patterns.items():
            yield {"pattern": pattern}, key
            yield inner, member
        for inner in others:
            yield inner, member
        if "propertyNames" in part:
            yield part["propertyNames"], key


def _of_array(part: Schema, value: list[Any]) -> Iterator[tuple[Any, Any]]:
    for key in ("prefixItems", "items"):
        yield from zip(_list(part.get(key)), value, strict=False)
    every = [part[key] for key in _OF_ITEMS if isinstance(part.get(key), dict)]
    for inner in every:
        for member in value:
            yield inner, member


def _weight(part: Schema, value: Any) -> int:
    """Return what a part does by itself."""
    steps = 1 + len(_list(part.get("enum"))) + len(_list(part.get("required")))
    if isinstance(value, str) and isinstance(pattern := part.get("pattern"), str):
        steps += _matching(pattern, len(value))
    if part.get("uniqueItems") is True and isinstance(value, list):
        steps += len(value) ** 2 // 80
    return steps


def _matching(pattern: str, characters: int) -> int:
    """Looking for a pattern takes its size times the text's, and where it looks around, times the text's once more."""
    repeated = (max(int(least), int(most or 0)) for least, most in _REPEATED.findall(pattern))
    size = reduce(lambda product, times: min(product * max(1, times), MOST_STEPS), repeated, len(pattern))
    around = characters // 5 + 1 if _LOOKS_AROUND.search(pattern) else 1
    return size * characters * around // 1000


def _referred(reference: str, root: Schema, named: Mapping[str, list[Any]]) -> list[Any]:
    """Return what a reference may lead to: it is followed in the whole document, and in each part that has an id of its own."""
    base, _, fragment = reference.partition("#")
    if fragment and not fragment.startswith("/"):
        return named.get(fragment, [])
    bases = named.get(base, []) if base else [root, *named.get("", [])]
    return [found for start in bases if (found := _at(start, fragment)) is not None]


def _at(start: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(start, dict):
            start = start.get(key)
        elif isinstance(start, list) and key.isdecimal() and len(key) < 7 and int(key) < len(start):
            start = start[int(key)]
        else:
            return None
    return start


def _named(schema: Any) -> dict[str, list[Any]]:
    """Return the parts of a schema by their ids and anchors; those with an id under the empty name too."""
    found: dict[str, list[Any]] = {}
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            for key in ("$id", "id", "$anchor", "$dynamicAnchor"):
                if isinstance(name := part.get(key), str):
                    found.setdefault(name.rstrip("#"), []).append(part)
                    found.setdefault(name.rpartition("/")[2], []).append(part)
                    if key in {"$id", "id"} and part is not schema:
                        found.setdefault("", []).append(part)
        left.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
