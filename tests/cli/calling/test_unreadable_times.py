"""A time that PostgreSQL holds and Python cannot, beside an event: whoever reads it is told of which event it is."""

from pathlib import Path

import psycopg
import pytest

from runfold.demo_story import Cast
from tests.cli.conftest import Command
from tests.cli.reads import READS
from tests.databases import TestDatabase

TIMES = ["infinity", "-infinity", "0044-03-15 BC", "10001-01-01"]
POSITION = 43
"""The last event of the run that is asked about."""


def commands(cast: Cast, folder: Path) -> dict[str, list[str]]:
    """Every way of reading that may come to that event."""
    thread, run = f"thread_{cast.name}", cast.id("run", "claim")
    return {
        **{name: words(cast) for name, words in READS.items()},
        "events of the thread": ["events", "--thread", thread],
        "events of the run, the last first": ["events", "--run", run, "--order", "desc"],
        "events that are followed": ["events", "--follow"],
        "thread as of then": ["thread", thread, "--at", "44"],
        "usage as of then": ["usage", "--by", "agent", "--at", "44"],
        "diff": ["diff", run, cast.id("run", "exchange")],
        "seal": ["seal", "now"],
        "evidence": ["evidence", thread, "--output", str(folder / "bundle")],
        "verify": ["verify", "--full"],
        "export events": ["export", "events", "--output", str(folder / "events")],
        "rebuild": ["rebuild", "run_summaries"],
        "work": ["work", "--once"],
        "doctor": ["doctor"],
    }


@pytest.mark.parametrize("time", TIMES)
def test_whatever_reads_an_event_with_a_time_that_is_none_names_the_event_and_what_to_do(
    runfold: Command, folded_story: Cast, database: TestDatabase, time: str, tmp_path: Path
) -> None:
    assert runfold("seal", "now").code == 0
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE runfold.log DISABLE TRIGGER USER")
        admin.execute("UPDATE runfold.log SET recorded_at = %s WHERE notification_id = %s", [time, POSITION])
        ((place,),) = admin.execute(
            "SELECT format('position %%s (version %%s of %%s)', notification_id, originator_version, originator_id)"
            " FROM runfold.log WHERE notification_id = %s",
            [POSITION],
        ).fetchall()
    told = set[str]()
    for name, words in commands(folded_story, tmp_path).items():
        answer = runfold(*words)
        said = answer.out + answer.err
        assert "defect" not in said, (name, said)
        assert "unexpected" not in said, (name, said)
        if answer.code and "runfold: " in answer.err:
            assert place in answer.err or name == "export events", (name, answer.err)  # where a file's format says no
            assert "runfold check" in answer.err, name
            told.add(name)
    assert told >= {
        "events",
        "events of the thread",
        "events that are followed",
        "thread",
        "run",
        "diff",
        "evidence",
        "rebuild",
    }, told
