"""Sessions of Codex and Copilot with odd lines: none stops the others, and what was read goes in."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runfold.importers.formats import codex, copilot
from runfold.importers.importing import import_paths
from runfold.importers.sources import SourceFile
from runfold.importers.tally import Note, Problem
from tests.importers.codex.rollouts import bare, implicit, whole
from tests.importers.copilot.sessions import whole as copilot_whole
from tests.importers.mutated import mutated

Made = Callable[[], list[dict[str, Any]]]
SOURCES: dict[str, tuple[Any, Made]] = {
    "codex": (codex.FORMAT.read, lambda: whole().lines),
    "codex-2025": (codex.FORMAT.read, lambda: implicit().lines),
    "codex-bare": (codex.FORMAT.read, lambda: bare().lines),
    "copilot": (copilot.FORMAT.read, lambda: copilot_whole().records),
}


def _read(source: str, files: int, seed: int) -> list[Problem | Note]:
    reading, made = SOURCES[source]
    random, told = Random(seed), list[Problem | Note]()  # noqa: S311
    for _ in range(files):
        text = mutated(made(), random).encode("utf-8", "surrogatepass")
        for thread in reading([SourceFile("rollout-a.jsonl", None, len(text), text)], told.append):
            assert thread.thread_id.startswith("thread_")
    return told


@pytest.mark.parametrize("source", SOURCES)
def test_whatever_stands_in_a_line_the_others_are_read(source: str) -> None:
    told = _read(source, 40, 13)
    assert told
    assert [str(item) for item in told if "please report" in str(item)] == []


@pytest.mark.long
@pytest.mark.parametrize("source", SOURCES)
def test_twenty_thousand_odd_lines_stop_nothing(source: str) -> None:
    lines = len(SOURCES[source][1]())
    told = _read(source, 20_000 * 3 // lines, 31)
    assert [str(item) for item in told if "please report" in str(item)] == []


@pytest.mark.parametrize("kind", ["codex", "copilot"])
def test_what_was_read_of_odd_lines_goes_in_and_once(tenants: Any, tmp_path: Path, kind: str) -> None:
    ledger, random = tenants(f"mutated-{kind}"), Random(7)  # noqa: S311
    for number in range(25):
        made = SOURCES[kind][1]()
        made[0]["id" if kind == "copilot" else "n"] = f"root-{number}"
        text = mutated(made[1:], random).encode("utf-8", "surrogatepass")
        (tmp_path / f"rollout-{number:02}.jsonl").write_bytes(json_line(made[0], number) + text)
    tally = import_paths(ledger, kind, [tmp_path])
    assert [str(item) for item in tally.problems if "please report" in str(item)] == []
    assert tally.threads == 25
    ledger.fold()
    assert sum(row.runs for row in ledger.now.threads(limit=100).items) >= tally.runs
    assert import_paths(ledger, kind, [tmp_path]).events == 0


def json_line(first: dict[str, Any], number: int) -> bytes:
    """The first line of a session of its own."""
    if "payload" in first:
        first = {**first, "payload": {**first["payload"], "id": f"session-{number}"}}
    return json.dumps(first).encode() + b"\n"
