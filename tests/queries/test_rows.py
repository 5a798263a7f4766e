"""Rows of any read model: by every type of column, with every value, in pages by keys of every type."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from runfold import Ledger
from runfold.errors import UsageError
from runfold.projections import columns
from runfold.projections.columns import columns_of
from runfold.queries.lists.column_values import NONE, TYPES, read_condition
from tests.databases import fresh_database
from tests.queries.every_column import NAME, SAID, WRONG, WRONG_TEXTS, EveryColumn, EveryRow, advised, as_text, matches

THREADS = 60


@pytest.fixture(scope="module")
def every(admin_url: str, template: str) -> Iterator[Ledger]:
    """A ledger with the read model, folded. Only to be read."""
    with fresh_database(admin_url, template, "every") as made, Ledger.open(settings=made.settings) as ledger:
        with ledger.batch() as batch:
            for number in range(1, THREADS + 1):
                batch.create_thread(thread_id=f"thread_{number}", agent_id="a")
        ledger.fold(NAME)
        yield ledger


@pytest.fixture(scope="module")
def whole(every: Ledger) -> list[EveryRow]:
    """All its rows, in the order of their keys."""
    return every_page(every, 1000)


def every_page(ledger: Ledger, limit: int, where: dict[str, Any] | None = None, **asked: Any) -> list[EveryRow]:
    """The whole list, page by page."""
    found: list[EveryRow] = []
    cursor = None
    while True:
        page = ledger.now.rows(NAME, where, limit=limit, cursor=cursor, **asked)
        assert len(page.items) == limit or page.next_cursor is None
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found


def key(row: EveryRow) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in EveryColumn.key)


def test_the_read_model_has_every_type_of_column() -> None:
    assert (
        {column.type for column in columns_of(EveryRow)} == {*columns._TYPES.values(), *columns._ARRAYS.values()} == TYPES.keys()
    )
    assert SAID.keys() == set(EveryRow.model_fields)


def test_all_rows_come_in_the_order_of_their_keys(whole: list[EveryRow]) -> None:
    assert len(whole) == THREADS
    assert [key(row) for row in whole] == sorted(map(key, whole))


@pytest.mark.parametrize("limit", [1, 2, 7])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_any_length_are_the_whole_list_once_both_ways(
    every: Ledger, whole: list[EveryRow], limit: int, order: str
) -> None:
    assert every_page(every, limit, order=order) == (whole if order == "asc" else whole[::-1])


@pytest.mark.parametrize("name", SAID)
def test_a_column_finds_the_rows_that_python_finds(every: Ledger, whole: list[EveryRow], name: str) -> None:
    for asked in SAID[name]:
        due = [row for row in whole if matches(row, name, asked)]
        assert every_page(every, 1000, {name: asked}) == due, asked
        if len(due) < 15:
            assert every_page(every, 2, {name: asked}) == due, asked
    several = SAID[name][:3]
    due = [row for row in whole if any(matches(row, name, asked) for asked in several)]
    assert every_page(every, 5, {name: several}) == due


def test_what_is_in_use_is_asked_for(whole: list[EveryRow]) -> None:
    for name, values in SAID.items():
        assert any(matches(row, name, asked) for row in whole for asked in values), name


@pytest.mark.parametrize("name", WRONG)
def test_what_a_column_cannot_hold_is_refused_with_what_it_takes(every: Ledger, name: str) -> None:
    for asked in WRONG[name]:
        with pytest.raises(UsageError) as refused:
            every.now.rows(NAME, {name: asked})
        assert str(refused.value).startswith(f"{name} takes "), asked
        assert refused.value.facts["name"] == name


@pytest.mark.parametrize("name", SAID)
def test_a_value_as_text_is_the_value(name: str) -> None:
    (column,) = (each for each in columns_of(EveryRow) if each.name == name)
    for asked in SAID[name]:
        if asked == NONE and column.nullable:
            continue
        assert read_condition(EveryColumn(), f"{name}={as_text(asked)}") == (name, asked)


@pytest.mark.parametrize("name", WRONG_TEXTS)
def test_a_text_that_is_no_value_is_refused_and_the_example_in_the_refusal_is_taken(every: Ledger, name: str) -> None:
    for text in WRONG_TEXTS[name]:
        with pytest.raises(UsageError) as refused:
            every.now.rows(NAME, dict([read_condition(EveryColumn(), f"{name}={text}")]))
        said = str(refused.value)
        assert said.startswith(f"{name} takes ")
        for example in advised(said):
            every.now.rows(NAME, dict([read_condition(EveryColumn(), f"{name}={example}")]))


@pytest.mark.parametrize("text", ["name", "", "=", "=x", "nobody=x", "position=1", "tenant_id=x"])
def test_a_condition_on_no_column_says_which_there_are(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_condition(EveryColumn(), text)
    assert "COLUMN=VALUE" in str(refused.value) or "expected one of status, day" in str(refused.value)


def test_columns_are_asked_for_by_name_too(every: Ledger, whole: list[EveryRow]) -> None:
    due = [row for row in whole if row.status == "open" and row.name == "refund"]
    assert list(every.now.rows(NAME, status="open", name="refund").items) == due
    assert list(every.now.rows(NAME, {"name": "refund"}, status=["open"]).items) == due
    assert get_args(EveryRow.model_fields["status"].annotation) == ("open", "done")
