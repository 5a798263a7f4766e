"""The types of body fields, narrowed to what the events of the same field names hold."""

import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field

from runfold.domain import durations
from runfold.domain.approval_events import ApprovalRule
from runfold.domain.catalogue import event_types
from runfold.domain.context import Metadata
from runfold.domain.decision import Outcome
from runfold.domain.usage import Tokens
from runfold.domain.values import PATTERN_WORDS, ApprovalId, Count, Label, RunId, Version

_NOTHING = type(None)
_PARTS = (ApprovalRule, Metadata, Outcome, Tokens)
"""Models inside of events whose fields commands take as arguments of their own."""
PATTERN_WORDS[durations.PATTERN] = durations.NOT_ONE
_DURATION = Annotated[str, Field(pattern=durations.PATTERN)]
_ELSEWHERE = {
    "approval_id": ApprovalId,
    "at_version": Version,
    "code": Label,
    "expected_version": Count,
    "expires_in": _DURATION,
    "lease": _DURATION,
    "quorum": Version,
    "run": RunId,
    "expected": RunId,
    "expected_head": RunId,
}
"""Types of the fields that no event has."""


def narrowed(name: str, said: Any) -> Any:
    """Return the type of a body's field, as narrow as the field of the same name is in events."""
    kept = _kept().get(name)
    return said if kept is None else _with(said, kept)


def _with(said: Any, kept: Any) -> Any:
    if get_origin(said) in {Union, types.UnionType}:
        return Union[tuple(_with(member, kept) for member in get_args(said))]  # noqa: UP007  # of as many as there are
    if get_origin(said) is list and get_origin(kept) is tuple:
        return list[_with(get_args(said)[0], get_args(kept)[0])]  # type: ignore[misc]  # made at run time
    return kept if said in {str, int, float} and said is _plain(kept) else said


def _plain(kept: Any) -> Any:
    """Return a type without its constraints."""
    if get_origin(kept) is Annotated:
        return get_args(kept)[0]
    return type(get_args(kept)[0]) if get_origin(kept) is Literal else kept


@cache
def _kept() -> Mapping[str, Any]:
    """Return the type of each field name of events, where all fields of that name have the same type."""
    found: dict[str, list[Any]] = {}
    models: list[type[BaseModel]] = [*event_types.all().values(), *_PARTS]
    for model in models:
        for name, kind in _fields(model):
            if kind not in (kinds := found.setdefault(name, [])):
                kinds.append(kind)
    return {**{name: kinds[0] for name, kinds in found.items() if len(kinds) == 1}, **_ELSEWHERE}


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, kind in get_type_hints(model, include_extras=True).items():
        if name not in model.model_fields:
            continue
        is_union = get_origin(kind) in {Union, types.UnionType}
        members = [member for member in get_args(kind) if member is not _NOTHING] if is_union else [kind]
        if len(members) == 1:
            yield name, members[0]
