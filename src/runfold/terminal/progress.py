"""A progress bar with counts, rate and time left. It is drawn on a terminal only."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from runfold.terminal.text import one_line, shown

Told = Callable[[int, int, str], None]
"""Takes how many are done, of how many, and the name of the current one."""


class _Counts(ProgressColumn):
    """`12,000/80,000 events  9,000 events/s`, or the same in MB."""

    def __init__(self, unit: str) -> None:
        super().__init__(Column(no_wrap=True))
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Draw the counts and the rate."""
        rate = task.finished_speed or task.speed or 0
        return Text(f"{self._number(task.completed)} of {self._number(task.total or 0)}, {self._number(rate)}/s", style="dim")

    def _number(self, number: float) -> str:
        return decimal(int(number)) if self._unit == "bytes" else f"{number:,.0f} {self._unit}"


@contextlib.contextmanager
def progress_bar(err: Console, doing: str, unit: str) -> Iterator[Told]:
    """Give a function that takes the progress, and draw it."""
    if not err.is_terminal:
        yield lambda _done, _total, _which: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        _Counts(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[at]}"),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(doing, total=None, at="")

        def told(done: int, total: int, which: str) -> None:
            bar.update(task, completed=done, total=total, at=shown(one_line(which, 40)).plain)

        yield told
