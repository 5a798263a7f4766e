"""A sample of runs for an audit, which anybody can draw again: the runs with the lowest digests of a seed and their ids."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Unpack

from runfold.domain.values import texts
from runfold.errors import UsageError
from runfold.history.views import View
from runfold.queries.lists.parameters import Parameter, checked
from runfold.queries.page import Standing
from runfold.queries.question import question
from runfold.queries.runs.list import RunFilters, how_many, threads_of_runs, where_runs
from runfold.queries.sources.source import LocalSource
from runfold.store.queries import filled, named_queries

DEFAULT_SIZE, MOST_DRAWN, LONGEST_SEED = 25, 10_000, 200
SEED = Parameter("What is drawn by: any text, such as 2026-Q3. The same seed draws the same runs.")

_AT_ONCE = 100_000
"""So many runs of a population are held in memory."""
_QUERIES = named_queries("runfold.queries.runs", "runs.sql")


class RunSampleParameters(RunFilters, total=False):
    """How many runs are drawn, and from which."""

    n: Annotated[
        int | None,
        Parameter(
            f"How many runs to draw, 1 to {MOST_DRAWN}; {DEFAULT_SIZE} if not given.",
            least=1,
            most=MOST_DRAWN,
            default=DEFAULT_SIZE,
        ),
    ]


def require_sample(at: object, *, is_there: bool) -> None:
    """Raise UsageError for a moment of what is no sample: of a bundle, nothing else is drawn as of one."""
    if at is not None and not is_there:
        raise UsageError("a bundle is as of the last checkpoint; only a sample is drawn as of a moment (at)")


class DrawnRun(View):
    """A run of a sample."""

    run_id: str
    thread_id: str
    digest: str
    """SHA-256 of the seed followed by the run's id, as 64 hexadecimal digits; the sample is in their order."""


class RunSample(View):
    """Some of the runs that there were as of a position, and how they were drawn."""

    n: int
    """How many were asked for; where the population is smaller, all of it is drawn."""
    seed: str
    filters: dict[str, Any]
    """What the population was narrowed by, under the names of the parameters in Python."""
    population: int
    """How many runs the sample is drawn from."""
    runs: tuple[DrawnRun, ...]
    standing: Standing
    """As of which position the population was counted."""


@question
def sample_runs(source: LocalSource, seed: Annotated[str, SEED], **asked: Unpack[RunSampleParameters]) -> RunSample:
    """A sample of runs: those whose SHA-256 of the seed followed by their ids, both in UTF-8, are the lowest.

    It depends on nothing but the seed and the runs that there are as of its position. Raises UsageError, ReadModelBehind.
    """
    with drawn(source, seed, asked) as (sample, _):
        return sample


Population = Callable[[], Iterator[tuple[str, str]]]
"""Gives all runs that a sample is drawn from, each with its thread: those with the lowest digests first."""


@contextlib.contextmanager
def drawn(source: LocalSource, seed: str, asked: Mapping[str, Any]) -> Iterator[tuple[RunSample, Population]]:
    """A sample, and all runs that it is drawn from. Raises UsageError, ReadModelBehind."""
    wanted = checked(asked, RunSampleParameters)
    n, raw = wanted.get("n", DEFAULT_SIZE), _bytes(seed)
    with source.snapshot("run_summaries", within=threads_of_runs(source, wanted), asked=wanted) as snapshot:
        where = where_runs(snapshot, wanted)
        lowest = filled(_QUERIES["lowest runs"], conditions=where.text)

        def after(digest: bytes, most: int) -> list[tuple[Any, ...]]:
            return snapshot.query(lowest, [raw, snapshot.tenant_id, *where.parameters, digest, most])

        sample = RunSample(
            n=n,
            seed=seed,
            filters=filters_said(wanted),
            population=how_many(snapshot, where),
            runs=tuple(
                DrawnRun(run_id=run_id, thread_id=thread_id, digest=digest) for run_id, thread_id, digest in after(b"", n)
            ),
            standing=snapshot.standing,
        )
        yield sample, lambda: _all(after)


def _all(after: Callable[[bytes, int], list[tuple[Any, ...]]]) -> Iterator[tuple[str, str]]:
    last = b""
    while page := after(last, _AT_ONCE):
        yield from ((run_id, thread_id) for run_id, thread_id, _ in page)
        last = bytes.fromhex(page[-1][2])


def _bytes(seed: str) -> bytes:
    (text,) = texts("seed", (seed,))
    if not 0 < len(text) <= LONGEST_SEED:
        raise UsageError(f"a seed has 1 to {LONGEST_SEED} characters, not {len(text):,}; give one such as 2026-Q3", name="seed")
    return text.encode()


def filters_said(wanted: dict[str, Any]) -> dict[str, Any]:
    """What narrows the population, as JSON has it, in the order of names; times in UTC."""
    beside = {"n", "min_position", "wait_seconds"}
    return {
        name: value.isoformat() if isinstance(value, datetime) else list(value) if isinstance(value, tuple) else value
        for name, value in sorted(wanted.items())
        if name not in beside and (name, value) != ("include_superseded", False)
    }
