"""One word for one option, on all commands; and one meaning for one word."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

import runfold as package
from runfold import Ledger
from runfold.cli.app import program
from runfold.demo_story import Cast
from tests.cli.conftest import Command

MEANS: dict[str, tuple[str, str]] = {
    "--after": ("P|TIME|now", r"^(Only events|Events only: those) after this position"),
    "--actor": ("KIND:ID", r"^Only events recorded by this actor"),
    "--agent": ("AGENT", r"^Only .*\b(this agent|agent's runs)\b"),
    "--all": ("", r"^All\b"),
    "--as": ("KIND:ID", r"^Who you are"),
    "--at": ("P|TIME|DAY", r"^As of a position, or a time by the database's clock"),
    "--call": ("CALL", r"^Only (calls|approvals of) ?(this tool call|these calls)|^Only these calls"),
    "--comment": ("TEXT", r"^Why, in your words"),
    "--cursor": ("CURSOR", r"^The next page"),
    "--decision": ("DECISION", r"^Only .*(this decision|these decisions)\b"),
    "--deliver": ("", r"\b[Ss]end to webhooks\b"),
    "--dry-run": ("", r"^Only (show|list|compare) .*; change nothing"),
    "--expires-in": ("DURATION", r"^(Valid|Kept) for"),
    "--fold": ("", r"^Bring the read models up to date first"),
    "--follow": ("", r"\bnew\b"),
    "--format": ("", r"^How the (rows are|body is) written"),
    "--from": ("TIME|DAY", r"^Only .* (then|UTC day) or later\."),
    "--goal": ("GOAL", r"^Only .* towards this goal"),
    "--happened-at": ("TIME|DAY", r"^Without what happened later by the clock of its producer"),
    "--id": ("ID", r"^Your own id"),
    "--label": ("TEXT", r"^Label for lists"),
    "--limit": ("N", r"^How many at most"),
    "--min-position": ("N", r"^Only an answer that holds what happened up to this position"),
    "--node": ("NODE", r"^Only .* this node"),
    "--once": ("", r"\bthere now, then exit\b"),
    "--open": ("", r"^Only open (?!or only)"),
    "--order": ("asc|desc", r"^Which way round"),
    "--order-by": ("", r"^What to sort by"),
    "--output": ("FOLDER", r"\bfolder\b"),
    "--owner": ("KIND:ID|human:NAME", r"\b[Oo]wner of the first key|^Whom the key acts as"),
    "--projection": ("NAME|MODULE:CLASS", r"read model"),
    "--run": ("RUN", r"^Only (?!runs that come from).*(this run|these runs)\b|^The conversation of this run"),
    "--seal": ("", r"\b[Ss]eal the log\b"),
    "--severity": ("", r"^Only .*(severe|so bad)"),
    "--source": ("NAME|SOURCE", r"import('s name| brought)"),
    "--status": ("", r"^Only .* with this status|^Only open or only resolved"),
    "--superseded": ("", r"threads that others stand for"),
    "--sweep": ("", r"\b[Ll]et approvals expire\b"),
    "--thread": ("THREAD", r"^Only .*(this thread|these threads)\b"),
    "--to": ("TIME|DAY", r"^Only .* (then|UTC day) or earlier\."),
    "--tool": ("TOOL", r"^Only .*this tool\b(?! call)"),
    "--type": ("TYPE", r"^Only (events of )?this type\b"),
    "--up-to": ("P", r"^(Only events|Events only: those) up to this position"),
    "--user": ("USER", r"^Only .*this user\b"),
    "--wait": ("DURATION", r"^How long to wait\b"),
    "--wait-seconds": ("N", r"^For how many seconds to wait"),
    "--workers": ("", r"^How many processes"),
    "--yes": ("", r"^(Replace|Drop) |^Do not ask"),
}
"""By word: what stands for its value in the help (nothing: that differs), and what its help says."""

TWO_MEANINGS = {
    "--agent": "which agent's runs are asked for, and which agents are served: their clients and the ledger both call them so",
    "--full": "a thread of which nothing is cut, and a ledger verified from its first event: nothing is left out of either",
    "--key": "whose signatures are verified, and which row of a read model is asked for: both are keys in the field's words",
    "--open": "what nobody has decided or mended yet, and pages that are opened in a browser: both are open",
    "--scope": "what a key allows, and which runs a report of usage is of: both are called so everywhere",
    "--seed": "whose story the demo tells, and what a sample is drawn by: seeds of what looks like chance",
    "--role": "who says a message, and as whom one is at the database: both are called so everywhere",
}
SHARED = {"--json", "--database-url", "--home", "--env-file", "--unsafe-durability", "--verbose", "--help", "--zone"}
"""Every command has them, made in one place."""


class Use(NamedTuple):
    """An option of a command."""

    command: str
    word: str
    option: Any


def uses(*, hidden: bool = False) -> Iterator[Use]:
    """Every option of every command."""
    yield from _uses(program(), (), hidden)


def _uses(group: Any, path: tuple[str, ...], hidden: bool) -> Iterator[Use]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _uses(command, (*path, name), hidden)
            continue
        for option in command.get_params(typer.Context(command)):
            if option.param_type_name == "option" and option.hidden == hidden:
                yield from (Use(" ".join((*path, name)), word, option) for word in option.opts if word.startswith("--"))


def test_a_word_that_several_commands_have_means_the_same_on_all_of_them() -> None:
    found = defaultdict(list)
    for use in uses():
        found[use.word].append(use)
    for word, several in found.items():
        if len(several) == 1 or word in SHARED | TWO_MEANINGS.keys():
            continue
        assert word in MEANS or len({use.option.help for use in several}) == 1, (
            f"{word} of {', '.join(use.command for use in several)} has no meaning here"
        )
        value, meaning = MEANS.get(word, ("", ""))
        for use in several:
            assert re.search(meaning, use.option.help), f"{use.command} {word}: {use.option.help}"
            assert not value or use.option.metavar in {value, *value.split("|")}, f"{use.command} {word} {use.option.metavar}"


VAGUE = {"--follow", "--source", "--all", "--yes", "--projection", "--superseded"}
"""Words whose meaning takes more than a look at a sentence."""


def words_for(help: str) -> set[str]:
    """The words for what an option's help says."""
    return {word for word, (_, meaning) in MEANS.items() if word not in VAGUE and re.search(meaning, help)}


