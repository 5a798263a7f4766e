"""Validation that ends at the first fault, so that refusing costs no more than taking.

Pydantic lists every fault of a value: two hundred thousand of them where a list or an object has so many members.
"""

import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import CoreSchema, ErrorDetails

from runfold.errors import InvalidEvent, shortened

_LISTS = frozenset({"list", "tuple", "set", "frozenset"})
_MOST_NAMED = 20


def told_fault(error: ValidationError, given: Any = None) -> tuple[list[str], ErrorDetails]:
    """Return the fault that is told of a value, and the way to it in `given`, if that is there.

    Of a value that may be of several types pydantic lists what is wrong for each, under the name that it has for the type: what
    is wrong for the type that fits furthest is told.
    """
    faults = error.errors(include_url=False)
    if given is None:
        return [str(step) for step in faults[0]["loc"]], faults[0]
    way, own = _way(faults[0], given)
    ways = [(way, faults[0])]
    if own < len(faults[0]["loc"]):
        ways += [(_way(each, given)[0], each) for each in faults[1:] if each["loc"][:own] == faults[0]["loc"][:own]]
    return max(ways, key=lambda each: len(each[0]))


def _way(fault: ErrorDetails, given: Any) -> tuple[list[str], int]:
    """Return the steps to a fault that lead through a value, and how many come before the first that is the name of a type."""
    way: list[str] = []
    own, left = len(fault["loc"]), list(fault["loc"])
    while left:
        step = left.pop(0)
        is_absent = not left and fault["type"] in {"missing", "extra_forbidden"}
        if not is_absent and (not _holds(given, step) or _is_tag(given, step, left, fault)):
            own = min(own, len(way))
            continue
        way.append(str(step))
        given = given[step] if _holds(given, step) else None
    return way, own


def _holds(given: Any, step: str | int) -> bool:
    return step in given if isinstance(given, dict) else isinstance(given, list) and isinstance(step, int) and step < len(given)


def _is_tag(given: Any, step: str | int, following: list[str | int], fault: ErrorDetails) -> bool:
    """Return whether a step is the name of a type, though there is a field of that name too: then a field comes after it."""
    if not following or isinstance(given[step], dict | list):
        return False
    return _holds(given, following[0]) or (len(following) == 1 and fault["type"] in {"missing", "extra_forbidden"})


def failing_fast(schema: CoreSchema) -> CoreSchema:
    """Return a schema whose lists stop validating at their first invalid member."""
    for part in _parts(schema):
        if isinstance(kind := part.get("type"), str) and kind in _LISTS:
            part["fail_fast"] = True
    return schema


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for name, member in schema.items():
            if name not in {"metadata", "serialization"}:
                yield from _parts(member)
    elif isinstance(schema, list | tuple):
        for member in schema:
            yield from _parts(member)


def require_known(kind: Any, value: Any, path: str) -> None:
    """Raise InvalidEvent for a key that none of the models knows that `value`, JSON for the type `kind`, is to become."""
    if (found := _unknown(kind, value)) is not None:
        steps, known = found
        more = f" and {len(set(known)) - _MOST_NAMED} more" if len(set(known)) > _MOST_NAMED else ""
        words = f"{', '.join(sorted(known)[:_MOST_NAMED])}{more}" or "none"
        where = ".".join([*([path] if path else []), *reversed(steps)])
        raise InvalidEvent(where, f"is not a known field; the fields are {words}")


def _unknown(kind: Any, value: Any) -> tuple[list[str], Iterable[str]] | None:
    """The way to an unknown key, the innermost step first, and the keys that are known there."""
    if not (models := _models(kind)):
        return None
    members: Iterable[tuple[Any, Any, Any]] = ()
    if isinstance(value, list):
        members = ((index, kind, member) for index, member in enumerate(value))
    elif isinstance(value, dict) and (known := _fields(models)) is not None:
        if (key := next((key for key in value if key not in known), None)) is not None:
            return [shortened(key)], known
        members = ((name, inner, value[name]) for name in value for inner in known[name])
    for step, inner, member in members:
        if found := _unknown(inner, member):
            found[0].append(str(step))
            return found
    return None


@cache
def _models(kind: Any) -> tuple[type[BaseModel], ...]:
    """The models that a value of a type, or each member of it where it is a list, may become."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return (kind,)
    origin = get_origin(kind)
    if origin is Annotated:
        return _models(get_args(kind)[0])
    if origin in {Union, types.UnionType, list, tuple}:
        return tuple(model for inner in get_args(kind) for model in _models(inner))
    return ()


@cache
def _fields(models: tuple[type[BaseModel], ...]) -> Mapping[str, tuple[Any, ...]] | None:
    """The keys that some model knows, each with what it may hold; None where a model takes any."""
    found: dict[str, tuple[Any, ...]] = {}
    for model in models:
        if model.model_config.get("extra") != "forbid":
            return None
        hints = get_type_hints(model, include_extras=True)
        for name, field in model.model_fields.items():
            key = field.alias or name
            found[key] = (*found.get(key, ()), hints.get(name, field.annotation))
    return found
