"""The columns of totals: which of them rows are grouped by, and which are added up."""

from runfold.projections.columns import Column, columns_of
from runfold.projections.projection import Totals


def columns_of_totals(totals: Totals) -> tuple[Column, ...]:
    """Its columns without the tenant."""
    return tuple(column for column in columns_of(totals.row) if column.name not in totals.without)


def is_sum(column: Column) -> bool:
    """Return whether a column is added up: numbers that are never null are, by the others rows are grouped."""
    return column.type in {"bigint", "numeric"} and not column.nullable


def grouped_by(totals: Totals) -> tuple[str, ...]:
    """What its rows are grouped by, beside the tenant."""
    return tuple(column.name for column in columns_of_totals(totals) if not is_sum(column))
