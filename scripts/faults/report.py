"""What people see: one line a row, and the total."""

import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from faults.row import Row
from faults.stage import Figures

COUNTS = ("acknowledged", "stored", "lost", "doubled", "skipped", "inverted", "holes")


def describe(rows: Iterable[Row]) -> None:
    """What each row does."""
    for row in rows:
        print(f"{row.id}  {row.name}{'  (also in --short)' if row.short else ''}")
        print(textwrap.indent(textwrap.fill(row.purpose, 110), "    "))


def print_header(out: Any = None) -> None:
    """The names of the columns."""
    counts = " ".join(f"{name:>{_width(name)}}" for name in COUNTS)
    print(f"{'row':10} {'':38} {'verdict':8} {counts} {'s':>6}", file=out or sys.stdout, flush=True)


def print_row(figures: Figures, out: Any = None) -> None:
    """One row, and below it what else was measured or went wrong."""
    out = out or sys.stdout
    counts = " ".join(f"{getattr(figures, name):>{_width(name)},}" for name in COUNTS)
    print(f"{figures.row:10} {figures.name:38} {figures.verdict:8} {counts} {figures.seconds:6.1f}", file=out)
    for line in _notes(figures):
        print(textwrap.indent(textwrap.fill(line, 120), " " * 11), file=out)
    out.flush()


def _notes(figures: Figures) -> Iterable[str]:
    if figures.skipped_because:
        yield figures.skipped_because
    if figures.measured:
        yield "; ".join(f"{name} {value}" for name, value in figures.measured.items())
    if figures.errors:
        yield "clients saw: " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(figures.errors.items()))
    yield from (f"!! {failure}" for failure in figures.failures)
    yield from (f"!! {example}" for example in figures.examples)


def print_total(figures: Figures, out: Any = None) -> None:
    """The last line."""
    print_row(figures, out)


def total(rows: Sequence[Figures]) -> Figures:
    """All rows together."""
    summed = Figures(row="total", name=f"{sum(not row.skipped_because for row in rows)} rows of {len(rows)} ran")
    for name in (*COUNTS, "seconds", "unacknowledged"):
        setattr(summed, name, sum(getattr(row, name) for row in rows))
    failed = [row.row for row in rows if row.failures]
    summed.failures = [f"these rows failed: {', '.join(failed)}"] if failed else []
    return summed


def _width(name: str) -> int:
    return max(len(name), 8)
