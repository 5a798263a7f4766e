"""The parameters of lists are described once, and every way to ask has all of them."""

import inspect
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypedDict, get_args, get_type_hints, is_typeddict

import pytest

from runfold.api.table import QUESTIONS
from runfold.api.words import word_of
from runfold.cli.calling.lists import NO_OPTIONS, list_options
from runfold.errors import UsageError
from runfold.http.routes.questions import query_of
from runfold.queries.lists.paging import OverThreads, Waiting
from runfold.queries.lists.parameters import ListParameter, Parameter, at_least, checked, column, narrowed, parameters_of
from runfold.queries.lists.where import OneOrMore
from runfold.queries.reading import Reading
from tests.questions import REQUIRED


def _described(question: str) -> type | None:
    """The description of a question's parameters."""
    hints = get_type_hints(inspect.unwrap(getattr(Reading, question)), include_extras=True)
    found = next((get_args(hint)[0] for hint in hints.values() if get_args(hint) and is_typeddict(get_args(hint)[0])), None)
    return None if found in {Waiting, OverThreads} else found


LISTS: Mapping[str, type] = {
    name: described
    for name, _ in inspect.getmembers(Reading, inspect.isfunction)
    if not name.startswith("_") and (described := _described(name)) is not None
}


class Toys(TypedDict, total=False):
    """A list that there is not."""

    owner_id: Annotated[OneOrMore | None, column("Only toys of this owner.")]
    colour: Annotated[OneOrMore | None, column("Only toys of this colour.", ("red", "blue"), aliases={"rot": "red"})]
    made_from: Annotated[datetime | None, at_least("made_at", "Only toys made then or later.")]
    older_than: Annotated[str | timedelta | None, Parameter("Only toys at least so old.")]
    is_broken: Annotated[bool | None, column("Only broken toys, or only whole ones.")]


def test_there_are_lists() -> None:
    assert {
        "threads",
        "runs",
        "tool_calls",
        "decisions",
        "problems",
        "approvals",
        "failures",
        "attention",
        "goals",
    } <= LISTS.keys()
    assert "usage" in LISTS


CLOCKS = {"at", "happened_at"}
"""What is asked of every question, and not of its list."""


@pytest.mark.parametrize("name", LISTS)
def test_every_parameter_says_in_sentences_what_it_is_for(name: str) -> None:
    for parameter in parameters_of(LISTS[name]).values():
        assert parameter.help[:1].isupper(), parameter
        assert parameter.help.endswith("."), parameter


@pytest.mark.parametrize("name", LISTS)
def test_http_and_the_command_line_take_all_that_python_takes(name: str) -> None:
    described = parameters_of(LISTS[name])
    routes = [route for route in QUESTIONS if route.method is getattr(Reading, name)]
    assert routes
    for route in routes:
        fields = query_of(route).model_fields
        offered = {field.alias or key: field for key, field in fields.items()}
        asked = {
            word_of(key): parameter.help for key, parameter in described.items() if key not in {*route.path_names, route.narrowed}
        }
        beside = CLOCKS | REQUIRED.get(route.name, {}).keys()
        assert offered.keys() == asked.keys() | beside
        assert {key: field.description for key, field in offered.items() if key not in beside} == asked
    options = {option.name for option in list_options(name)}
    operators = {key for key in described if key.endswith("_operator")}
    assert options == described.keys() - operators - NO_OPTIONS.keys()


def test_a_description_and_its_type_say_together_what_may_be_given() -> None:
    owner, colour, _, older, broken = parameters_of(Toys).values()
    assert (owner.kind, owner.is_repeatable, owner.compares) == (str, True, ("=", ""))
    assert (colour.words, colour.aliases) == (("red", "blue"), {"rot": "red"})
    assert (older.kind, older.is_repeatable, broken.kind) == (timedelta, False, bool)
    assert all(isinstance(each, ListParameter) for each in (owner, colour, older, broken))


def test_what_stands_for_a_column_narrows_by_it() -> None:
    asked = {"owner_id": "ada", "colour": ["rot", "blue"], "made_from": datetime(2026, 1, 1, tzinfo=UTC), "older_than": "90s"}
    wanted = checked(asked, Toys)
    assert wanted["older_than"] == timedelta(seconds=90)
    where = narrowed(wanted, Toys)
    assert where.equal == {"owner_id": ("ada",), "colour": ("red", "blue")}
    assert where.bounds == {("made_at", ">="): asked["made_from"]}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"owner": "ada"}, "unknown parameter 'owner'; expected one of colour, is_broken, made_from, older_than, owner_id"),
        ({"colour": "green"}, "unknown colour 'green'; expected one of red, blue"),
        ({"owner_id": 7}, "owner_id takes text, not 7"),
        ({"is_broken": "yes"}, "is_broken is true or false, not 'yes'"),
        ({"made_from": datetime(2026, 1, 1)}, "made_from takes a time with its zone"),
    ],
)
def test_what_no_parameter_takes_is_refused_with_what_is_expected(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked(asked, Toys)
    assert said in str(refused.value)


def test_a_parameter_without_a_description_is_no_parameter() -> None:
    class Silent(TypedDict, total=False):
        owner_id: OneOrMore | None

    with pytest.raises(TypeError, match="owner_id has no description"):
        parameters_of(Silent)
