"""Rows of any read model, by its key: for those that have no questions of their own, such as a user's."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from runfold.errors import UsageError
from runfold.projections.columns import columns_of
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import chosen
from runfold.queries.page import Page
from runfold.queries.paging import Listing, Paging, limit
from runfold.queries.parameters import checked, parameters_of
from runfold.queries.source import LocalSource, question
from runfold.queries.where import Where

_KINDS: dict[str, type] = {"text": str, "bigint": int, "boolean": bool, "date": date}
"""What columns can be asked for by."""


class RowParameters(Paging, total=False):
    """How much of a read model. By which of its columns it is narrowed is said beside this."""

    limit: Annotated[int | None, limit(100)]


@question
def rows(source: LocalSource, /, name: str, **asked: Any) -> Page[Any]:
    """A page of any read model's rows, as its own class, by name or as module:Class, in the order of their keys.

    What is asked beside `limit`, `cursor`, `min_position` and `wait_seconds` are columns and their values.
    Raises ProjectionNotFound, InvalidProjection, UsageError, ReadModelBehind.
    """
    (projection,) = chosen([name]).values()
    known = parameters_of(RowParameters)
    wanted = checked({each: value for each, value in asked.items() if each in known}, RowParameters)
    where = _where(projection, {each: value for each, value in asked.items() if each not in known})
    with source.snapshot(projection.name, asked={**asked, **wanted}) as snapshot:
        return Listing(projection, RowParameters, {"key": ()}).page(snapshot, where, wanted)


def _where(projection: AnyProjection, equal: Mapping[str, Any]) -> Where:
    columns = {column.name: _KINDS.get(column.type) for column in columns_of(projection.row)}
    where = Where()
    for name, value in equal.items():
        kind = columns.get(name)
        if kind is None:
            known = ", ".join(name for name, kind in columns.items() if kind)
            raise UsageError(f"unknown column {name!r} of {projection.name}; expected one of {known}", name=name)
        if type(value) is not kind:
            raise UsageError(f"{name} takes {kind.__name__}, not {value!r}", name=name)
        where.one_of(name, (value,))
    return where