def test_an_option_that_means_the_same_has_the_same_word() -> None:
    found = {(use.command, use.word): words_for(use.option.help) - {use.word} for use in uses()}
    assert {use: words for use, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("help", "word"),
    [
        ("Only calls of this UTC day or later.", "--from"),
        ("As of a position, or a time by the database's clock.", "--at"),
        ("Only calls of this tool.", "--tool"),
        ("How many at most.", "--limit"),
        ("Who you are, such as human:ada.", "--as"),
    ],
)
def test_a_second_word_for_a_meaning_is_noticed(help: str, word: str) -> None:
    assert words_for(help) == {word}


@pytest.mark.parametrize("word", ["--json", "--verbose", "--home"])
def test_every_command_has_the_shared_options(word: str) -> None:
    found = list(uses())
    assert {use.command for use in found} == {use.command for use in found if use.word == word}
    assert len({(use.option.help, use.option.metavar) for use in found if use.word == word}) == 1


FORMER = {
    ("approve", "--reason"): "--comment",
    ("approve", "--actor"): "--as",
    ("deny", "--reason"): "--comment",
    ("deny", "--actor"): "--as",
    ("evidence", "--out"): "--output",
    ("export", "--as-of"): "--at",
    ("export", "--to"): "--output",
    ("head", "--actor"): "--as",
    ("keys create", "--actor"): "--as",
    ("keys revoke", "--actor"): "--as",
    ("keys revoke", "--reason"): "--comment",
    ("prove-absence", "--out"): "--output",
    ("rebuild", "--as-of"): "--at",
    ("tool-calls", "--name"): "--tool",
    ("usage", "--since"): "--from",
    ("usage", "--until"): "--to",
}
"""Words of the version before, which are understood in this one."""


def test_former_words_are_hidden_options_of_the_same_commands() -> None:
    assert {(use.command, use.word) for use in uses(hidden=True) if use.option.name.startswith("former_")} == FORMER.keys()
    shown = {(use.command, use.word) for use in uses()}
    assert {(command, now) for (command, _), now in FORMER.items()} <= shown
    assert not FORMER.keys() & shown


def literals() -> Iterator[tuple[Path, str]]:
    """Each text in the code, with the file that it stands in; what an f-string puts in is `…`."""
    for path in Path(package.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield path, "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value


def test_what_is_said_of_a_command_names_options_that_it_has_now() -> None:
    shown = defaultdict(set)
    for use in uses():
        shown[use.command].add(use.word)
    named = set()
    for path, text in literals():
        for words in re.findall(r"`runfold ([a-z][^`]*)`", text):
            command = max((each for each in shown if f"{words} ".startswith(f"{each} ")), key=len, default="")
            named.add(command)
            said = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", words.partition(" -- ")[0]))
            assert not command or said <= shown[command], f"{path}: `runfold {words}`"
        if path.parent.name == "export":  # what it says is of `export`, and of `sample` and pages, which take the same words
            said = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", text))
            assert said <= shown["export"] | {"--into"}, f"{path}: {text}"
    assert len(named) > 10


def test_a_former_word_does_the_same_and_says_the_word_of_now(runfold: Command, story: Cast, ledger: Ledger) -> None:
    run = ledger.thread(story.thread_id).start_run()
    for option, word in (("--reason", "--comment"), ("--comment", "")):
        approval = run.request_approval("mail", arguments={})
        answer = runfold("deny", approval.id, option, "not today", "--as", "human:ada")
        assert (answer.code, f"--reason is {word} now" in answer.err) == (0, bool(word))
        (vote,) = approval.view().votes if hasattr(approval, "view") else ledger.now.approval(approval.id).votes
        assert vote.comment == "not today"
    assert (
        runfold("usage", "--since", "2026-01-01", "--fold", "--json").json
        == runfold("usage", "--from", "2026-01-01", "--json").json
    )
    named = runfold("tool-calls", "--name", "refund", "--fold", "--json").json
    assert named == runfold("tool-calls", "--tool", "refund", "--json").json
    assert {item["name"] for item in named["items"]} == {"refund"}


def test_an_option_under_both_its_words_is_refused(runfold: Command, story: Cast) -> None:
    answer = runfold("usage", "--since", "2026-01-01", "--from", "2026-01-02")
    assert (answer.code, answer.err) == (2, "runfold: --since and --from are the same option; give --from alone\n")


@pytest.mark.shares
@pytest.mark.parametrize(
    "name", ["runs", "threads", "tool-calls", "decisions", "problems", "approvals", "attention", "failures", "goals"]
)
def test_all_pages_are_asked_for_at_once(runfold: Command, story: Cast, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("runfold.queries.lists.paging.MOST", 2)
    whole = runfold(name, "--limit", "1000", "--fold", "--json").json
    found = runfold(name, "--all", "--json").json
    assert (found["items"], found["next_cursor"]) == (whole["items"], None)
    both = runfold(name, "--all", "--limit", "3")
    assert (both.code, "give one of the two" in both.err) == (2, True)
