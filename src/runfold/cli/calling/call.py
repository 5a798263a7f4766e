"""One call of the command line: which ledger it opens, and where it answers."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from datetime import date, datetime, tzinfo

    from rich.console import Console

    from runfold.domain.times import DayCounts
    from runfold.ledger import Ledger
    from runfold.queries.reading import Reading
    from runfold.settings import Settings

PATIENCE_SECONDS = 0.4


@dataclass(frozen=True)
class Call:
    """What the options of every command say, and where the call answers."""

    json: bool = False
    verbose: bool = False
    overrides: dict[str, Any] = field(default_factory=dict)
    of_options: set[str] = field(default_factory=set, init=False, compare=False)
    """The settings that options gave, once they were asked for."""
    _held: list["Ledger"] = field(default_factory=list, init=False, repr=False, compare=False)

    @cached_property
    def out(self) -> "Console":
        """Standard output, where data goes."""
        from runfold.terminal.console import console

        return console(sys.stdout)

    @cached_property
    def err(self) -> "Console":
        """Standard error, where progress, notes and errors go."""
        from runfold.terminal.console import console

        return console(sys.stderr)

    def settings(self, **more: Any) -> "Settings":
        """The settings, from flags, then the environment, then `--env-file`, then defaults. Raises UsageError."""
        from runfold.settings import Settings

        given = {**self.overrides, **more}
        self.of_options.update(given)
        return Settings(**given)

    def moment(self, text: str) -> "int | datetime":
        """A position, or a time as people write it, in the zone of the call; a day is included. Raises UsageError."""
        from runfold.queries.reading import parse_moment

        return parse_moment(text, self.zone)

    def time(self, text: str, *, day: "DayCounts", option: str) -> "datetime":
        """A time as people write it, in the zone of the call; what it counts from or up to. Raises UsageError."""
        from runfold.domain.times import EXAMPLE, parse_time
        from runfold.domain.values import whole_number
        from runfold.errors import UsageError

        refusal = f"{option} takes a time such as {EXAMPLE}, not {text[:60]!r}"
        if whole_number(text) is not None:
            raise UsageError(refusal, option=option)
        return parse_time(text, zone=self.zone, day=day, refusal=refusal)

    def utc_day(self, text: str, *, option: str) -> "date":
        """A day by which something is counted, which is one of UTC. Raises UsageError."""
        from runfold.domain.times import parse_day
        from runfold.errors import UsageError

        if self.zone is not None and str(self.zone) not in {"UTC", "Etc/UTC"}:
            raise UsageError(f"{option} takes a day in UTC, by which usage is counted, not in {self.zone}; pass --zone UTC")
        try:
            return parse_day(text)
        except ValueError:
            raise UsageError(f"{option} takes a UTC day such as 2026-01-31, not {text!r}", option=option) from None

    @cached_property
    def zone(self) -> "tzinfo | None":
        """The time zone of times that are given without one; None where nobody named one."""
        from runfold.domain.times import parse_zone

        name = self.settings().zone
        return None if name is None else parse_zone(name)

    @contextlib.contextmanager
    def ledger(self, **more: Any) -> Iterator["Ledger"]:
        """Open the ledger, and close it in the end."""
        if self._held and not more:
            yield self._held[-1]
            return
        from runfold import logs
        from runfold.ledger import Ledger

        settings = self.settings(**more)
        logs.configure(settings.log_level)
        with self.busy("Opening the ledger"):
            ledger = Ledger.open(settings=settings)
        with ledger:
            yield ledger

    @contextlib.contextmanager
    def held_ledger(self) -> Iterator["Ledger"]:
        """Open the ledger, which meanwhile is the one that `ledger` gives."""
        with self.ledger() as ledger:
            self._held.append(ledger)
            try:
                yield ledger
            finally:
                self._held.pop()

    @contextlib.contextmanager
    def busy(self, doing: str) -> Iterator[Callable[[str], None]]:
        """Show on a terminal what is waited for, once it takes longer than a moment. Gives a function that adds details."""
        if not self.err.is_terminal:
            yield lambda _: None
            return
        from rich.markup import escape

        status = self.err.status(f"{doing} …")
        later = threading.Timer(PATIENCE_SECONDS, status.start)
        later.start()
        try:
            yield lambda more: status.update(f"{doing} … {escape(more)}")
        finally:
            later.cancel()
            later.join()
            status.stop()

    def is_confirmed(self, question: str) -> bool:
        """Ask a person whether to go on; where there is none to be asked, the command itself says so.

        Where nobody answers, as at the end of the input, it is no.
        """
        if self.json or not sys.stderr.isatty():
            return True
        try:
            return typer.confirm(question, err=True)
        except typer.Abort:
            if sys.stdin.isatty():
                raise KeyboardInterrupt from None
            return False

    def answer(self, value: Any) -> None:
        """Print the answer as JSON."""
        from runfold.terminal.console import print_json

        print_json(value)

    @contextlib.contextmanager
    def saying_if_interrupted(self, what_is_left: str) -> Iterator[None]:
        """Say what is left, and how to go on, where somebody interrupts what is done meanwhile."""
        try:
            yield
        except KeyboardInterrupt:
            self.note(f"Interrupted. {what_is_left}")
            raise

    def note(self, text: str) -> None:
        """Print a note on stderr, unless the answer is JSON."""
        if not self.json:
            self.err.print(text, style="dim", soft_wrap=True)


def pinned(call: Call, ledger: "Ledger", at: str | None, happened_at: str | None = None) -> "Reading":
    """The ledger as of a moment by either clock, or as of now; `up_to` is the position."""
    reading = ledger.now.at(ledger.position() if at is None else call.moment(at))
    return reading if happened_at is None else reading.happened_at(call.time(happened_at, day="to", option="--happened-at"))
