"""Threads that somebody archived, deleted or renamed, and whose sources go on."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from runfold import Ledger
from runfold.errors import InvalidEvent
from runfold.importers.format import Format, SourceThread
from runfold.importers.formats import named
from runfold.importers.importing import import_as
from runfold.importers.recording import Recording
from runfold.importers.sources import Report, SourceFile, find
from runfold.importers.tally import Problem, Reports, Tally
from tests.importers.claude.told import Lines
from tests.importers.codex.rollouts import Rollout
from tests.importers.copilot.sessions import Events

Importing = Callable[..., Tally]


def claude(path: Path, turns: int) -> Path:
    told = Lines("s")
    for number in range(turns):
        told.prompt(f"u{number}", f"a{number - 1}" if number else None)
        told.answer(f"a{number}", f"u{number}")
    return told.write(path / "one.jsonl")


def codex(path: Path, turns: int) -> Path:
    told = Rollout()
    told.meta()
    for number in range(turns):
        told.event("task_started", turn_id=f"t{number}")
        told.say("user", f"Prompt {number}.")
        told.say("assistant", f"Answer {number}.")
        told.event("task_complete", turn_id=f"t{number}")
    told.event("thread_name_updated", thread_name=f"After {turns}")
    (path / "rollout-one.jsonl").write_text(told.text())
    return path / "rollout-one.jsonl"


MADE: dict[str, Callable[[Path, int], Path]] = {"claude-code": claude, "codex": codex}


@pytest.fixture(params=MADE)
def growing(request: pytest.FixtureRequest, importing: Importing, tmp_path: Path) -> Callable[[int], Tally]:
    """A session that has so many turns, imported."""
    return lambda turns: importing(request.param, MADE[request.param](tmp_path, turns))


def thread_of(ledger: Ledger) -> str:
    (created,) = ledger.events(types=["thread.created"])
    return created.stream


def test_what_an_archived_thread_does_not_take_goes_in_once_it_is_restored(
    ledger: Ledger, growing: Callable[[int], Tally]
) -> None:
    growing(1)
    thread = ledger.thread(thread_of(ledger))
    thread.archive()
    before = ledger.position()
    for _ in range(2):
        tally = growing(3)
        assert "restore it first" in tally.problems[0].reason
        assert not [problem for problem in tally.problems if "please report it" in problem.reason]
    assert not ledger.events(types=["run.created", "message.added"], after=before)
    thread.restore()
    tally = growing(3)
    assert (tally.problems, tally.runs, tally.messages) == ([], 3, 6)
    assert growing(3).skipped == 1


def test_to_a_deleted_thread_nothing_is_added(ledger: Ledger, growing: Callable[[int], Tally]) -> None:
    growing(1)
    ledger.thread(thread_of(ledger)).delete("asked to")
    before = ledger.position()
    tally = growing(2)
    assert (ledger.position(), tally.problems, tally.skipped) == (before, [], 1)
    assert [note.kind for note in tally.notes] == ["threads that were deleted, to which nothing is added"]


def test_a_title_that_a_person_gave_stays(ledger: Ledger, growing: Callable[[int], Tally]) -> None:
    growing(1)
    growing(2)
    ledger.thread(thread_of(ledger)).rename("Ada's own", actor="human:ada")
    growing(3)
    assert ledger.events(types=["thread.renamed"])[-1].event.title == "Ada's own"


def test_a_thread_that_cannot_be_recorded_is_told_and_the_others_go_in(ledger: Ledger, tmp_path: Path) -> None:
    importer = named("claude-code")

    def read(files: Sequence[SourceFile], report: Report) -> Iterator[SourceThread]:
        for source in importer.read(files, report):
            is_odd = source.label == "s-1"
            yield SourceThread(**{**vars(source), "record": odd if is_odd else source.record})

    def odd(_: Recording) -> NoReturn:
        raise InvalidEvent("title", "is odd")

    for session in ("s-0", "s-1", "s-2"):
        told = Lines(session)
        told.prompt(session, None)
        told.write(tmp_path / f"{session}.jsonl")
    tally = import_as(ledger, "claude-code", Format(importer.wants, read, importer.version), [tmp_path])
    assert (tally.threads, tally.messages) == (2, 2)
    assert tally.problems == [Problem(str(tmp_path / "s-1.jsonl"), None, "title: is odd; the thread was left out")]


@pytest.mark.parametrize("format", ["codex", "copilot"])
def test_a_file_that_goes_away_while_its_conversation_is_read_is_told_and_the_rest_goes_in(tmp_path: Path, format: str) -> None:
    if format == "codex":
        file = codex(tmp_path, 1)
    else:
        told = Events()
        told.start()
        told.say("Hello.")
        file = tmp_path / "one.jsonl"
        file.write_text(told.text())
    again = tmp_path / ("rollout-again.jsonl" if format == "codex" else "again.jsonl")
    again.write_bytes(file.read_bytes())
    importer, reports = named(format), Reports()
    assert importer.parts is not None
    (group,) = importer.parts.together(find([tmp_path], importer.wants), reports.take)
    again.write_text("")
    thread = importer.parts.thread(group, reports.take)
    assert thread is not None
    assert [problem.file for problem in reports.problems] == [str(again)]
