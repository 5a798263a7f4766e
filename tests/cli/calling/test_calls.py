"""What every command does alike: help, errors, exit codes, output for people and machines, start-up."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

import runfold as package
from runfold import Ledger
from runfold.cli.app import program
from runfold.cli.commands import COMMANDS as TABLE
from runfold.demo_story import Cast
from tests.cli.conftest import Command, Process

COMMANDS = [command.name for command in TABLE]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples(offline: Command, name: str) -> None:
    answer = offline(*name.split(), "--help")
    assert answer.code == 0
    assert f"Usage: runfold {name}" in answer.out
    assert "Examples:" in answer.out
    assert f"runfold {name}" in answer.out.partition("Examples:")[2]
    for option in ("--json", "--database-url", "--home", "--unsafe-durability", "--verbose"):
        assert option in answer.out


ONLY_HELP = {
    *("agui-check", "approve", "claim", "deny", "evidence", "import", "keys revoke", "moments drop", "prove-absence", "release"),
    *("renew", "restore", "seal accept-loss", "seal keys", "seal rotate", "verify-receipt", "witness serve", "witness sign"),
}
"""Commands whose examples speak of files, keys or things that are not here: their own tests call them."""


@cache
def _takes_fold(word: str) -> bool:
    return any("--fold" in parameter.opts for parameter in program([word]).commands[word].params)


def _sent_to_others(runfold: Command, ledger: Ledger, words: list[str]) -> None:
    """Make what examples of subscriptions and webhooks speak of, with positions that the story has."""
    if words[0] == "subscriptions" and words[1] not in {"put", "list"}:
        runfold("subscriptions", "put", words[2])
    if words[:2] == ["webhooks", "callback"]:
        ledger.create_thread(agent_id="a").start_run(run_id=words[2], callback_url="https://hooks.example.com/runs")
    elif words[:2] == ["webhooks", "test"]:  # it waits for a worker
        words.append("--help")
    elif words[0] == "webhooks" and words[2:] and words[2].startswith("webhook_"):
        runfold("webhooks", "create", "https://hooks.example.com/runs", "--id", words[2])
    for option, position in (("--after", "26"), ("--up-to", "40")):
        if option in words and words[words.index(option) + 1].isdigit():
            words[words.index(option) + 1] = position


@pytest.mark.parametrize("command", [example for command in TABLE for example in command.examples])
def test_every_example_is_a_call_that_the_command_line_understands(
    runfold: Command, ledger: Ledger, story: Cast, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("RUNFOLD_READER_URL", make_conninfo(os.environ["RUNFOLD_DATABASE_URL"], user="runfold_reader"))
    inside = re.search(r"\$\((.*?)\)", command)  # of another program's command
    words = shlex.split((inside[1] if inside else command[command.index("runfold ") :]).partition(" | ")[0])[1:]
    goes_on = words[0] in {"serve", "relay"} or "--follow" in words or (words[0] == "work" and "--once" not in words)
    if goes_on or ONLY_HELP & {words[0], " ".join(words[:2])} or "--against" in words:
        words.append("--help")
    elif words[0] == "psql":  # it takes the place of the process
        words.insert(1, "--help")
    elif words[0] == "backup":
        words[1] = "ledger.dump"
    elif words[:2] == ["moments", "prepare"]:
        words[2] = "26"
    elif words[:2] != ["export", "run"] and not {"--fold", "events"} & set(words) and _takes_fold(words[0]):
        words.append("--fold")
    elif words[:2] == ["projections", "drop"]:
        runfold("work", "--once", "--projection", "tests.projector.toys:Tally")
        words[2] = "tally"
    elif words[:2] == ["projections", "retry"]:
        runfold("work", "--once", "--projection", words[2])
    if words[0] in {"subscriptions", "webhooks"}:
        _sent_to_others(runfold, ledger, words)
    for option in ("--at", "--as-of"):
        if option in words and not words[words.index(option) + 1].isdigit():
            words[words.index(option) + 1] = "26"
    if "--output" in words:
        words[words.index("--output") + 1] = "exported"
    if "--rollback" in words:
        runfold("rebuild", words[1])
        runfold("rebuild", words[1])
    if words[0] == "drop-schema":
        runfold("rebuild", "goals", "--at", "26", "--into", words[1])
    assert runfold(*words).code == 0


def test_the_help_lists_every_command(offline: Command) -> None:
    answer = offline("--help")
    assert answer.code == 0
    for name in COMMANDS:
        group, _, command = name.rpartition(" ")
        where = offline(group, "--help").out if group else answer.out
        assert re.search(rf"^│ {command} ", where, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["thraeds"], "thraeds"),
        (["thread"], "THREAD"),
        (["threads", "--limit", "many"], "'--limit'"),
        (["threads", "--nonsense"], "--nonsense"),
        (["import", "tau2"], "PATH"),
    ],
)
def test_a_wrong_call_is_one_line_with_the_way_to_the_help(offline: Command, arguments: list[str], reason: str) -> None:
    answer = offline(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1
    assert reason in answer.err
    assert "--help`" in answer.err
    as_json = offline(*arguments, "--json")
    assert as_json.error["exit_code"] == 2
    assert reason in as_json.error["message"]


def test_an_error_is_one_line_with_the_next_step_and_the_trace_only_when_asked(runfold: Command) -> None:
    plain = runfold("thread", "thread_nobody")
    assert plain.err == "runfold: there is no thread 'thread_nobody'; `runfold threads` lists them all\n"
    assert "Traceback" in runfold("thread", "thread_nobody", "--verbose").err


def test_an_error_in_json_has_type_message_and_facts(runfold: Command) -> None:
    answer = runfold("thread", "thread_nobody", "--json")
    assert (answer.code, answer.out) == (3, "")
    assert answer.error == {
        "type": "ThreadNotFound",
        "message": "there is no thread 'thread_nobody'; `runfold threads` lists them all",
        "facts": {"id": "thread_nobody", "known_later": None},
        "exit_code": 3,
    }
    assert "Traceback" in runfold("--json", "--verbose", "thread", "thread_nobody").error["trace"]


def test_a_conflict_has_exit_code_4(runfold: Command, ledger: Ledger) -> None:
    ledger.create_thread(thread_id="thread_demo7", agent_id="another")
    answer = runfold("demo", "--json")
    assert answer.code == 4
    assert answer.error["type"] == "DuplicateWithDifferentContent"


def test_an_unreachable_database_has_exit_code_1_and_says_what_to_check(
    runfold: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_CONNECT_TIMEOUT", "0.2")
    answer = runfold("threads", "--database-url", "postgresql:///x?host=/nonexistent")
    assert answer.code == 1
    assert "check that PostgreSQL runs" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_setting_that_is_none_is_a_usage_error_that_names_it(runfold: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_QUEUE_SIZE", "lots")
    answer = runfold("threads", "--json")
    assert answer.code == 2
    assert answer.error["facts"] == {"setting": "RUNFOLD_QUEUE_SIZE"}


def test_a_mistake_of_our_own_asks_for_a_report(runfold: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runfold.cli.operate.doctor.versions", lambda: 1 / 0)
    answer = runfold("version")
    assert answer.code == 1
    assert "ZeroDivisionError" in answer.err
    assert "report" in answer.err


def test_flags_win_over_the_environment_before_and_after_the_command(
    runfold: Command, story: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = os.environ["RUNFOLD_DATABASE_URL"]
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", "postgresql:///x?host=/nonexistent")
    assert runfold("--database-url", url, "--json", "threads", "--fold").json["as_of"] == 80
    assert runfold("threads", "--fold", "--database-url", url, "--json").json["as_of"] == 80


def test_without_a_command_the_help_is_shown(offline: Command) -> None:
    answer = offline()
    assert answer.code == 2
    assert "Usage: runfold" in answer.out + answer.err


def _on_a_terminal(arguments: list[str], environment: dict[str, str]) -> str:
    """What the command prints when a person looks."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runfold.cli.main", *arguments],
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    printed = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's word for: the other side is closed
            break
        if not piece:
            break
        printed += piece
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return printed.decode()


