"""The sample of runs that a bundle is to hold: drawn as of the checkpoint, as `runfold sample runs --at` draws it there."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from runfold.errors import UsageError
from runfold.handles.tenant_ledger import TenantLedger
from runfold.proofs.claims import Sample
from runfold.proofs.sample import SampledRun, write_run
from runfold.queries.source import LocalSource

_MOST_IN_MEMORY = 8 * 1024 * 1024


class SampleAsked(NamedTuple):
    """What is drawn, and from what."""

    seed: str
    asked: Mapping[str, Any]
    """How many, and what the population is narrowed by, as `sample_runs` takes it."""
    with_all_leaves: bool = False
    """Whether all leaves of the log go in, from which anybody finds that the population is complete."""


class DrawnSample(NamedTuple):
    """A sample that was drawn."""

    claim: Sample
    threads: tuple[str, ...]
    """Those that go in whole: of the drawn runs, and those that the population is narrowed to."""
    population: IO[bytes]
    """A line for each run of it."""
    with_all_leaves: bool
    """Whether all leaves of the log go in."""

    def lines(self) -> Iterator[bytes]:
        """Give the lines of the population."""
        self.population.seek(0)
        return iter(self.population)


@contextmanager
def draw(ledger: TenantLedger, asked: SampleAsked, position: int) -> Iterator[DrawnSample]:
    """Draw a sample as of a position. Raises UsageError, MomentNotPrepared."""
    from runfold.queries.run_sample import drawn  # noqa: PLC0415  most bundles are of no sample

    source = ledger.at(position).source
    assert isinstance(source, LocalSource), "the log is here"  # noqa: S101
    with (
        tempfile.SpooledTemporaryFile(_MOST_IN_MEMORY) as file,
        drawn(source, asked.seed, asked.asked) as (sample, population),
    ):
        if not sample.runs:
            raise UsageError(f"there is no run to draw from as of position {position}, the checkpoint's; narrow it less")
        for run_id, thread_id in population():
            file.write(write_run(SampledRun(run_id, thread_id)))
        narrowed = sample.filters.get("thread_id", []) if set(sample.filters) == {"thread_id"} else []
        threads = tuple(dict.fromkeys([run.thread_id for run in sample.runs] + narrowed))
        claim = Sample(sample.seed, sample.n, position, sample.population, sample.filters)
        yield DrawnSample(claim, threads, file, asked.with_all_leaves)
