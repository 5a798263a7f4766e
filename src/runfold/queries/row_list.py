"""Rows of any read model, by its key: for those that have no questions of their own, such as a user's."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from runfold.errors import UsageError
from runfold.projections.columns import columns_of
from runfold.projections.projection import Projection, R
from runfold.queries.paging import Listing
from runfold.queries.read_models import Page, Snapshot
from runfold.queries.where import Where

_KINDS: dict[str, type] = {"text": str, "bigint": int, "boolean": bool, "date": date}
"""What columns can be asked for by."""


def row_list(snapshot: Snapshot, projection: Projection[R], equal: Mapping[str, Any], limit: int, cursor: str | None) -> Page[R]:
    """A page of rows whose columns have these values, in the order of their keys. Raises UsageError."""
    columns = {column.name: _KINDS.get(column.type) for column in columns_of(projection.row)}
    where = Where()
    for name, value in equal.items():
        kind = columns.get(name)
        if kind is None:
            known = ", ".join(name for name, kind in columns.items() if kind)
            raise UsageError(f"{projection.name} cannot be asked for by {name!r}; it can by {known}", name=name)
        if type(value) is not kind:
            raise UsageError(f"{name} takes {kind.__name__}, not {value!r}", name=name)
        where.one_of(name, (value,))
    asked = {"limit": limit, "cursor": cursor}
    return Listing(projection, {"key": ()}).page(snapshot, where, asked, order_by="key", order="asc")
