"""The rows that a ledger's events lead to."""

from typing import TypeVar

from runfold import Ledger
from runfold.projections.fold import fold_all
from runfold.projections.projection import Key, Projection, Row

R = TypeVar("R", bound=Row)


def rows_of(projection: Projection[R], ledger: Ledger) -> dict[Key, R]:
    """By key, without the tenant. Each row is one that its table would take, and under its own key."""
    found: dict[Key, R] = {}
    for (_, *key), standing in fold_all(projection, ledger.recorder.reader.events()).items():
        row = standing.row
        assert isinstance(row, projection.row)
        assert projection.row.model_validate(row.__dict__) == row
        assert [getattr(row, name) for name in projection.key] == key
        found[tuple(key)] = row
    return found
