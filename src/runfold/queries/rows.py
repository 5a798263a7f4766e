"""Rows of any read model, by its key: for those that have no questions of their own, such as a user's."""

from collections.abc import Mapping
from typing import Annotated, Any

from runfold.errors import UsageError
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import chosen
from runfold.projections.registry import known as registered
from runfold.queries.lists.column_values import column_named, narrow
from runfold.queries.lists.paging import Direction, Listing, Paging, direction, limit
from runfold.queries.lists.parameters import checked, parameters_of
from runfold.queries.lists.where import Where
from runfold.queries.page import Page
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource
from runfold.store.reading.reader import LATEST


class RowParameters(Paging, total=False):
    """How much of a read model, and which way round. By which of its columns it is narrowed is said beside this."""

    order: Annotated[Direction | None, direction("asc")]
    limit: Annotated[int | None, limit(100)]


@question
def rows(source: LocalSource, read_model: str, where: Mapping[str, Any] | None = None, /, **asked: Any) -> Page[Any]:
    """A page of any read model's rows, as its own class, by name or as module:Class, in the order of their keys.

    `where` are columns, each with a value, or with several of which any will do; an array has any of them as an item, and None
    stands for rows that have none. A column may be named as an argument too, unless it is called as one of `order`, `limit`,
    `cursor`, `min_position`, `wait_seconds` and `include_superseded`.
    Raises ProjectionNotFound, InvalidProjection, UsageError, ReadModelBehind.
    """
    (projection,) = chosen([read_model]).values()
    known = parameters_of(RowParameters)
    wanted = checked({each: value for each, value in asked.items() if each in known}, RowParameters)
    columns = {**{each: value for each, value in asked.items() if each not in known}, **(where or {})}
    conditions = _where(projection, columns)
    named = {each: value for each, value in columns.items() if each not in known}
    if source.up_to != LATEST and projection.name not in registered():
        raise UsageError(
            f"{read_model} is a projection of your own, and questions about the past fold those that are installed; make a schema"
            f" of it with `runfold rebuild {read_model} --at {source.up_to} --into NAME`, and ask that in SQL",
            name=read_model,
        )
    with source.snapshot(projection.name, asked={**named, **wanted}, own=projection) as snapshot:
        return Listing(projection, RowParameters, {"key": ()}).page(snapshot, conditions, wanted)


def _where(projection: AnyProjection, asked: Mapping[str, Any]) -> Where:
    where = Where()
    for name, value in asked.items():
        narrow(where, column_named(projection, name), value)
    return where
