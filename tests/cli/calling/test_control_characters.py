"""Recorded text is anybody's text: nothing of it is a command to the terminal, whichever command prints it, and how."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from runfold import Ledger
from runfold.cli.app import program
from runfold.terminal.text import CONTROLS
from tests.cli.conftest import Command
from tests.databases import TestDatabase, fresh_database

HOSTILE = "a\x1b[2J\x1b]0;title\x07\x7f\x9b31m\u202eturned\u2066\u200f\u2028\x08\x0b\r end"
RAW = re.compile("[" + "".join(f"\\u{code:04x}" for code in CONTROLS) + "]")
_LASTING = {"demo", "import", "serve", "work", "migrate", "backup", "restore", "rebuild", "export", "retry", "stop", "start"}
_KNOWN = {"thread": "thread_x", "run": "run_x", "goal": "g", "approval": "approval_x", "name": "run_summaries"}


def commands() -> Iterator[tuple[str, ...]]:
    """Every command that looks at something, with arguments, found in the command line itself."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if isinstance(command, click.Group) or hasattr(command, "commands"):
            for name, inner in command.commands.items():
                if name not in _LASTING:
                    yield from walk(inner, (*words, name))
            return
        needed = [each for each in command.params if each.required]
        values = [next((value for key, value in _KNOWN.items() if key in str(each.name)), None) for each in needed]
        if all(value is not None for value in values) and all(each.param_type_name == "argument" for each in needed):
            yield (*words, *(str(value) for value in values))

    yield from walk(program(), ())


COMMANDS = list(commands())


def tell(ledger: Ledger) -> None:
    """Record every text that can be hostile."""
    thread = ledger.create_thread(
        agent_id=HOSTILE, user_id=HOSTILE, title=HOSTILE, external_ref=HOSTILE, metadata={HOSTILE: HOSTILE}, thread_id="thread_x"
    )
    run = thread.start_run(input={HOSTILE: HOSTILE}, run_id="run_x", goal={"id": "g", "description": HOSTILE})
    run.add_message("user", HOSTILE)
    run.call_tool(HOSTILE, {HOSTILE: HOSTILE}, call_id="call_x").fail(HOSTILE)
    run.set_state({HOSTILE: HOSTILE})
    run.request_approval("refund", arguments={HOSTILE: HOSTILE}, approval_id="approval_x")
    ledger.fold()


@pytest.fixture(scope="module")
def hostile(admin_url: str, template: str) -> Iterator[str]:
    """A database with that, to be copied."""
    with fresh_database(admin_url, template, "hostile") as made:
        with Ledger.open(settings=made.settings) as ledger:
            tell(ledger)
        yield made.name


@pytest.fixture
def database(copy_of: Callable[[str], TestDatabase], hostile: str) -> TestDatabase:
    """This test's own copy."""
    return copy_of(hostile)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_prints_raw_control_characters(runfold: Command, words: tuple[str, ...]) -> None:
    for answer in (runfold(*words), runfold(*words, "--json")):
        assert RAW.findall(answer.out) == []
        assert RAW.findall(answer.err) == []


def test_the_commands_are_found() -> None:
    found = {words[0] for words in COMMANDS}
    assert {"threads", "thread", "run", "runs", "tree", "events", "approvals", "failures", "rows", "heads"} <= found


def test_what_json_prints_says_the_same(runfold: Command) -> None:
    assert runfold("thread", "thread_x", "--json").json["thread"]["title"] == HOSTILE


@pytest.mark.parametrize("words", [("run",), ("thread",), ("rows",), ("approve",), ("events", "--type"), ("runs", "--status")])
def test_what_a_caller_says_is_not_printed_raw_either(runfold: Command, words: tuple[str, ...]) -> None:
    for more in ((), ("--json",)):
        answer = runfold(*words, HOSTILE, *more)
        assert answer.code != 0
        assert RAW.findall(answer.out + answer.err) == []
