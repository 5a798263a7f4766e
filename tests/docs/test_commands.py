"""Commands that the running text of a page or a help text names are commands that there are, with options that they have."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from runfold.cli.app import program
from runfold.cli.commands import COMMANDS
from tests.docs.pages import PAGES, ROOT, code_words

ROOT_COMMAND: Any = program()
_INNER = re.compile(r"\$\((runfold[^)]*)\)")
_PIPED = re.compile(r"\s*(?:\||&&|;|>|<|2>)\s*")


def calls(text: str) -> Iterator[list[str]]:
    """The words of each call of the command in a line of shell, without what stands around it."""
    for inner in _INNER.findall(text):
        yield from calls(inner)
    for part in _PIPED.split(_INNER.sub("x", text).split("  #", maxsplit=1)[0]):
        words = shlex.split(part.replace("…", "x"))
        while words and re.fullmatch(r"RUNFOLD_[\w…]+=.*", words[0]):
            del words[0]
        if words[:1] == ["runfold"]:
            yield words[1:]


def fault(words: list[str]) -> str | None:
    """What is wrong with a call: an unknown command or an unknown option."""
    command, path = ROOT_COMMAND, "runfold"
    while hasattr(command, "commands") and words:
        if words[0].startswith("-"):
            return None if words[0] in {"--help", "--version"} else f"{path} {words[0]}"
        path, found = f"{path} {words[0]}", command.get_command(None, words[0])
        if found is None:
            return path
        command, words = found, words[1:]
    options = {flag for each in command.get_params(typer.Context(command)) for flag in (*each.opts, *each.secondary_opts)}
    told = words[: words.index("--")] if "--" in words else words
    asked = [word.split("=")[0] for word in told if re.match(r"--?[A-Za-z]", word)]
    return next((f"{path} {option}" for option in asked if option not in options | {"-h", "--help"}), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_the_text_of_a_page_names_is_there(page: Path) -> None:
    named = [word for word in code_words(page) if re.match(r"(RUNFOLD_\w+=\S+ )?runfold ", word)]
    assert [said for word in named for words in calls(word) if (said := fault(words))] == []


def test_the_examples_of_every_help_text_are_there() -> None:
    examples = [(command.name, example) for command in COMMANDS for example in command.examples]
    assert len(examples) > 80
    for name, example in examples:
        found = list(calls(example))
        assert found, example
        assert [said for words in found if (said := fault(words))] == [], example
        assert name.split()[0] in {words[0] for words in found}, example


def test_a_call_that_cannot_be_is_noticed() -> None:
    assert list(calls("RUNFOLD_TENANT=acme runfold keys list --json | grep x && runfold work")) == [
        ["keys", "list", "--json"],
        ["work"],
    ]
    assert fault(["keys", "list", "--json"]) is None
    assert fault(["key", "list"]) == "runfold key"
    assert fault(["keys", "lists"]) == "runfold keys lists"
    assert fault(["runs", "--colour=red"]) == "runfold runs --colour"
    assert fault(["psql", "--", "--csv"]) is None
