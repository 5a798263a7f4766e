"""Answers as tables of Apache Arrow and as data frames of pandas: a column for each field, of the type that the field has.

Times are in UTC, amounts are decimals, and a whole number may be missing. What has no type of its own in a table, such as
JSON, is JSON text. Both libraries come with the extra `analytics`.
"""

import types
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import to_json, to_jsonable_python

from runfold.errors import UsageError

if TYPE_CHECKING:
    import pandas
    import pyarrow

_DIGITS, _PLACES = 38, 18
"""Of decimals; what has more has as many as Arrow takes."""
_PLAIN = frozenset({str, bool, int, float, Decimal, datetime, date})
_WIDE_DIGITS, _WIDE_PLACES = 76, 38


def arrow_table(
    items: Sequence[Any], kind: type[BaseModel] | None, about: Mapping[str, str], without: frozenset[str] = frozenset()
) -> "pyarrow.Table":
    """Return a table of items of a kind, with a column for each field but some, and what is said about all of them.

    Where the kind is not known, items are JSON objects, and their columns are as Arrow finds them. Raises UsageError.
    """
    arrow = _library("pyarrow")
    if kind is None:
        table = arrow.Table.from_pylist([_plain(item) for item in items])
    else:
        columns = {name: field.annotation for name, field in kind.model_fields.items() if name not in without}
        arrays = {name: _array(arrow, name, [getattr(item, name) for item in items], said) for name, said in columns.items()}
        table = arrow.table(arrays)
    return table.replace_schema_metadata(dict(about))


def data_frame(table: "pyarrow.Table") -> "pandas.DataFrame":
    """Return the same as a data frame, whose types know what is missing. Raises UsageError."""
    pandas = _library("pandas")
    arrow = _library("pyarrow")
    kinds = {arrow.int64(): pandas.Int64Dtype(), arrow.bool_(): pandas.BooleanDtype(), arrow.string(): pandas.StringDtype()}
    kinds |= {arrow.float64(): pandas.Float64Dtype()}
    frame = table.to_pandas(types_mapper=kinds.get)
    frame.attrs = {name.decode(): said.decode() for name, said in (table.schema.metadata or {}).items()}
    return frame


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(f"data frames need {name}, which is not installed; run `pip install 'runfold[analytics]'`") from None


def _array(arrow: Any, name: str, values: Sequence[Any], said: Any) -> Any:
    kind = _kind(arrow, said)
    found = [_value(value, said) for value in values]
    try:
        return arrow.array(found, type=kind)
    except (arrow.ArrowInvalid, OverflowError):  # a number with more digits than are usual
        places = 0 if kind == arrow.int64() else _WIDE_PLACES
        numbers = [None if value is None else Decimal(value) for value in found]
    for number in numbers:
        if number is not None and not _fits(number, places):
            fact = f"the column {name} holds {number}, more digits than Arrow has room for"
            raise UsageError(f"{fact}; take `items`, which keep all of them", column=name)
    return arrow.array(numbers, type=arrow.decimal256(_WIDE_DIGITS, places))


def _fits(number: Decimal, places: int) -> bool:
    """Return whether the widest decimal takes a number with so many places."""
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and -exponent <= places and number.adjusted() < _WIDE_DIGITS - places


def _kind(arrow: Any, said: Any) -> Any:
    """Return the type of a column for what an annotation says."""
    said = _without_none(said)
    if said in _PLAIN:
        return {
            str: arrow.string(),
            bool: arrow.bool_(),
            int: arrow.int64(),
            float: arrow.float64(),
            Decimal: arrow.decimal128(_DIGITS, _PLACES),
            datetime: arrow.timestamp("us", tz="UTC"),
            date: arrow.date32(),
        }[said]
    if (member := _member(said)) is not None:
        return arrow.list_(_kind(arrow, member))
    if _is_model(said):
        return arrow.struct([(name, _kind(arrow, field.annotation)) for name, field in said.model_fields.items()])
    return arrow.string()


def _value(value: Any, said: Any) -> Any:
    """Return a value as a column takes it that is for what an annotation says."""
    said = _without_none(said)
    if value is None or said in _PLAIN:
        return value
    if (member := _member(said)) is not None:
        return [_value(each, member) for each in value]
    if _is_model(said):
        return {name: _value(getattr(value, name), field.annotation) for name, field in said.model_fields.items()}
    return to_json(value).decode()


def _without_none(said: Any) -> Any:
    """Return what an annotation says of values that are there; of words to choose from that they are text."""
    while get_origin(said) is Annotated:
        said = get_args(said)[0]
    if get_origin(said) is Literal and all(isinstance(word, str) for word in get_args(said)):
        return str
    if get_origin(said) in {Union, types.UnionType}:
        others = {each: None for each in map(_without_none, get_args(said)) if each is not type(None)}
        return next(iter(others)) if len(others) == 1 else Any
    return said


def _member(said: Any) -> Any:
    """Return what an annotation says of each value of an array; None where it is of no array."""
    members = get_args(said)
    is_array = (get_origin(said) is tuple and members[1:] == (...,)) or get_origin(said) is list
    return members[0] if is_array else None


def _is_model(said: Any) -> bool:
    return isinstance(said, type) and issubclass(said, BaseModel)


def _plain(item: Any) -> dict[str, Any]:
    """Return a JSON object whose members are no objects."""
    found = item if isinstance(item, dict) else to_jsonable_python(item)
    return {name: to_json(value).decode() if isinstance(value, dict) else value for name, value in found.items()}
