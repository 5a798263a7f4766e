"""Small sessions of Claude Code, each showing one kind of thing that is found in real files, and what is right for it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.cli.main import main
from runfold.importers.importing import import_paths
from tests.databases import TestDatabase, fresh_database
from tests.importers.field.shown import CLIENT, PERSON, Shown

HERE = Path(__file__).parent
FOLDERS = sorted(folder.name for folder in HERE.iterdir() if folder.is_dir() and not folder.name.startswith("_"))


@pytest.fixture(scope="module")
def database(admin_url: str, template: str) -> Iterator[TestDatabase]:
    """One database for all folders."""
    with fresh_database(admin_url, template, "field") as made:
        yield made


@pytest.fixture(scope="module")
def field_of(database: TestDatabase) -> Iterator[Callable[[str], Shown]]:
    """Imports a folder into a tenant of its own when it is first asked for."""
    with ExitStack() as opened:

        @cache
        def field(folder: str) -> Shown:
            settings = database.settings.model_copy(update={"tenant": folder})
            return Shown.after_import(opened.enter_context(Ledger.open(settings=settings)), HERE / folder)

        yield field


@pytest.fixture
def field(field_of: Callable[[str], Shown], folder: str) -> Shown:
    """The folder that a test is about."""
    return field_of(folder)


MODEL = "claude-opus-4-8"
TWO_CALLS = [(MODEL, 10, 20), (MODEL, 10, 20)]

RIGHT: dict[str, dict[str, Any]] = {
    "api-refusal": {
        "ends": [("completed", None), ("failed", "rate_limit")],
        "used": [(MODEL, 100, 200)],
        "said": [(PERSON, "Go on."), (None, "Some work."), (PERSON, "More."), (CLIENT, "The session limit is reached.")],
    },
    "cache-one-hour": {"cost": "10.00 USD", "used": [(MODEL, 0, 0)]},
    "call-still-open": {"ends": [("running", None)], "calls": [("called", None, None)]},
    "compaction-auto": {
        "cuts": [("auto", 998659, 18101)],
        "kinds": ["continues"],
        "said": [
            (PERSON, "Long work."),
            (None, "A long answer."),
            (CLIENT, "This session is being continued from an earlier one. Summary: long work, half done."),
            (None, "The other half is done."),
        ],
    },
    "compaction-by-hand": {"cuts": [("manual", 297190, 16970)], "kinds": ["continues"], "typed": ["Work.", "And now this."]},
    "forked-copy": {
        "kinds": ["branches"],
        "used": [(MODEL, 100, 200), (MODEL, 1, 2)],
        "said": [(PERSON, "First question."), (None, "First answer."), (PERSON, "Second question."), (None, "Second answer.")],
    },
    "hook-forbids": {
        "calls": [("failed", "denied_by_hook", "PreToolUse:Write hook error: [guard.py]: no secrets here")],
        "ended_by": ["service:hook"],
        "votes": [],
        "ends": [("completed", None)],
    },
    "local-commands": {"kinds": [], "typed": ["Now the work."], "ends": [("completed", None)], "title": "Now the work."},
    "multi-select": {
        "choices": [["Red: warm", "Blue: cold"]],
        "votes": [(PERSON, "approve", None)],
        "calls": [("succeeded", None, None)],
    },
    "nul-in-result": {
        "calls": [("succeeded", None, None)],
        "ends": [("completed", None)],
        "results": [r"N\u0000A\u0000M\u0000E\u0000"],
    },
    "one-id-two-requests": {"used": [(MODEL, 10, 3), (MODEL, 10, 20)], "said": [(PERSON, "Question."), (None, "An answer.")]},
    "rejected-with-reason": {
        "votes": [(PERSON, "deny", "Keep the file.")],
        "calls": [("failed", "approval_denied", "Keep the file.")],
        "choices": [["reject: do not, and wait for the person"]],
    },
    "stopped-by-person": {
        "calls": [("cancelled", None, None)],
        "ended_by": [PERSON],
        "ends": [("cancelled", None)],
        "typed": ["Run."],
    },
    "sub-agent-alone": {
        "ends": [("running", None), ("completed", None)],
        "times": [
            ("2026-08-01T10:00:01+00:00", "2026-08-01T10:00:03+00:00"),
            ("2026-08-01T10:00:01+00:00", "2026-08-01T10:00:03+00:00"),
        ],
        "used": [(MODEL, 10, 20)],
        "typed": [],
    },
    "task-notification": {
        "said": [
            (PERSON, "Look into it in the background."),
            (None, "Started."),
            (
                "service:task-notification",
                "<task-notification>\n<task-id>t1</task-id>\n<status>completed</status>\n</task-notification>",
            ),
            (None, "It is finished."),
        ],
        "ends": [("completed", None), ("completed", None)],
    },
    "teammate-words": {
        "said": [
            (PERSON, "Form a team."),
            (None, "The team is at work."),
            (
                "agent:dev-1",
                '<teammate-message teammate_id="dev-1" color="green">\nI deleted the table.\n</teammate-message>',
            ),
            (None, "Understood."),
        ],
        "ends": [("completed", None), ("completed", None)],
    },
    "two-objects-one-line": {"used": [(MODEL, 10, 20)], "ends": [("completed", None)], "notes": 1},
    "typed-while-working": {
        "said": [(PERSON, "Do the work."), (PERSON, "Do not touch the database."), (None, "I leave the database alone.")],
        "order": ["user", "assistant", "tool", "user", "assistant"],
        "ends": [("completed", None)],
    },
    "workflow-agents": {"kinds": ["spawned_by"], "used": [(MODEL, 7, 8), *TWO_CALLS], "notes": 0},
}
"""What is right for each folder, by the view that shows it."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_all_of_a_folder_goes_in_once(field: Shown) -> None:
    assert field.tally.problems == []
    assert len(field.threads) == 1
    assert field.again() == 0


