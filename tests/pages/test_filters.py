"""The fields of a list's form come from the description of its question, and its addresses are those of HTTP."""

from typing import Any
from urllib.parse import parse_qsl

import pytest

from runfold.api.table import QUESTIONS
from runfold.errors import UsageError
from runfold.http.routes.questions import query_of
from runfold.pages.filters import Filters, filters_of, is_plain
from runfold.queries.lists.parameters import described_by, parameters_of
from runfold.queries.runs.list import RunFilters, RunParameters
from runfold.queries.threads.list import ThreadParameters

LISTS = [route for route in QUESTIONS if "cursor" in route.query and described_by(route.method)]
"""The questions that come in pages."""
VALUES = {
    "choice": lambda field: field.words[0],
    "several": lambda field: field.words[0],
    "flag": lambda _: "true",
    "time": lambda _: "2026-01-31T09:30:00Z",
    "number": lambda _: "3",
    "duration": lambda _: "90s",
    "text": lambda field: f"{field.name} {{x}} & ü",
}


def filled_in(described: type) -> Filters:
    """Every field with a value."""
    empty = filters_of(described, [])
    pairs = [(each.word, VALUES[each.control](each)) for each in empty.fields]
    pairs += [(each.operator.word, each.operator.words[0]) for each in empty.fields if each.operator]
    return filters_of(described, pairs)


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.name)
def test_what_a_form_says_http_takes_for_every_list(route: Any) -> None:
    described = described_by(route.method)
    assert described is not None
    filters = filled_in(described)
    narrowing = {*parameters_of(described)} - {"cursor", "order_by", "order", "limit", "min_position", "wait_seconds"}
    assert set(filters.asked()) == narrowing
    for word, text in filters.pairs():
        field = query_of(route).model_fields.get(word)
        assert field is not None or word in {route.narrowed, *route.path_names}, word
        if field is not None:
            values = [text] if "list[" in str(field.annotation) else text
            query_of(route).__pydantic_validator__.validate_assignment(query_of(route).model_construct(), word, values)


def test_a_duration_is_nanoseconds_in_the_address_and_a_length_on_the_page() -> None:
    filters = filters_of(RunFilters, [("duration_ns", "90s"), ("duration_operator", "gte")])
    assert filters.address() == "duration_ns=90000000000&duration_operator=gte"
    again = filters_of(RunFilters, parse_qsl(filters.address()))
    assert again.asked() == {"duration_ns": 90_000_000_000, "duration_operator": "gte"}
    assert [(chip.label, chip.value, chip.without) for chip in again.chips()] == [("duration", "≥ 90s", "")]


@pytest.mark.parametrize(
    ("given", "shown"),
    [("7200000000000", "2h"), ("90s", "90s"), ("1500000000", "1500ms"), ("120s", "120s"), ("1", "1"), ("0", "0"), ("x", "x")],
)
def test_a_length_is_shown_in_the_largest_unit_that_is_exact(given: str, shown: str) -> None:
    (field,) = (each for each in filters_of(RunFilters, [("duration_ns", given)]).fields if each.name == "duration_ns")
    assert field.given == (shown,)


def test_empty_fields_are_no_filters_and_leave_the_address() -> None:
    given = [("agent_id", "a"), ("agent_id", " "), ("status", ""), ("steps_operator", "gt"), ("at", "7")]
    filters = filters_of(RunFilters, given, ("at",))
    assert filters.asked() == {"agent_id": ["a"]}
    assert filters.address() == "agent_id=a&at=7"
    assert not is_plain(filters, given)
    assert is_plain(filters, [("at", "7"), ("agent_id", "a")])


def test_a_chip_leaves_out_its_value_alone_and_begins_the_list_anew() -> None:
    given = [("agent_id", "a"), ("agent_id", "b"), ("status", "failed"), ("cursor", "x"), ("row", "51"), ("at", "7")]
    chips = filters_of(RunParameters, given, ("at", "row")).chips()
    assert [(chip.value, chip.without) for chip in chips] == [
        ("a", "agent_id=b&status=failed&at=7"),
        ("b", "agent_id=a&status=failed&at=7"),
        ("failed", "agent_id=a&agent_id=b&at=7"),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("nobody", "x"), "unknown parameter 'nobody'"),
        (("from", "yesterday"), "from takes a time"),
        (("steps", "few"), "steps takes a whole number, not 'few'"),
        (("background", "maybe"), "background is true or false"),
        (("duration_ns", "long"), "duration takes a length such as"),
    ],
)
def test_what_is_no_filter_is_refused_by_its_name(given: tuple[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        filters_of(RunFilters, [given]).asked()


def test_a_day_is_counted_from_its_beginning_and_to_its_end() -> None:
    asked = filters_of(ThreadParameters, [("from", "2026-01-31"), ("to", "2026-01-31")]).asked()
    assert asked["active_from"].isoformat() == "2026-01-31T00:00:00+00:00"
    assert asked["active_to"].isoformat() == "2026-01-31T23:59:59.999999+00:00"
