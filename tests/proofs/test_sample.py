"""Samples in bundles: whether they are those that the seed draws, and from all that there are."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from runfold.proofs.claims import Sample
from runfold.proofs.container import CLAIMS, SAMPLE, BundleUnreadable, open_bundle
from runfold.proofs.findings import Findings
from runfold.proofs.sample import CREATED, SUPERSEDED, SampledRun
from runfold.proofs.verify import as_json, as_lines, findings_of
from tests.proofs.bundles import MadeUp, listed_anew

RUNS = {"run_1": "thread_a", "run_2": "thread_a", "run_3": "thread_b", "run_4": "thread_c", "run_5": "thread_old"}
LOG = MadeUp([*((thread, run, CREATED) for run, thread in RUNS.items()), ("thread_old", "thread_old", SUPERSEDED)])
SEED = "2026-Q3"


def by_digest(runs: dict[str, str]) -> list[SampledRun]:
    ordered = sorted(runs, key=lambda run: hashlib.sha256(f"{SEED}{run}".encode()).digest())
    return [SampledRun(run, runs[run]) for run in ordered]


CURRENT = by_digest({run: thread for run, thread in RUNS.items() if thread != "thread_old"})
OF_TWO = tuple(dict.fromkeys(run.thread for run in CURRENT[:2]))
DRAWN = Sample(SEED, 2, 106, len(CURRENT), {})


def found(folder: Path) -> Findings:
    return findings_of(open_bundle(folder), LOG.checkpoint)


def write(folder: Path, sample: Sample = DRAWN, population: list[SampledRun] = CURRENT, **how: Any) -> Path:
    threads = how.pop("threads", OF_TWO)
    return LOG.write(folder, *threads, sample=sample._replace(population=len(population)), population=population, **how)


def alone(*shown: str) -> set[int]:
    """The leaves of which nothing else is shown: those of all threads but some."""
    return {leaf.seq for leaf, thread in zip(LOG.leaves, LOG.threads, strict=True) if thread not in shown}


def test_the_lowest_digests_are_drawn_and_the_population_is_given_where_nothing_tells_all(tmp_path: Path) -> None:
    said = found(write(tmp_path / "b"))
    assert as_lines(said)[-3:] == [
        "sample      2 of 4 runs by the seed '2026-Q3' DRAWN",
        "population  4 runs as of position 106 GIVEN (nothing here tells that these are all)",
        "VERIFIED",
    ]
    assert as_json(said)["sample"]["runs"] == [run.run for run in CURRENT[:2]]


def test_all_leaves_tell_whether_the_population_is_complete_and_what_is_left_out_as_superseded(tmp_path: Path) -> None:
    shown = {leaf.seq for leaf in LOG.leaves if leaf.stream == "run_5"}
    whole = found(write(tmp_path / "whole", log=True, alone=alone(*OF_TWO) - shown))
    assert (whole.problems, whole.sample and whole.sample.population) == ([], "COMPLETE")
    unclear = found(write(tmp_path / "unclear", log=True, alone=alone(*OF_TWO)))
    assert unclear.problems == ["INCOMPLETE population: 1 run of the log not in it, as run_5"]
    every = DRAWN._replace(filters={"include_superseded": True})
    threads = tuple(dict.fromkeys(run.thread for run in by_digest(RUNS)[:2]))
    assert found(write(tmp_path / "every", every, by_digest(RUNS), log=True, alone=alone(*threads), threads=threads)).proven
    later = found(write(tmp_path / "later", DRAWN._replace(position=107), log=True, alone=alone(*OF_TWO) - shown))
    assert later.problems == ["NOT PROVEN: the population is as of position 107, and the log ends before"]
    narrowed = found(write(tmp_path / "other", DRAWN._replace(filters={"status": ["failed"]}), log=True, alone=alone(*OF_TWO)))
    assert (narrowed.problems, narrowed.sample and narrowed.sample.population) == ([], "GIVEN")


def test_of_threads_that_are_there_whole_the_population_is_found_too(tmp_path: Path) -> None:
    of_a = {run: thread for run, thread in RUNS.items() if thread == "thread_a"}
    named = Sample(SEED, 1, 106, 2, {"thread_id": ["thread_a"]})
    whole = found(write(tmp_path / "whole", named, by_digest(of_a), threads=("thread_a",)))
    assert (whole.problems, whole.sample and whole.sample.population) == ([], "COMPLETE")
    less = found(write(tmp_path / "less", named, by_digest(of_a)[:1], threads=("thread_a",)))
    assert less.problems == [f"INCOMPLETE population: 1 run of the log not in it, as {by_digest(of_a)[1].run}"]
    more = found(write(tmp_path / "more", named, by_digest({**of_a, "run_9": "thread_a"}), threads=("thread_a",)))
    assert "INCOMPLETE population: 1 run of it not in the log, as run_9" in more.problems


def test_a_run_that_is_among_the_lowest_and_not_in_the_bundle_is_named(tmp_path: Path) -> None:
    (first, *_) = CURRENT
    others = tuple(thread for thread in ("thread_a", "thread_b", "thread_c") if thread != first.thread)
    said = found(write(tmp_path / "b", threads=others))
    assert said.problems[0] == f"NOT DRAWN: {first.run} is among the lowest, and is not in the bundle with its thread"
    assert said.sample is not None
    assert said.sample.drawn == "NOT DRAWN"
    assert said.verdict == "NOT PROVEN"


def test_a_population_out_of_order_or_of_another_number_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole")
    lines = (whole / SAMPLE).read_bytes().splitlines(keepends=True)
    claims = (whole / CLAIMS).read_bytes()
    lies = {
        "swapped": (SAMPLE, b"".join(lines[::-1])),
        "twice": (SAMPLE, b"".join([lines[0], *lines])),
        "less": (SAMPLE, b"".join(lines[1:])),
        "another seed": (CLAIMS, claims.replace(b"2026-Q3", b"2026-Q4")),
        "number": (CLAIMS, claims.replace(b'"n":"2"', b'"n":2')),
        "filters": (CLAIMS, claims.replace(b'"filters":{}', b'"filters":[]')),
        "no sample": (CLAIMS, b'{"log":false,"threads":["thread_a"],"v":1}\n'),
        "fields": (SAMPLE, lines[0].replace(b'"run"', b'"ran"')),
    }
    for name, (file, raw) in lies.items():
        folder = shutil.copytree(whole, tmp_path / name)
        assert raw != (folder / file).read_bytes(), name
        (folder / file).write_bytes(raw)
        listed_anew(folder)
        with pytest.raises(BundleUnreadable):
            found(folder)
