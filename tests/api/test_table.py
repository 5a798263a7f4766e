"""The table of commands and questions: every name is public and stable, and leads to one thing."""

import re
from dataclasses import replace

import pytest

from runfold.api.former_names import FORMER_NAMES
from runfold.api.route import CommandRoute, QuestionRoute
from runfold.api.table import COMMANDS, DEPRECATED_QUESTIONS, QUESTIONS
from runfold.handles.calling.handle import Handle
from runfold.handles.message import Message
from runfold.handles.run import Run

ROUTES = (*COMMANDS, *QUESTIONS, *DEPRECATED_QUESTIONS)
NAME = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
"""The noun of the path, and a verb."""


def test_names_are_a_noun_and_a_verb_and_no_two_are_the_same() -> None:
    names = [route.name for route in ROUTES]
    assert [name for name in names if not NAME.fullmatch(name)] == []
    assert len(names) == len(set(names))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_noun_of_a_name_is_one_of_its_path(route: CommandRoute | QuestionRoute) -> None:
    words = [part.replace("-", "_") for part in route.path.split("/") if part and not part.startswith("{")]
    assert route.name.partition(".")[0] in words


@pytest.mark.parametrize("route", COMMANDS, ids=lambda route: route.name)
def test_the_ids_that_lead_to_the_handle_of_a_command_are_in_its_path(route: CommandRoute) -> None:
    assert issubclass(route.kind, Handle)
    assert set(route.handle_ids) <= set(route.path_names)
    assert set(route.path_names) - set(route.handle_ids) <= set(route.fields)


def test_a_command_of_no_known_kind_of_handle_is_an_error() -> None:
    def stray(_: Handle) -> None:
        """Nobody's."""

    with pytest.raises(LookupError, match=r"runs\.cancel is a command of no kind of handle"):
        _ = replace(COMMANDS[0], name="runs.cancel", method=stray).kind
    by_name = {route.name: route for route in COMMANDS}
    assert (by_name["runs.cancel"].kind, by_name["messages.seal"].kind) == (Run, Message)


def test_a_question_is_served_at_its_former_path_too_and_said_to_be_deprecated_there() -> None:
    route = replace(QUESTIONS[0], deprecated_path="/former")
    former = route.at_deprecated_path()
    assert former is not None
    assert (former.name, former.path, former.is_deprecated) == (f"{route.name}_deprecated", "/former", True)
    assert (former.method, former.scope, former.deprecated_path) == (route.method, route.scope, None)
    assert replace(route, deprecated_path=None).at_deprecated_path() is None


def test_every_former_name_leads_to_a_command_of_its_own() -> None:
    assert {*FORMER_NAMES.values()} <= {route.name for route in COMMANDS}
    assert len({*FORMER_NAMES.values()}) == len(FORMER_NAMES) == 57
    assert not FORMER_NAMES.keys() & {route.name for route in ROUTES}
