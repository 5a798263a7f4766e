"""What a question refuses names the option that was typed, and not the argument that it becomes in Python."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from runfold import Ledger
from runfold.cli.app import program
from tests.cli.conftest import Command, calling
from tests.databases import TestDatabase, go_on_in

TOO_LARGE = "99999999999999999999"
LISTS = ("threads", "runs", "tool-calls", "decisions", "approvals", "problems", "attention", "goals", "failures", "search")
OTHERS = [
    (("run", "run_x"), "--version"),
    (("diff", "run_x", "run_y"), "--version-a"),
    (("diff", "run_x", "run_y"), "--version-b"),
    (("events",), "--limit"),
    (("sample", "runs", "--seed", "q"), "--n"),
]


def numbers() -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Each list, and each of its options that takes a number of its own bounds, with one beyond them."""
    commands = program().commands
    for command in LISTS:
        words = (command, "nothing") if command == "search" else (command,)
        for option in commands[command].get_params(typer.Context(commands[command])):
            if option.param_type_name == "option" and option.metavar == "N":
                yield words, option.opts[0], "-1"
    yield from ((words, flag, TOO_LARGE) for words, flag in OTHERS)


@pytest.fixture(scope="module")
def folded(shared_database: TestDatabase) -> TestDatabase:
    """A database with no events, and all read models of them."""
    go_on_in(shared_database)
    with Ledger.open(settings=shared_database.settings) as ledger:
        ledger.fold()
    return shared_database


@pytest.fixture
def asking(folded: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Command:
    """Calls the command where nothing is recorded."""
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", folded.url)
    monkeypatch.setenv("RUNFOLD_HOME", str(tmp_path / "home"))
    return calling(capsys)


def test_a_number_out_of_range_is_refused_by_the_option_that_has_it(asking: Command) -> None:
    tried = list(numbers())
    assert {flag for _, flag, _ in tried} >= {"--limit", "--percentile", "--min-position", "--wait-seconds", "--version", "--n"}
    for words, flag, number in tried:
        answer = asking(*words, flag, number)
        assert answer.code == 2, (words, flag, answer)
        assert re.match(f"runfold: {flag} (takes|is) ", answer.err), (words, flag, answer.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runs", "--min-position", "-1"), "--min-position takes a whole number from 0, not -1"),
        (("runs", "--order-by", "size"), "unknown --order-by 'size'; expected one of"),
        (("runs", "--order", "up"), "unknown order 'up'; expected one of asc, desc"),
        (("attention", "--silent-for", "0"), "--silent-for takes a duration such as"),
        (("events", "--actor", "ada"), "--actor: 'ada' is not kind:id"),
        (("subscriptions", "put", "m", "--lease-seconds", "-1"), "--lease-seconds: Input should be"),
        (("relay", "nats", "--format", "xml"), "Invalid value for '--format': 'xml' is not one of 'runfold', 'cloudevents'; see"),
        (("events", "--run", "run_none"), "there is no run 'run_none'"),
    ],
)
def test_what_is_refused_begins_with_the_option(asking: Command, words: tuple[str, ...], said: str) -> None:
    answer = asking(*words)
    assert answer.err.startswith(f"runfold: {said}"), answer
    assert answer.code


WRONG = {
    "--database-url": "mysql://here",
    "--admin-url": "mysql://here",
    "--env-file": "/no/such/file",
    "--zone": "Mars",
    "--port": "70000",
}
"""What no setting takes, by the option that gives it."""


@pytest.mark.parametrize("flag", WRONG)
def test_a_setting_that_an_option_gives_is_refused_by_the_option(
    asking: Command, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    calls = {"--port": [["serve", flag]], "--admin-url": [["migrate", flag]]}.get(flag, [["runs", flag], [flag]])
    for words in calls:
        answer = asking(*words, WRONG[flag], *([] if words[0] != flag else ["runs"]))
        assert (answer.code, answer.out) == (2, ""), answer
        assert re.match(f"runfold: {flag}(: | takes | cannot )", answer.err), answer.err
        assert "RUNFOLD_" not in answer.err
    monkeypatch.setenv("RUNFOLD_ACTOR", "nobody")
    assert asking("events", "--actor", "human:ada").err.startswith("runfold: RUNFOLD_ACTOR: 'nobody' is not kind:id")


def test_of_a_refused_setting_the_words_that_were_typed_stay_as_they_are(asking: Command) -> None:
    typed = "/no/unset it; set a valid value, RUNFOLD_ENV_FILE"
    fact = f"runfold: --env-file: {typed!r} is not there; name a file, or leave it out\n"
    assert asking("runs", "--env-file", typed).err == fact


def test_options_that_give_settings_are_tried_above_or_take_anything() -> None:
    """`RUNFOLD_…` in the help of an option says that it gives that setting."""
    takes_anything = {"--home", "--host", "--pages", "--unsafe-durability"}
    root = program()
    given = {
        option.opts[0]
        for command in (root, *root.commands.values())
        for option in command.get_params(typer.Context(command))
        if option.opts and f"(RUNFOLD_{option.opts[0].strip('-').replace('-', '_').upper()}" in str(getattr(option, "help", ""))
    }
    assert given == takes_anything | WRONG.keys(), given


def test_the_version_is_shown_as_most_programs_do(asking: Command) -> None:
    said = asking("--version")
    assert (said.code, said.out) == (0, f"runfold {asking('version', '--json').json['runfold']}\n")


def test_an_export_is_told_what_its_second_word_would_be(asking: Command) -> None:
    said = asking("export", "events", "out")
    assert (said.code, "name the folder with --output" in said.err) == (2, True), said
