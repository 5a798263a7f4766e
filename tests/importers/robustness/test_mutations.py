"""Sources that went wrong: nothing raises, and each line is read, reported or counted; what went in is what the tally says."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.formats import named, names
from runfold.importers.importing import import_paths, threads_of
from runfold.importers.sources import SourceFile
from runfold.importers.tally import COUNTS, Reports, Tally
from tests.importers.otlp import traces
from tests.importers.robustness.mutations import mutated
from tests.importers.robustness.samples import BY_LINE, SAMPLES, files_of

MUTATIONS, LONG = 300, 20_000
"""How many records of each format are changed in the suite, and with --long."""
_decoder = json.JSONDecoder(strict=False, parse_int=len)
TOGETHER = 5
"""Records that are changed in one source at a time, at most."""


def _chance(*seed: object) -> random.Random:
    return random.Random(repr(seed))  # noqa: S311  # not a secret


def _records(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _changed(format: str, paths: Sequence[Path], chance: random.Random) -> tuple[list[SourceFile], int]:
    """The files with some records of one of them changed, and how many those are."""
    sources = {path: path.read_bytes() for path in paths}
    path = chance.choice(paths)
    count = chance.randrange(1, TOGETHER + 1)
    if format in BY_LINE:
        lines = _records(path)
        for _ in range(count):
            at = chance.randrange(len(lines))
            lines[at] = mutated(chance, lines[at].rstrip(b"\n")) + b"\n"
        sources[path] = b"".join(lines)
    else:
        count = 1
        sources[path] = mutated(chance, sources[path].removeprefix(b"\xef\xbb\xbf"))
    return [SourceFile(str(path), None, len(raw), raw) for path, raw in sources.items()], count


def _read(format: str, files: Sequence[SourceFile]) -> tuple[int, Reports]:
    reports = Reports()
    return sum(1 for _ in threads_of(named(format), files, reports)), reports


@pytest.mark.parametrize("format", names())
def test_nothing_raises_and_what_is_no_json_is_told(format: str, tmp_path: Path) -> None:
    _read_mutations(format, tmp_path, MUTATIONS)


@pytest.mark.long
@pytest.mark.parametrize("format", names())
def test_nothing_raises_in_many_more(format: str, tmp_path: Path) -> None:
    _read_mutations(format, tmp_path, LONG)


@pytest.mark.parametrize(("format", "seed"), [("otlp", 3051), ("inspect", 193), ("codex", 1990)])
def test_what_once_failed_does_not_fail_again(format: str, seed: int, tmp_path: Path) -> None:
    files, _ = _changed(format, files_of(format, tmp_path), _chance(format, seed))
    threads, reports = _read(format, files)
    assert threads or reports.problems or reports.by_kind


def _pretty_traces(folder: Path) -> None:
    (folder / "traces.json").write_text(json.dumps(traces.request(*traces.turn(1)), indent=1))


@pytest.mark.parametrize(
    ("format", "write", "word"),
    [
        ("ag-ui", SAMPLES["ag-ui"], b"Sunny"),
        ("claude-code", SAMPLES["claude-code"], b"green"),
        ("inspect", SAMPLES["inspect"], b"What is it"),
        ("otlp", SAMPLES["otlp"], b"Question"),
        ("otlp", _pretty_traces, b"Question"),
        ("tau-bench", SAMPLES["tau-bench"], b"kind"),
        ("tau2", SAMPLES["tau2"], b"Error"),
    ],
)
def test_a_byte_that_is_not_utf_8_is_told_and_nothing_is_lost(
    format: str, write: Callable[[Path], None], word: bytes, tmp_path: Path
) -> None:
    write(tmp_path)
    sources = {str(path): path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    sound = [SourceFile(name, None, len(raw), raw) for name, raw in sources.items()]
    assert any(word in raw for raw in sources.values())
    broken = [SourceFile(name, None, len(raw), raw.replace(word, word[:-1] + b"\xff")) for name, raw in sources.items()]
    threads, reports = _read(format, broken)
    assert (threads, _read(format, sound)[1].problems) == (_read(format, sound)[0], [])
    assert reports.by_kind or reports.problems
    assert not [problem for problem in reports.problems if "JSON:" in problem.reason]


def test_a_type_of_an_event_that_is_no_text_is_told() -> None:
    """Nor is it looked up among the types that end a run: a list has no hash."""
    events = [{"type": "RUN_STARTED", "threadId": "t", "runId": "r"}, {"type": ["RUN_FINISHED"], "threadId": "t", "runId": "r"}]
    raw = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    threads, reports = _read("ag-ui", [SourceFile("chat_response.sse", None, len(raw), raw)])
    assert threads == 1
    assert reports.problems or reports.by_kind


def _read_mutations(format: str, folder: Path, count: int) -> None:
    paths, done, seed = files_of(format, folder), 0, 0
    while done < count:
        files, changed = _changed(format, paths, _chance(format, seed))
        threads, reports = _read(format, files)
        assert threads or reports.problems or reports.by_kind, f"seed {seed}: nothing was read, and nothing is told"
        for file in files:
            if format in BY_LINE:
                _require_told(file, reports, seed)
        done, seed = done + changed, seed + 1


def _require_told(file: SourceFile, reports: Reports, seed: int) -> None:
    """What is no JSON at all is a problem of its line, or a note's."""
    told = {problem.line for problem in reports.problems if problem.file == file.name}
    for number, line in enumerate(file.read().split(b"\n"), 1):
        if not _is_json(line.decode(errors="replace").strip(" \t\r\0")):
            assert number in told or reports.by_kind or None in told, f"seed {seed}: line {number} of {file.name}"


