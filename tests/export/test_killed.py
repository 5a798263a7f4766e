"""An export that is killed anywhere goes on, and ends as one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runfold import Ledger
from runfold.export.exporting import export
from runfold.failpoint import EXPORT_POINTS
from tests.databases import TestDatabase
from tests.export.conftest import record
from tests.export.reading import bytes_of, rows_of, said_by

TABLE_ONLY = {"table taken", "table set aside", "table in place"}
PROGRAM = """
import sys
from runfold import Ledger
from runfold.export.exporting import export
with Ledger.open(sys.argv[1]) as ledger:
    export(ledger, sys.argv[2], sys.argv[3], sys.argv[4], rows_per_part=int(sys.argv[5]))
"""


def started(database: TestDatabase, table: str, format: str, to: Path, rows: int, point: str = "") -> "subprocess.Popen[bytes]":
    call = [sys.executable, "-c", PROGRAM, database.url, table, format, str(to), str(rows)]
    return subprocess.Popen(call, env={**os.environ, "RUNFOLD_FAILPOINT": point})


def die(database: TestDatabase, table: str, format: str, to: Path, point: str) -> None:
    """Export until that point."""
    assert started(database, table, format, to, 10, point).wait(240) == -signal.SIGKILL, "it came to that point"


@pytest.mark.parametrize(("format", "times"), [("parquet", 3), ("jsonl", 1)])
@pytest.mark.parametrize("point", [point for point in EXPORT_POINTS if point not in TABLE_ONLY])
def test_events_killed_at_any_point_end_as_if_nothing_had_been(
    recorded: Ledger, database: TestDatabase, to: Path, format: str, point: str, times: int
) -> None:
    die(database, "events", format, to, f"{point}:{times}")
    export(recorded, "events", format, to, rows_per_part=10)
    export(recorded, "events", format, to / "unkilled", rows_per_part=10)
    assert bytes_of(to / "events") == bytes_of(to / "unkilled" / "events")


def test_a_part_that_was_not_listed_yet_does_not_count_when_the_log_has_grown(
    recorded: Ledger, database: TestDatabase, to: Path
) -> None:
    parts = -(-recorded.position() // 10)
    die(database, "events", "jsonl", to, f"part in place:{parts}")
    record(recorded, 1)
    export(recorded, "events", "jsonl", to, rows_per_part=10)
    assert [row["position"] for row in rows_of(to / "events")] == list(range(1, recorded.position() + 1))


@pytest.mark.parametrize("point", ["table taken", "part written:3", "part in place:3", "part listed:3"])
def test_a_table_killed_at_any_point_is_not_there_and_then_there_as_a_whole(
    recorded: Ledger, database: TestDatabase, to: Path, point: str
) -> None:
    recorded.fold("messages")
    die(database, "messages", "parquet", to, point)
    assert not (to / "messages").exists()
    made = export(recorded, "messages", "parquet", to, rows_per_part=10)
    export(recorded, "messages", "parquet", to / "unkilled", rows_per_part=10)
    assert bytes_of(to / "messages") == bytes_of(to / "unkilled" / "messages")
    assert made.new_rows == made.manifest.rows


@pytest.mark.parametrize("point", EXPORT_POINTS)
def test_a_table_killed_while_it_is_made_anew_leaves_an_old_or_a_new_one(
    recorded: Ledger, database: TestDatabase, to: Path, point: str
) -> None:
    recorded.fold("messages")
    before = export(recorded, "messages", "jsonl", to, rows_per_part=10).manifest
    record(recorded, 1)
    recorded.fold("messages")
    die(database, "messages", "jsonl", to, point)
    if point != "table set aside":
        assert (said_by(to / "messages") == before) is (point != "table in place")
    export(recorded, "messages", "jsonl", to, rows_per_part=10)
    export(recorded, "messages", "jsonl", to / "unkilled", rows_per_part=10)
    assert bytes_of(to / "messages") == bytes_of(to / "unkilled" / "messages")
    assert {path.name for path in to.iterdir()} == {"messages", ".messages.lock", "unkilled"}


def test_a_table_that_was_taken_down_before_the_read_model_went_on_is_taken_anew(
    recorded: Ledger, database: TestDatabase, to: Path
) -> None:
    recorded.fold("messages")
    die(database, "messages", "jsonl", to, "part listed:2")
    record(recorded, 1)
    recorded.fold("messages")
    made = export(recorded, "messages", "jsonl", to, rows_per_part=10)
    assert made.manifest.as_of == recorded.position()
    assert len(rows_of(to / "messages")) == made.manifest.rows == 60


def test_killed_at_any_time_again_and_again_it_ends_right(recorded: Ledger, database: TestDatabase, to: Path) -> None:
    record(recorded, 20)
    kills = 0
    for _ in range(6):
        # The first dies by itself before it is done, in case nobody is in time to kill it.
        process = started(database, "events", "jsonl", to, 4, "" if kills else "part listed:20")
        while not (to / "events").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.uniform(0.0, 0.2) if kills else 0)  # noqa: S311
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
    assert kills, "it was killed"
    export(recorded, "events", "jsonl", to, rows_per_part=4)
    assert [row["position"] for row in rows_of(to / "events")] == list(range(1, recorded.position() + 1))
