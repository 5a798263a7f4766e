"""A row before its first event: what its class makes of the key, however quickly."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from runfold.projections.projection import Key, Projection, Row
from runfold.projections.registry import known


class Plain(Row):
    name: str
    number: int
    texts: tuple[str, ...] = ()


class Bounded(Row):
    name: str
    number: Annotated[int, Field(ge=0)]


class Either(Row):
    name: Literal["a", "b"]
    number: int


class Checked(Row):
    name: str
    number: int

    @field_validator("number")
    @classmethod
    def _is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("is odd")
        return number


class Counting(Row):
    name: str
    number: int
    counts: dict[str, int] = Field(default_factory=dict)


class Shortened(Row, str_to_lower=True):
    name: str
    number: int


ROWS = (Plain, Bounded, Either, Checked, Counting, Shortened)
VALUES = st.one_of(st.text(max_size=3), st.integers(-3, 3), st.booleans(), st.none(), st.floats(0, 3), st.binary(max_size=2))


def _answer(make: Callable[[], Row]) -> Any:
    try:
        return make().__dict__
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False)


@pytest.mark.shares
@pytest.mark.parametrize("row", ROWS)
@given(key=st.tuples(VALUES, VALUES) | st.tuples(st.sampled_from("aAbB"), st.integers(-3, 3)))
def test_a_row_begins_as_its_class_makes_it_or_is_refused_alike(row: type[Row], key: Key) -> None:
    class Keyed(Projection[Any]):
        name = "keyed"
        key = ("name", "number")

    Keyed.row = row
    names = dict(zip(Keyed.key, key, strict=True))
    assert _answer(lambda: Keyed().initial(key)) == _answer(lambda: row(**names))


@pytest.mark.shares
def test_no_two_rows_share_what_is_made_for_each() -> None:
    class Keyed(Projection[Counting]):
        name, row, key = "keyed", Counting, ("name", "number")

    assert Keyed().initial(("a", 1)).counts is not Keyed().initial(("b", 1)).counts


@pytest.mark.shares
@pytest.mark.parametrize("name", known())
def test_the_rows_of_our_projections_begin_as_their_classes_make_them(name: str) -> None:
    projection = known()[name]
    key = tuple(1 if projection.row.model_fields[each].annotation is int else "message" for each in projection.key)
    assert projection.initial(key) == projection.row(**dict(zip(projection.key, key, strict=True)))