def _is_json(text: str) -> bool:
    """Whether a line holds one record, or several."""
    at = 0
    while at < len(text):
        try:
            _, at = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return False
    return True


def _in_ledger(ledger: Ledger) -> Tally:
    counted = Tally()
    for recorded in ledger.subscribe(follow=False):
        counted.count(recorded.event)
    return counted


@pytest.mark.parametrize("format", names())
def test_what_went_in_of_a_source_gone_wrong_is_what_the_tally_says(
    format: str, tenants: Callable[[str], Ledger], tmp_path: Path
) -> None:
    for seed in range(4):
        _require_counted(format, seed, tenants, tmp_path / str(seed))


@pytest.mark.long
@pytest.mark.parametrize("format", names())
def test_what_went_in_of_many_more_is_what_the_tally_says(format: str, tenants: Callable[[str], Ledger], tmp_path: Path) -> None:
    for seed in range(1_000, 1_100):
        _require_counted(format, seed, tenants, tmp_path / str(seed))


def _require_counted(format: str, seed: int, tenants: Callable[[str], Ledger], folder: Path) -> None:
    sound, changed = folder / "sound", folder / "changed"
    sound.mkdir(parents=True)
    files, _ = _changed(format, files_of(format, sound), _chance(format, "recorded", seed))
    for file in files:
        target = changed / Path(file.name).relative_to(sound)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read())
    with closing(tenants(f"{format}-changed-{seed}")) as ledger:
        tally = import_paths(ledger, format, [changed])
        assert tally.counted() == _in_ledger(ledger).counted(), f"seed {seed}"
        assert all(problem.file for problem in tally.problems)
        again = import_paths(ledger, format, [changed])
        assert (again.events, again.counted()) == (0, tally.counted()), f"seed {seed}"


@pytest.mark.parametrize("format", names())
def test_the_tally_is_what_is_in_the_ledger(format: str, tenants: Callable[[str], Ledger], tmp_path: Path) -> None:
    paths = files_of(format, tmp_path)
    ledger = tenants(f"{format}-tally")
    tally = import_paths(ledger, format, paths)
    assert tally.problems == []
    counts: Counter[str] = Counter()
    types = {
        "thread.created": "threads",
        "run.created": "runs",
        "message.added": "messages",
        "tool.called": "tool_calls",
        "tool.failed": "tool_errors",
        "decision.made": "decisions",
        "approval.requested": "approvals",
    }
    for recorded in ledger.subscribe(follow=False):
        counts[types.get(recorded.type, "")] += 1
        tokens: Any = getattr(recorded.event, "tokens", None)
        if recorded.type == "usage.recorded":
            counts["input_tokens"] += tokens.input_tokens or 0
            counts["output_tokens"] += tokens.output_tokens or 0
    said = tally.as_json()
    assert {name: said[name] for name in COUNTS} == {name: counts[name] for name in COUNTS}
    assert said["events"] == sum(counts.values()) - counts["input_tokens"] - counts["output_tokens"]
    assert said["messages"] > 0
