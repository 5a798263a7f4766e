"""Lists: their options are those of the one description that the SDK and HTTP use, with their help."""

import json
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from runfold import Ledger
from runfold.api.route import MISSING
from runfold.api.table import QUESTIONS
from runfold.api.words import WORDS, word_of
from runfold.cli.app import plain_list, program
from runfold.cli.calling.call import Call
from runfold.cli.calling.lists import NO_OPTIONS, SHORT, described, list_options
from runfold.cli.commands import COMMANDS
from runfold.demo_story import Cast
from runfold.queries.lists.parameters import ListParameter
from tests.cli.conftest import Command

OPENAPI = json.loads((Path(__file__).parents[3] / "schemas" / "openapi.json").read_text(encoding="utf-8"))
LISTS = {command.question: command.name for command in COMMANDS if command.question}
COUNTED = {"count_runs": ("runs", "--count")}
"""Lists that are only counted, by an option of their command."""
ROUTES = {
    route.method.__name__: route
    for route in QUESTIONS
    if not route.path_names and not route.log and route.method.__name__ not in COUNTED
}
"""Lists of read models, which come in pages."""
WHOLE = {route.path[1:]: route for route in QUESTIONS if not route.path_names and route.log}
"""Lists from the log: all there is at once, with no read model that could be behind, and so without options of pages."""
NOT_OF_THE_DESCRIPTION = {"at": "--at", "happened_at": "--happened-at"}
"""What HTTP takes beside the description of every list, and the option that says the same."""

OF_VERSION_0_1 = {
    "runs": "agent status active background foreground stop-reason thread run parent goal node user workflow tool steps duration "
    "percentile from to order-by order limit cursor fold",
    "threads": "limit before at",
    "approvals": "open status thread run agent user action requested-by decided-by older-than expires-before order-by order "
    "limit cursor fold",
    "problems": "open severity run goal thread agent order-by order limit cursor fold",
    "usage": "by run scope thread agent user goal model provider node since until fold",
    "attention": "reason status goal agent thread user limit cursor fold",
    "failures": "goal agent thread limit cursor fold",
    "goals": "limit cursor fold",
}


_whole_program = cache(program)


def options(name: str) -> dict[str, Any]:
    """The options of a command by what is typed."""
    command = _whole_program()
    for word in name.split():
        command = command.commands[word]
    found = command.get_params(typer.Context(command))
    return {typed: option for option in found for typed in (*option.opts, *option.secondary_opts)}


def sample(parameter: ListParameter) -> Any:
    """A value as Typer gives it."""
    if parameter.kind is bool:
        return True
    if parameter.is_repeatable:
        return [*parameter.words[:2]] or ["x"]
    texts = {datetime: "2026-01-31T09:30:00Z", date: "2026-01-31", timedelta: "90s", int: 3, float: 0.5}
    return texts.get(parameter.kind, parameter.words[0] if parameter.words else "x")


def said(question: str) -> set[str]:
    """The arguments of the SDK that the options of a list can say."""
    known, found = described(question), set()
    for option in list_options(question):
        parameter = known[option.name]
        values = [sample(parameter)]
        if "OP" in str(option.declared.annotation.__metadata__[0].metavar):
            values = ["lt:90s" if parameter.name.endswith("_ns") else "lt:3"]
        for value in values:
            found |= option.said(Call(), value).keys()
    return found


def test_every_list_of_the_table_has_a_command_and_every_command_of_a_list_its_route() -> None:
    assert LISTS.keys() == ROUTES.keys()
    assert {f"{name} list" for name in WHOLE} <= {command.name for command in COMMANDS}
    assert all(option in options(command) for command, option in COUNTED.values())


@pytest.mark.parametrize("question", LISTS)
def test_the_options_of_a_list_are_its_description_the_query_over_http_and_the_arguments_of_the_sdk(question: str) -> None:
    of_sdk = {name for name in ROUTES[question].fields if name in described(question)} | {"min_position", "wait_seconds"}
    (operation,) = [
        each for path in OPENAPI["paths"].values() for each in path.values() if each.get("operationId") == ROUTES[question].name
    ]
    of_http = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    assert described(question).keys() == of_sdk
    required = {name for name, field in ROUTES[question].fields.items() if field.default is MISSING}
    assert {word_of(name) for name in of_sdk} == of_http - NOT_OF_THE_DESCRIPTION.keys() - required
    assert {name if question == "search" else f"--{name}" for name in required} <= options(LISTS[question]).keys()
    assert said(question) | (NO_OPTIONS.keys() & of_sdk) == of_sdk
    assert set(NOT_OF_THE_DESCRIPTION.values()) <= options(LISTS[question]).keys()


@pytest.mark.parametrize("question", LISTS)
def test_every_option_of_a_list_has_the_help_of_the_description(question: str) -> None:
    shown = options(LISTS[question])
    for option in list_options(question):
        assert shown[option.flag].help.startswith(described(question)[option.name].help), option.flag


