"""No clock decides who folds what: times are noted for people to look at."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import runfold.projector
from runfold.projector import checkpoints
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Work, running
from tests.projector.division import MANY, holders, is_divided
from tests.projector.soundness import Books, require_sound
from tests.waiting import until

CLOCKS = (("workers", "started_at"), ("workers", "beaten_at"), ("checkpoints", "moved_at"), ("read_models", "created_at"))


@pytest.mark.fault("E1", "E2")
def test_times_in_the_database_decide_nothing(database: TestDatabase, fill: Fill, work: Work, books: Books) -> None:
    fill()
    with running(work(MANY, 60.0), work(MANY, 60.0)):
        until(lambda: len(checkpoints.peers(books.connection)) == 2 and is_divided(books))
        kept = holders(books)
        for moment in ("0001-01-02", "1970-01-01", "2999-01-01", "9999-12-30"):
            for table, column in CLOCKS:
                books.connection.execute(f"UPDATE runfold.{table} SET {column} = %s", [moment])
            head = fill(1)
            until(lambda: {model.position for model in books.models()} == {head})  # noqa: B023
            time.sleep(0.25)
            assert holders(books) == kept
    require_sound(database.projector_url, MANY.values())


@pytest.mark.fault("E1", "E2")
def test_a_wall_clock_that_jumps_changes_nothing(
    database: TestDatabase, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [0.0, 4e9, -3600.0]
    with running(work(MANY, 60.0), work(MANY, 60.0)):
        fill()
        until(lambda: len(checkpoints.peers(books.connection)) == 2 and is_divided(books))
        kept = holders(books)
        honest: Callable[[], float] = time.time
        monkeypatch.setattr(time, "time", lambda: honest() + moments[int(time.monotonic() * 100) % 3])
        for _ in range(5):
            fill(1)
            time.sleep(0.1)
        until(lambda: is_divided(books))
        assert holders(books) == kept
        monkeypatch.undo()
    require_sound(database.projector_url, MANY.values())


@pytest.mark.fault("E1")
def test_no_wall_clock_is_asked_by_the_projector() -> None:
    """Watches (`time.monotonic`) measure pauses; in SQL the clock only notes for people when something was."""
    folder = Path(runfold.projector.__file__).parent
    asked = re.compile(r"time\.time|datetime\.now|utcnow|localtime|date\.today")
    assert [path.name for path in folder.glob("*.py") if path.name != "purity.py" and asked.search(path.read_text())] == []
    statements = (folder / "checkpoints.sql").read_text().split("-- name: ")
    clocks = {name.partition("\n")[0] for name in statements if re.search(r"clock_timestamp|\bnow\(\)|current_(time|date)", name)}
    assert clocks == {"beat", "advance", "ages"}, "these note it, and the last says how long an event has waited"
    written = {column for text in statements for column in re.findall(r"(\w+) = clock_timestamp\(\)", text)}
    assert written == {"beaten_at", "moved_at"}
    compared = [text for text in statements if re.search(r"WHERE[^;]*(_at\b|clock_timestamp)", text)]
    assert compared == [], "and nothing is chosen by it"
