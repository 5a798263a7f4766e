"""Commands that read bring read models up to date by themselves where that is little and nobody else does."""

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest

from runfold import Ledger, Run
from runfold.cli.calling import folding
from runfold.demo_story import Cast
from runfold.projections.registry import chosen
from runfold.projector.folding import team
from tests.cli.conftest import Command
from tests.databases import TestDatabase
from tests.projector.conftest import Work, running, work
from tests.waiting import until

__all__ = ["work"]
_NOTE = "folded 80 new events first, as no worker runs; `runfold work` keeps up\n"
_READING = (
    ("runs",),
    ("threads",),
    ("usage",),
    ("approvals",),
    ("attention",),
    ("decisions",),
    ("failures",),
    ("goals",),
    ("patterns", "settle-claim"),
    ("problems",),
    ("tool-calls",),
    ("rows", "messages"),
    ("rows", "tests.projector.toys:Tally"),
    ("export", "usage", "--format", "csv"),
)


def test_each_of_them_answers_at_once_in_a_ledger_that_nobody_has_folded(runfold: Command, story: Cast) -> None:
    notes = 0
    for command in _READING:
        first = runfold(*command)
        assert (first.code, first.err) in {(0, _NOTE), (0, "")}, (command, first)
        notes += first.err == _NOTE
        again = runfold(*command)
        assert (again.code, again.err, again.out == first.out or command[0] == "export") == (0, "", True), (command, again)
    assert notes > len(_READING) / 2, "some read what others had folded"


def test_an_empty_ledger_has_nothing_and_says_nothing_of_folding(runfold: Command) -> None:
    answer = runfold("runs")
    assert (answer.code, answer.err, answer.out.splitlines()[-1]) == (0, "", "0 runs as of position 0")


def test_more_than_a_little_is_left_to_a_worker(
    runfold: Command, ledger: Ledger, story: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_FOLD_ON_READ", "79")
    answer = runfold("runs")
    assert (answer.code, "has not been built yet" in answer.err) == (1, True)
    monkeypatch.setenv("RUNFOLD_FOLD_ON_READ", "80")
    assert runfold("runs", "--json").json["as_of"] == 80
    ledger.run(story.id("run", "claim")).merge_metadata({"seen": True})
    one_more = runfold("runs")
    assert (one_more.code, "folded 1 new event first" in one_more.err) == (0, True), one_more.err


@contextlib.contextmanager
def beating(database: TestDatabase, *names: str) -> Iterator[None]:
    """A worker on another machine that lives and never comes to anything. Once it has died nobody strikes it off."""
    over = threading.Event()

    def beat() -> None:
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO runfold.workers (worker, beat, host, pid, names) VALUES ('elsewhere:1:0', 1, 'elsewhere', 1, %s)",
                [list(names)],
            )
            began.set()
            while not over.wait(0.02):
                connection.execute("UPDATE runfold.workers SET beat = beat + 1 WHERE worker = 'elsewhere:1:0'")

    began, thread = threading.Event(), threading.Thread(target=beat)
    thread.start()
    assert began.wait(60)
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_one_that_has_died_elsewhere_is_not_waited_for(
    runfold: Command, story: Cast, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(team, "WATCH_BEATS", 0.2)
    with beating(database, "run_summaries/1/00000000"):
        pass
    assert "folded 80 new events first" in runfold("runs").err


def test_a_worker_that_is_at_it_is_given_a_moment_and_not_helped(
    runfold: Command, ledger: Ledger, story: Cast, work: Work, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.fold("run_summaries")
    ledger.run(story.id("run", "claim")).merge_metadata({"seen": True})
    monkeypatch.setattr(folding, "WORKER_SECONDS", 0.2)
    with beating(database, "run_summaries/1/00000000"):
        waited = runfold("runs")
        assert (waited.code, "1 events" in waited.err, "folded" in waited.err) == (0, True, False), waited.err
    monkeypatch.setattr(folding, "WORKER_SECONDS", 60.0)
    with running(work(chosen(["run_summaries"]))):
        until(lambda: ledger.projections()[0].head and any(each.worker for each in ledger.projections()))
        ledger.run(story.id("run", "claim")).merge_metadata({"seen": "twice"})
        served = runfold("runs", "--json")
        assert (served.json["as_of"], served.json["behind_events"]) == (82, 0)


def test_who_may_only_read_is_answered_from_what_there_is(
    runfold: Command, ledger: Ledger, story: Cast, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.fold("run_summaries")
    ledger.run(story.id("run", "claim")).merge_metadata({"seen": True})
    monkeypatch.setenv("RUNFOLD_PROJECTOR_URL", database.url)
    answer = runfold("runs")
    assert (answer.code, "as of position 80, 1 events" in answer.err) == (0, True), answer.err


def test_a_read_model_that_has_stopped_is_neither_folded_nor_waited_for(
    runfold: Command, ledger: Ledger, run: Run, database: TestDatabase
) -> None:
    ledger.fold("run_summaries")
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO runfold.troubles (name, generation, state, position, error, message, attempts)"
            " VALUES ('run_summaries', 1, 'stopped', 3, 'PoisonEvent', 'it failed', 4)"
        )
    run.merge_metadata({"seen": True})
    answer = runfold("runs")
    assert (answer.code, "1 events" in answer.err, "folded" in answer.err) == (0, True, False)
