"""A sample of runs in a bundle: whether they are those that the seed draws, and whether they were drawn from all there are.

The runs that a sample is drawn from are listed in the bundle. That these are all is found where the bundle itself tells all: with
all leaves of the log, or where the sample is of threads that are in it whole. Else they are given, and no more.
"""

import hashlib
from typing import NamedTuple

from runfold.proofs.claims import Sample
from runfold.proofs.container import SAMPLE, Bundle, BundleUnreadable
from runfold.proofs.fields import object_in, text_in
from runfold.proofs.findings import Findings, SampleFound, Seen
from runfold.proofs.leaf import canonical

CREATED, SUPERSEDED = "run.created", "thread.superseded"
"""The types of the events with which a run begins, and by which others stand for a thread."""


class SampledRun(NamedTuple):
    """A run of the population of a sample, and its thread."""

    run: str
    thread: str


def write_run(run: SampledRun) -> bytes:
    """A run of a population → its line."""
    return canonical(run._asdict()).encode() + b"\n"


def read_run(line: bytes) -> SampledRun:
    """A line → a run of a population. Raises BundleUnreadable."""
    said = object_in(line, SAMPLE)
    if set(said) != set(SampledRun._fields):
        raise BundleUnreadable(f"{SAMPLE} has a run with fields that none has")
    return SampledRun(text_in(said["run"], SAMPLE), text_in(said["thread"], SAMPLE))


class SampleSearch:
    """Finds whether the runs that the seed draws are in a bundle. Memory grows with the runs of the population."""

    def __init__(self, bundle: Bundle, sample: Sample) -> None:
        self._sample = sample
        self._population = self._read(bundle)
        self._drawn = dict(list(self._population.items())[: sample.n])
        """By run: its thread."""
        self._found: dict[str, str | None] = {}
        """Runs that begin in the bundle, and their threads where these are shown."""
        self._superseded: set[str] = set()
        """Threads that others stand for."""
        self._last = 0

    def _read(self, bundle: Bundle) -> dict[str, str]:
        found, before = dict[str, str](), b""
        for run, thread in map(read_run, bundle.lines(SAMPLE)):
            digest = hashlib.sha256(self._sample.seed.encode() + run.encode()).digest()
            if digest <= before:
                raise BundleUnreadable(f"{SAMPLE} is not in the order of the digests of seed and run, or holds a run twice")
            found[run], before = thread, digest
        if len(found) != self._sample.population:
            raise BundleUnreadable(f"{SAMPLE} has {len(found)} runs, and not the {self._sample.population} that it is to have")
        return found

    def take(self, seen: Seen) -> None:
        """Take the next leaf in, in the order of the log."""
        leaf = seen.leaf
        self._last = leaf.position
        if leaf.position > self._sample.position:
            return
        if leaf.type == CREATED:
            self._found[leaf.stream] = seen.thread
        elif leaf.type == SUPERSEDED:
            self._superseded.add(leaf.stream)

    def close(self, found: Findings) -> None:
        """Note what was found, after events, threads and the log were judged."""
        found.sample = SampleFound(self._sample, list(self._drawn))
        before = found.problem_count
        for run, thread in self._drawn.items():
            if self._found.get(run) != thread or thread not in found.threads:
                found.problem(f"NOT DRAWN: {run} is among the lowest, and is not in the bundle with its thread")
        if found.problem_count == before:
            found.sample.drawn = "DRAWN"
        self._judge_population(found, found.sample)

    def _judge_population(self, found: Findings, sample: SampleFound) -> None:
        all_runs = self._all_runs(found)
        if all_runs is None:
            return
        population = self._population.keys()
        if found.is_whole_log and self._last < self._sample.position:
            found.problem(f"NOT PROVEN: the population is as of position {self._sample.position}, and the log ends before")
        elif missing := sorted(all_runs - population):
            found.problem(f"INCOMPLETE population: {_runs(missing)} of the log not in it, as {missing[0]}")
        elif strange := sorted(population - all_runs):
            found.problem(f"INCOMPLETE population: {_runs(strange)} of it not in the log, as {strange[0]}")
        else:
            sample.population = "COMPLETE"
            return
        sample.population = "INCOMPLETE"

    def _all_runs(self, found: Findings) -> set[str] | None:
        """Return the runs that there are to draw from; None where the bundle does not tell."""
        filters = dict(self._sample.filters)
        threads, every = filters.pop("thread_id", None), filters.pop("include_superseded", None)
        if filters:
            return None
        if isinstance(threads, list):
            if not all(found.holds_all_of(thread) for thread in map(str, threads)):
                return None
            return {run for run, thread in self._found.items() if thread in threads}
        if not found.is_whole_log:
            return None
        left_out = set() if every else self._superseded
        return {run for run, thread in self._found.items() if (thread or self._population.get(run)) not in left_out}


def _runs(found: list[str]) -> str:
    return "1 run" if len(found) == 1 else f"{len(found)} runs"
