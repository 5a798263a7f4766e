"""Lines of a list of threads: beside each thread how the run stands that its head points at, and what all its runs used."""

from collections.abc import Sequence
from typing import NamedTuple

from runfold.domain.thread import MAIN
from runfold.pages.asking import Past
from runfold.projections.runs.summary import RunSummary
from runfold.queries.threads.list import ListedThread
from runfold.queries.usage.totals import UsageTotals


class ThreadLine(NamedTuple):
    """One thread of a list."""

    thread: ListedThread
    run: RunSummary | None
    """The run that its main head points at, or another head's where it has no such; None where it has no run."""
    usage: UsageTotals | None
    """What the model calls of all its runs used; None where nobody reported any."""


def lines_of(asked: Past, threads: Sequence[ListedThread]) -> list[ThreadLine]:
    """Return the lines of a window of threads, with two questions however many they are."""
    heads = {thread.thread_id: _head(thread.heads) for thread in threads}
    wanted = [run_id for run_id in heads.values() if run_id is not None]
    runs = {}
    if wanted:
        runs = {run.run_id: run for run in asked.reading.runs(run_id=wanted, limit=len(wanted)).items}
    used = {}
    if threads:
        report = asked.reading.usage(thread=[*heads], by=["thread"])
        used = {row.thread: row for row in report.rows}
    return [ThreadLine(each, runs.get(heads[each.thread_id] or ""), used.get(each.thread_id)) for each in threads]


def _head(heads: dict[str, str]) -> str | None:
    return heads.get(MAIN) or next(iter(heads.values()), None)