@pytest.mark.parametrize(("folder", "view"), [(folder, view) for folder in FOLDERS for view in RIGHT[folder]])
def test_each_view_of_a_folder_shows_what_is_right(field: Shown, folder: str, view: str) -> None:
    assert getattr(field, view)() == RIGHT[folder][view]


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if len(list((HERE / folder).rglob("*.jsonl"))) == 1])
def test_a_file_that_grows_line_by_line_ends_as_one_that_was_imported_at_once(
    database: TestDatabase, folder: str, tmp_path: Path
) -> None:
    (file,) = (HERE / folder).rglob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    grown = tmp_path / file.name
    with Ledger.open(settings=database.settings.model_copy(update={"tenant": f"{folder}-grown"})) as ledger:
        for number in range(1, len(lines)):
            grown.write_bytes(b"".join(lines[:number]))
            assert import_paths(ledger, "claude-code", [grown]).problems == []
        grown.write_bytes(b"".join(lines))
        shown = Shown.after_import(ledger, grown)
        assert {view: getattr(shown, view)() for view in RIGHT[folder]} == RIGHT[folder]
        assert (shown.tally.problems, len(shown.threads), shown.again()) == ([], 1, 0)


def test_the_command_line_shows_who_said_what_and_all_that_was_chosen(
    database: TestDatabase,
    field_of: Callable[[str], Shown],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(folder: str, *arguments: str) -> Any:
        monkeypatch.setenv("RUNFOLD_TENANT", folder)
        capsys.readouterr()
        assert main((*arguments, "--json")) == 0
        return json.loads(capsys.readouterr().out)

    monkeypatch.setenv("RUNFOLD_DATABASE_URL", database.url)
    monkeypatch.setenv("RUNFOLD_PROJECTOR_URL", database.projector_url)
    for folder, author in (("task-notification", "service:task-notification"), ("teammate-words", "agent:dev-1")):
        messages = answer(folder, "thread", field_of(folder).threads[0])["messages"]
        assert [message["author"] for message in messages if message["role"] == "user"] == [PERSON, author]
    (run,) = field_of("multi-select").runs
    (decided,) = answer("multi-select", "decisions", "--run", run, "--fold")["items"]
    assert decided["words"]["chosen_option_ids"] == ["option-1", "option-2"]
    asked = field_of("rejected-with-reason").runs[0]
    (approval,) = answer("rejected-with-reason", "approvals", "--run", asked, "--fold")["items"]
    assert (approval["status"], approval["action"]) == ("denied", "Bash")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_message_a_call_and_a_usage_are_counted_as_the_ledger_holds_them(field: Shown) -> None:
    events = [item.type for item in field.ledger.events(types=["message.added", "tool.called", "run.created"])]
    found = (events.count("message.added"), events.count("tool.called"), events.count("run.created"))
    assert (field.tally.messages, field.tally.tool_calls, field.tally.runs) == found