@pytest.mark.parametrize("name", OF_VERSION_0_1)
def test_the_options_of_version_0_1_are_there(name: str) -> None:
    assert {f"--{option}" for option in OF_VERSION_0_1[name].split()} - options(name).keys() == set()


@pytest.mark.parametrize("question", LISTS)
def test_an_option_has_the_word_of_http(question: str) -> None:
    options = {option.name: option.flag for option in list_options(question)}
    for name in WORDS.keys() & options.keys():
        assert options[name] == f"--{word_of(name).removesuffix('_id')}"


def test_shorter_names_are_those_of_parameters_that_there_are() -> None:
    known: Iterable[str] = {name for question in LISTS for name in described(question)}
    assert SHORT.keys() | NO_OPTIONS.keys() <= set(known)


def test_a_page_of_threads_goes_on_before_a_position_as_it_did(runfold: Command, ledger: Ledger) -> None:
    made = [ledger.create_thread(agent_id="a") for _ in range(5)]
    answer = runfold("threads", "--fold", "--before", "4", "--limit", "2", "--json").json
    assert [item["thread_id"] for item in answer["items"]] == [made[2].id, made[1].id]
    assert "--before" not in runfold("threads", "--help").out


def test_tool_calls_are_listed_with_what_they_were_called_with(runfold: Command, story: Cast) -> None:
    answer = runfold("tool-calls", "--status", "failed", "--status", "cancelled", "--fold")
    lines = answer.out.splitlines()
    assert lines[0].split()[:4] == ["id", "tool", "status", "arguments"]
    assert [line.split()[1:3] for line in lines[1:3]] == [["book_express", "cancelled"], ["issue_voucher", "failed"]]
    assert lines[-1] == "2 tool calls as of position 80"
    items = runfold("tool-calls", "--run", story.id("run", "claim"), "--json").json["items"]
    assert [item["name"] for item in items] == ["find_order", "refund"], "the oldest first"
    assert items[0]["arguments"]["order"] == str(story.order) or items[0]["arguments"]["order"] == story.order


@pytest.mark.usefixtures("left_to_workers")
def test_the_tool_calls_of_one_run_need_no_read_model(runfold: Command, story: Cast) -> None:
    assert runfold("tool-calls", "--run", story.id("run", "claim")).code == 0
    assert runfold("tool-calls").code == 1


def test_decisions_are_listed_with_their_words(runfold: Command, story: Cast) -> None:
    answer = runfold("decisions", "--run", story.id("run", "claim"), "--fold")
    assert answer.out.splitlines()[0].split()[:4] == ["run", "no", "type", "node"]
    assert "settle the claim" in answer.out
    assert answer.out.splitlines()[-1] == "1 decision as of position 80"
    (item,) = runfold("decisions", "--outcome", "success", "--node", "lookup", "--json").json["items"]
    assert (item["run_id"], item["words"]["intent"]) == (story.id("run", "claim"), "settle the claim")
    assert runfold("decisions", "--type", "retry").code == 2


def test_a_list_of_the_past_is_asked_for_by_position_and_never_folded_first(runfold: Command, story: Cast) -> None:
    answer = runfold("runs", "--at", "26", "--thread", story.thread_id, "--json").json
    assert [(item["run_id"], item["status"]) for item in answer["items"]] == [
        (story.id("run", "policy"), "completed"),
        (story.id("run", "claim"), "waiting"),
    ]
    refused = runfold("runs", "--at", "26", "--fold")
    assert (refused.code, "leave it out with --at" in refused.err) == (2, True)


@pytest.mark.shares
@pytest.mark.parametrize("name", [name for name in LISTS.values() if name not in {"usage", "sample runs", "search"}])
def test_a_list_without_an_entry_among_the_commands_has_a_plain_command(
    runfold: Command, story: Cast, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    command = plain_list(name)
    command.main(["--fold", "--limit", "1", "--json"], name, standalone_mode=False)
    command.main(["--limit", "1"], name, standalone_mode=False)
    assert "as of position 80" in capsys.readouterr().out


def test_a_command_that_there_is_not_is_not_a_list_either(runfold: Command) -> None:
    assert plain_list("nothing") is None
    assert "No such command 'nothing'" in runfold("nothing").err


def test_a_conversation_is_narrowed_by_role_and_to_the_run_itself(runfold: Command, story: Cast) -> None:
    answer = runfold("thread", story.thread_id, "--role", "user", "--json").json
    assert {message["role"] for message in answer["messages"]} == {"user"}
    assert answer["tool_calls"] == []
    own = runfold("thread", story.thread_id, "--own", "--json").json
    assert {message["run_id"] for message in own["messages"]} == {story.id("run", "voucher")}
    assert runfold("thread", story.thread_id, "--role", "nobody").code == 2
