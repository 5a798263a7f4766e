"""The sample of runs that a bundle is to hold: drawn as of the checkpoint or before, as `runfold sample runs --at` draws it."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, NamedTuple

from runfold.errors import UsageError
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.proofs.claims import Sample
from runfold.proofs.sample import SampledRun, write_run
from runfold.queries.sources.source import LocalSource

_MOST_IN_MEMORY = 8 * 1024 * 1024


class SampleAsked(NamedTuple):
    """What is drawn, and from what."""

    seed: str
    asked: Mapping[str, Any]
    """How many, and what the population is narrowed by, as `sample_runs` takes it."""
    with_all_leaves: bool = False
    """Whether all leaves of the log go in, from which anybody finds that the population is complete."""
    at: int | datetime | str | None = None
    """As of which position or time it is drawn; None as of the checkpoint."""


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
    """Draw a sample as of the position of a checkpoint, or of an earlier moment. Raises UsageError, MomentNotPrepared."""
    from runfold.queries.runs.sample import drawn  # noqa: PLC0415  most bundles are of no sample

    source = ledger.at(position if asked.at is None else asked.at).source
    assert isinstance(source, LocalSource), "the log is here"  # noqa: S101
    if source.up_to > position:
        said = f"position {source.up_to}" if isinstance(asked.at, int) else f"{asked.at}, which is position {source.up_to},"
        fact = f"{said} is not sealed: the last checkpoint ends at position {position}"
        raise UsageError(f"{fact}; draw as of an earlier moment, or seal what follows with `runfold seal now`")
    with (
        tempfile.SpooledTemporaryFile(_MOST_IN_MEMORY) as file,
        drawn(source, asked.seed, asked.asked) as (sample, population),
    ):
        if not sample.runs:
            raise UsageError(f"there is no run to draw from as of position {source.up_to}; narrow it less, or draw as of later")
        for run_id, thread_id in population():
            file.write(write_run(SampledRun(run_id, thread_id)))
        narrowed = sample.filters.get("thread_id", []) if set(sample.filters) == {"thread_id"} else []
        threads = tuple(dict.fromkeys([run.thread_id for run in sample.runs] + narrowed))
        claim = Sample(sample.seed, sample.n, source.up_to, sample.population, sample.filters)
        yield DrawnSample(claim, threads, file, asked.with_all_leaves)
