"""Tables and data frames of answers, held against the answers."""

import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from runfold.queries.page import Page
from runfold.queries.usage.report import UsageReport
from tests.extras import require_analytics


def require_frame(answer: Page[Any] | UsageReport) -> None:
    """Require that a table says all that the items say, with types, and the data frame what the table says."""
    require_analytics()
    table, frame = answer.to_arrow(), answer.to_pandas()
    assert len(frame) == table.num_rows == len(answer.items)
    assert list(frame.columns) == table.column_names
    assert frame.attrs == {"position": str(answer.standing.position), "head": str(answer.standing.head)}
    for name in table.column_names:
        values = [getattr(item, name) for item in answer.items]
        for shown, value in zip(table[name].to_pylist(), values, strict=True):
            assert is_same(shown, value), (name, shown, value)
        assert frame[name].isna().tolist() == [value is None for value in values], name
        _require_type(frame[name].dtype, [value for value in values if value is not None])


def _require_type(dtype: Any, values: list[Any]) -> None:
    kinds = {type(value) for value in values}
    wanted = {bool: "boolean", int: "Int64", float: "Float64"}
    if kinds == {datetime}:
        assert str(dtype) == "datetime64[us, UTC]"
    elif len(kinds) == 1 and (kind := next(iter(kinds))) in wanted:
        assert str(dtype) in {wanted[kind], "object", "string"}, (dtype, kind)


def is_same(shown: Any, value: Any) -> bool:
    """Return whether a table shows a value, whole and in its type."""
    if value is None:
        return shown is None
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return list(shown) == list(fields) and all(is_same(shown[name], getattr(value, name)) for name in fields)
    if isinstance(value, tuple | list) and isinstance(shown, list):
        return len(shown) == len(value) and all(map(is_same, shown, value))
    if type(shown) is type(value) and shown == value:
        return True
    return isinstance(shown, str) and bool(json.loads(shown) == to_jsonable_python(value))
