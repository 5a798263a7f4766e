"""A row's fields → the columns of its table: name, PostgreSQL type, nullable or not, comment."""

import types
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from runfold.projections.projection import Row

_TYPES: dict[Any, str] = {
    str: "text",
    int: "bigint",
    bool: "boolean",
    float: "double precision",
    Decimal: "numeric",
    datetime: "timestamptz",
    date: "date",
    dict: "jsonb",
}
_ARRAYS = {"text": "text[]", "bigint": "bigint[]"}


class Column(NamedTuple):
    """One column of a read model's table."""

    name: str
    type: str
    nullable: bool
    comment: str


def columns_of(row: type[Row]) -> tuple[Column, ...]:
    """The columns of a row, in the order of its fields. Raises TypeError for a field that no column can hold."""
    return _columns_of(row)


@cache
def _columns_of(row: type[Row]) -> tuple[Column, ...]:
    found = []
    for name, field in row.model_fields.items():
        nullable, kind = _without_none(field.annotation)
        sql_type = _type_of(kind)
        if sql_type is None:
            raise TypeError(
                f"{row.__name__}.{name} is {kind!r}, for which there is no column type; use str, int, bool, float, Decimal, "
                "datetime, date, tuple[str, ...], tuple[int, ...], dict or a Literal of strings"
            )
        found.append(Column(name, sql_type, nullable, field.description or ""))
    return tuple(found)


def _without_none(annotation: Any) -> tuple[bool, Any]:
    if get_origin(annotation) in {Union, types.UnionType}:
        others = [kind for kind in get_args(annotation) if kind is not type(None)]
        if len(others) == 1 and len(others) < len(get_args(annotation)):
            return True, others[0]
    return False, annotation


def _type_of(kind: Any) -> str | None:
    if get_origin(kind) is Literal:
        return "text" if all(isinstance(value, str) for value in get_args(kind)) else None
    if get_origin(kind) is dict:
        return "jsonb"
    if get_origin(kind) is tuple:
        members = get_args(kind)
        if len(members) == 2 and members[1] is ...:
            return _ARRAYS.get(_type_of(members[0]) or "")
        return None
    return _TYPES.get(kind) if isinstance(kind, type) else None
