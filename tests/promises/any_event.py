"""Any event of a class, made from the types and limits of its fields."""

import types
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runfold.domain.usage import Tokens

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
AMOUNTS = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=6).map(lambda amount: amount.normalize())


def any_of(model: type[BaseModel], *, bare: bool = False) -> st.SearchStrategy[Any]:
    """Any valid object of a model; `bare` leaves out every field that may be left out."""
    if model is Tokens:
        return _tokens()
    needed = {name: _field(info) for name, info in model.model_fields.items() if info.is_required()}
    other = {} if bare else {name: _field(info) for name, info in model.model_fields.items() if not info.is_required()}
    return st.fixed_dictionaries(needed, optional=other).map(lambda fields: model(**fields))


def _tokens() -> st.SearchStrategy[Tokens]:
    """Counts whose parts fit in their total."""
    counts = st.none() | st.integers(0, 2**40)

    def fitting(given: tuple[int | None, int | None, int | None, bool]) -> Tokens:
        tokens_in, out, cached, with_total = given
        total = (tokens_in or 0) + (out or 0) if with_total else None
        return Tokens(
            input_tokens=tokens_in,
            output_tokens=out,
            total_tokens=total,
            cache_read_input_tokens=cached,
            reasoning_output_tokens=out,
        )

    return st.tuples(counts, counts, counts, st.booleans()).map(fitting)


def _field(info: FieldInfo) -> st.SearchStrategy[Any]:
    return _value(info.annotation, tuple(info.metadata))


def _value(kind: Any, limits: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    inner = get_args(kind)
    origin = get_origin(kind)
    if origin in {types.UnionType, Union}:
        return st.one_of(*map(_value, inner))
    if origin is Annotated:
        return _value(inner[0], (*limits, *inner[1:]))
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        return st.lists(_value(inner[0]), min_size=_limit(limits).get("min_length", 0), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, JSON, max_size=3)
    return any_of(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else _plain(kind, _limit(limits))


def _plain(kind: Any, limit: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind is str and "pattern" in limit:
        return _matching(limit["pattern"]).filter(lambda text: len(text) <= limit.get("max_length", 10_000))
    return {
        str: TEXT.filter(lambda text: len(text) >= limit.get("min_length", 0)),
        int: st.integers(limit.get("ge", -(2**63)), limit.get("lt", 2**63) - 1),
        float: st.floats(limit.get("ge"), limit.get("le"), allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        Decimal: AMOUNTS,
        datetime: st.datetimes(timezones=st.just(UTC)),
        type(None): st.none(),
        Any: JSON,
    }[kind]


@cache
def _matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern.removeprefix("^").removesuffix("$"), fullmatch=True)


def _limit(metadata: tuple[Any, ...]) -> dict[str, Any]:
    """The limits among the metadata of a type, the narrower where there are two."""
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found |= _limit(tuple(item.metadata))
        for name in ("pattern", "ge", "le", "lt", "min_length", "max_length"):
            value = getattr(item, name, None)
            if value is not None and not isinstance(item, FieldInfo):
                found[name] = max(found.get(name, value), value) if name in {"ge", "min_length"} else value
    return found