def test_a_terminal_gets_colours_and_no_color_takes_them_away(environment: None, story: Cast) -> None:
    arguments = ["tree", story.thread_id]
    coloured = _on_a_terminal(arguments, {})
    assert "\x1b[32mcompleted" in coloured
    plain = _on_a_terminal(arguments, {"NO_COLOR": "1"})
    assert "completed (end_turn)" in plain
    assert re.findall(r"\x1b\[[0-9;]*m", plain) == []


def test_a_terminal_sees_how_far_a_check_is(environment: None, story: Cast) -> None:
    printed = _on_a_terminal(["check"], {})
    assert "Checking" in printed
    assert "events/s" in printed
    assert "no damage in 80 events" in printed


def test_what_is_not_a_terminal_gets_no_colours(runfold: Command, story: Cast) -> None:
    for command in (
        ["threads", "--fold"],
        ["tree", story.thread_id],
        ["thread", story.thread_id],
        ["events"],
        ["doctor"],
        ["demo"],
    ):
        assert "\x1b" not in runfold(*command).out


@pytest.mark.parametrize("columns", ["0", "-1", "²", "many", "9e9"])
def test_a_width_that_is_none_is_taken_for_none(
    runfold: Command, story: Cast, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.delenv("COLUMNS")
    usual = runfold("thread", story.thread_id).out
    monkeypatch.setenv("COLUMNS", columns)
    assert runfold("thread", story.thread_id).out == usual != ""


def test_no_line_ends_in_blanks_where_the_output_is_not_a_terminal(runfold: Command, story: Cast) -> None:
    for command in (["threads", "--fold"], ["tree", story.thread_id], ["thread", story.thread_id], ["demo"]):
        assert [line for line in runfold(*command).out.splitlines() if line != line.rstrip()] == []


def test_json_is_ascii_where_the_output_cannot_carry_more(
    started: Process, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.create_thread(agent_id="a", title="Größe 😀")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    out, err = started(["threads", "--fold", "--json"]).communicate(timeout=60)
    assert "Gr\\u00f6\\u00dfe \\ud83d\\ude00" in out
    assert err == ""


def test_only_the_command_that_is_named_is_made_and_all_where_none_is() -> None:
    every = {name.split()[0] for name in COMMANDS}
    for name in COMMANDS:
        for before in ([], ["--json"], ["--home", "threads"], ["--home=threads", "--verbose"]):
            assert program([*before, *name.split(), "--json"]).commands.keys() == {name.split()[0]}
    for words in ([], ["--help"], ["-h", "runs"], ["--nonsense", "runs"], ["nonsense", "runs"], ["--home"]):
        assert program(words).commands.keys() == every


@pytest.mark.parametrize("arguments", [["--help"], ["thread", "--help"], ["thread"]])
def test_help_needs_neither_driver_nor_events(arguments: list[str]) -> None:
    code = (
        "import sys; from runfold.cli.main import main; main(sys.argv[1:]);"
        "print(sorted({'psycopg', 'eventsourcing', 'structlog', 'runfold.domain.event'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_ended_while_it_loads_undoes_what_it_began(number: int, code: int, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    program = (
        "import os, pathlib, sys\n"
        f"begun = pathlib.Path({str(begun)!r})\n"
        "class Ended:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'runfold.cli.commands':\n"
        "            try:\n"
        "                begun.touch()\n"
        f"                os.kill(os.getpid(), {number:d})\n"
        "            finally: begun.unlink()\n"
        "sys.meta_path.insert(0, Ended())\n"
        "from runfold.cli.main import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program, "version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert not begun.exists()


def test_the_public_names_load_when_they_are_used() -> None:
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="Nonsense"):
        package.Nonsense  # type: ignore[attr-defined]  # noqa: B018
    listed = Path(package.__file__).read_text()
    assert len(re.findall(r"^    \"\w+\",$", listed, re.MULTILINE)) == len(package.__all__)
