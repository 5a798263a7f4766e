"""An event that was damaged where it stands: whoever reads it is told which one it is, and what to do."""

from pathlib import Path

import pytest

from runfold.demo_story import Cast
from tests.cli.conftest import Command
from tests.cli.reads import READS
from tests.damaged import DAMAGES, TIMES, damage, names_the_event
from tests.databases import TestDatabase

POSITION = 43
"""The last event of the run that is asked about."""
ENDS = ("recorded", "payload")
"""Where these words are in what is wrong with it, whoever follows the log comes to an end there."""
CASES = [
    *(f"recorded at {time}" for time in TIMES),
    "occurred at infinity",
    "occurred at a number",
    "metadata that is a list",
    "metadata nested deep",
    "context that is a list",
    "payload that is a list",
    "payload that is no UTF-8",
]


def commands(cast: Cast, folder: Path) -> dict[str, list[str]]:
    """Every way of reading that may come to that event."""
    thread, run = f"thread_{cast.name}", cast.id("run", "claim")
    return {
        **{name: words(cast) for name, words in READS.items()},
        "events as JSON": ["events", "--json"],
        "events of the thread": ["events", "--thread", thread],
        "events of the run, the last first": ["events", "--run", run, "--order", "desc"],
        "events that are followed": ["events", "--follow"],
        "events up to it": ["events", "--at", str(POSITION)],
        "thread as of then": ["thread", thread, "--at", "44"],
        "run as of then": ["run", run, "--at", "44"],
        "runs as of then": ["runs", "--at", "44"],
        "usage as of then": ["usage", "--by", "agent", "--at", "44"],
        "diff": ["diff", run, cast.id("run", "exchange")],
        "seal": ["seal", "now"],
        "evidence": ["evidence", thread, "--output", str(folder / "bundle")],
        "verify": ["verify", "--full"],
        **{f"export {name}": _export(name, folder) for name in ("parquet", "jsonl", "csv")},
        "rebuild": ["rebuild", "run_summaries"],
        "work": ["work", "--once"],
        "doctor": ["doctor"],
    }


def _export(format: str, folder: Path) -> list[str]:
    return ["export", "events", "--format", format, "--to", str(folder / format)]


@pytest.mark.sampled
@pytest.mark.parametrize("what", CASES)
def test_whatever_comes_to_an_event_that_cannot_be_read_names_it_and_what_to_do(
    runfold: Command, folded_story: Cast, database: TestDatabase, what: str, tmp_path: Path
) -> None:
    assert runfold("seal", "now").code == 0
    stream = damage(database, POSITION, what)
    told = set[str]()
    for name, words in commands(folded_story, tmp_path).items():
        if name == "events that are followed" and not any(word in what for word in ENDS):
            continue
        answer = runfold(*words)
        said = answer.out + answer.err
        assert "defect" not in said, (name, said)
        assert "unexpected" not in said, (name, said)
        if answer.code and "runfold: " in answer.err:
            assert names_the_event(answer.err, POSITION), (name, answer.err)
            assert stream in answer.err or "recorded" not in what, (name, answer.err)
            told.add(name)
    check = runfold("check")
    assert (check.code, f"osition {POSITION}" in check.out) == (5, True), check.out
    assert told >= WANTED[what], told


_READING = {"events", "events of the thread", "events that are followed", "thread", "run", "diff", "evidence", "rebuild"}
WANTED = {
    **{what: set[str]() for what in CASES},
    **{f"recorded at {time}": _READING for time in TIMES},
    "recorded at 0044-03-15 BC": {*_READING, "export parquet"},
    "occurred at a number": {"run", "diff", "rebuild", "export parquet", "export jsonl", "export csv"},
    "metadata nested deep": {"evidence"},
    "payload that is no UTF-8": {"events", "run", "diff", "rebuild", "export parquet", "export jsonl", "export csv"},
}
"""What cannot do without the event, and so must have told of it."""


@pytest.mark.parametrize("what", [each for each in DAMAGES if "recorded" in each or "deep" in each])
def test_an_event_that_cannot_be_sealed_is_named(runfold: Command, folded_story: Cast, database: TestDatabase, what: str) -> None:
    stream = damage(database, POSITION, what)
    answer = runfold("seal", "now")
    assert (answer.code, names_the_event(answer.err, POSITION), stream in answer.err) == (1, True, True), answer.err
