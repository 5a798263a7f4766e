"""Following folders: what comes to be in them, and what is added to their files, is imported at the next look.

A look asks for the size and times of each file and no more. Where one has changed, what is read are the files of its thread;
which these are is known of the others from earlier looks. As an import is, it is safe to be killed, and to be begun again.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_when_event_set, wait_exponential

from runfold.errors import LedgerError, LedgerUnavailable, UsageError, VersionConflict
from runfold.importers.files import inside, is_pipe, regular
from runfold.importers.format import Format, SourceThread
from runfold.importers.formats import named
from runfold.importers.import_name import checked_name, name_of_import
from runfold.importers.looks import Looks, Stamp, stamp_of
from runfold.importers.processes import Group, processes_for, store_groups
from runfold.importers.source_import import Outcome
from runfold.importers.sources import SourceFile, find
from runfold.importers.storing import store_all
from runfold.importers.tally import Note, Problem, Reports
from runfold.ledger import Ledger

EVERY_SECONDS = 1.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between two tries where the database is away."""


@dataclass(frozen=True)
class Change:
    """What was imported of one thread at one look."""

    thread_id: str
    label: str
    events: int
    """How many were new."""

    def as_json(self) -> dict[str, Any]:
        """Ready for `--json`."""
        return {"thread_id": self.thread_id, "label": self.label, "events": self.events}


@dataclass
class Followed:
    """What following came to."""

    files: int = 0
    """How many there were at the last look."""
    looks: int = 0
    events: int = 0
    problems: int = 0
    changes: int = 0
    """How often something of a thread was new."""
    seconds: float = 0.0
    threads: set[str] = field(default_factory=set)
    """Those of which something was new."""

    def as_json(self) -> dict[str, Any]:
        """One object, as `--json` ends with it."""
        return {**vars(self), "threads": len(self.threads), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Told:
    """Whom following tells what it does."""

    change: Callable[[Change], None] = lambda _: None
    problem: Callable[[Problem], None] = lambda _: None
    progress: Callable[[int, int, str], None] = lambda _done, _total, _which: None
    """Takes the bytes that are read of those that have changed, and the thread that went in."""
    idle: Callable[[Followed], None] = lambda _: None
    """Told after each look."""
    away: Callable[[LedgerError, float], None] = lambda _error, _seconds: None
    """Told why the database does not answer, and after how many seconds it is tried again."""


class _Stopped(Exception):
    """It is to end, and what is half done is left for the next time."""


class Follower:
    """Keeps a ledger up with what is in folders."""

    def __init__(
        self,
        ledger: Ledger,
        format: str,
        paths: Sequence[str | Path],
        told: Told | None = None,
        *,
        processes: int | None = None,
        source: str | None = None,
    ) -> None:
        """`processes` and `source` are those of `import_paths`.

        Raises UsageError for an unknown format, a path that is not there, and standard input.
        """
        self._importer: Format = named(format)
        if any(str(path) == "-" or is_pipe(Path(path)) for path in paths):
            raise UsageError("standard input and pipes cannot be followed; name files or folders, or leave out --follow")
        no_folders = [path for path in paths if not str(path) or not Path(path).is_dir()]
        find(no_folders, self._importer.wants)  # says which is not there
        self._ledger, self._format, self._paths = ledger, format, list(paths)
        self._told, self._processes = told or Told(), processes
        self._name = name_of_import(format, paths) if source is None else checked_name(source)
        self._looks = Looks()
        self._in: dict[str, Stamp] = {}
        """The files that are in, as they were then."""
        self._problems: set[Problem] = set()
        self._found: list[Problem] = []
        """Those that are told once their file has been the same for a look: one that is still written may be half there."""
        self._stop, self._took = threading.Event(), 0.0
        self.followed = Followed()

    def follow(self, every: float = EVERY_SECONDS, stop: threading.Event | None = None) -> Followed:
        """Look again and again until it is to stop. After a look that took long, rests for as long.

        A database that is away is waited for. Raises LedgerError for what does not pass by itself.
        """
        self._stop = stop or self._stop
        began = time.monotonic()
        try:
            while not self._stop.is_set():
                self._look_until_done()
                self.followed.looks += 1
                self._told.idle(self.followed)
                self._stop.wait(max(every, self._took))
        except _Stopped:
            pass
        self._tell_problems(set())
        self.followed.seconds = time.monotonic() - began
        return self.followed

    def look(self) -> None:
        """Import what is new since the last look. Raises LedgerUnavailable, after which the next look does it."""
        began, found = time.monotonic(), dict(self._files())
        stamps = {path: file.stamp for path, file in found.items() if file.stamp is not None}
        self._looks.keep(found)
        self.followed.files = len(found)
        changed = {path for path, stamp in stamps.items() if self._in.get(path) != stamp}
        self._tell_problems(changed | (self._in.keys() - stamps.keys()))
        if changed:
            self._import(list(found.values()), changed)
        self._in, self._took = stamps, time.monotonic() - began

    def _look_until_done(self) -> None:
        tries = Retrying(
            retry=retry_if_exception(_passes),
            wait=wait_exponential(FIRST_WAIT, LONGEST_WAIT, min=FIRST_WAIT),
            stop=stop_when_event_set(self._stop),
            sleep=self._rest,
            before_sleep=self._say_away,
            retry_error_callback=_give_up,
        )
        tries(self.look)

    def _rest(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _say_away(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, LedgerError) and state.next_action is not None:
            self._told.away(error, state.next_action.sleep)

    def _import(self, files: Sequence[SourceFile], changed: set[str]) -> None:
        reports = Reports()
        groups = [group for group in self._groups(files, reports) if any(str(file.path) in changed for file in group)]
        size = sum(file.share for group in groups for file in group)
        done = _Done(self, size)
        wanted = processes_for(size) if self._processes is None else self._processes
        if wanted > 1 and len(groups) > 1:
            store_groups(self._ledger, self._format, lambda: groups, min(wanted, len(groups)), done, reports, self._name)
        else:
            store_all(self._ledger, self._format, self._importer.version, self._threads(groups, reports), done, self._name)
        reports.tell(self.report)
        self._told.progress(size, size, "")

    def _groups(self, files: Sequence[SourceFile], reports: Reports) -> Iterable[Group]:
        return [files] if self._importer.parts is None else self._importer.parts.together(files, reports.take)

    def _threads(self, groups: Iterable[Group], reports: Reports) -> Iterator[SourceThread]:
        for group in groups:
            self.require_going_on()
            if self._importer.parts is None:
                yield from self._importer.read(group, reports.take)
            elif (source := self._importer.parts.thread(group, reports.take)) is not None:
                yield source

    def require_going_on(self) -> None:
        """Raise where it is to end."""
        if self._stop.is_set():
            raise _Stopped

    def take(self, outcome: Outcome) -> None:
        """Count a thread that went in."""
        outcome.reports.tell(self.report)
        if outcome.appended:
            followed = self.followed
            followed.events += outcome.appended
            followed.changes += 1
            followed.threads.add(outcome.thread_id)
            self._told.change(Change(outcome.thread_id, outcome.label, outcome.appended))

    def tell_progress(self, done: int, total: int, which: str) -> None:
        """Tell how far a look is."""
        self._told.progress(done, total, which)

    def report(self, told: Problem | Note) -> None:
        """Keep a problem to tell it. Its thread may be read often, and it is told once."""
        if isinstance(told, Problem):
            self._found.append(told)

    def _tell_problems(self, unsettled: AbstractSet[str]) -> None:
        """Tell the problems that were found, and forget those of files that have changed since, or are there no more."""
        for problem in dict.fromkeys(self._found):
            if problem not in self._problems and not any(_is_of(problem, path) for path in unsettled):
                self._problems.add(problem)
                self.followed.problems += 1
                self._told.problem(problem)
        self._found = []

    def _files(self) -> Iterator[tuple[str, SourceFile]]:
        """The files that are there now, by their paths; one that goes meanwhile is not."""
        most = self._ledger.settings.max_import_bytes
        for path in map(Path, self._paths):
            items = inside(path, self._importer.wants, self.report) if path.is_dir() else [path]
            for item, about in regular(items, self.report):
                file = SourceFile(str(item), item, about.st_size, most=most, stamp=stamp_of(about), looks=self._looks)
                yield file.name, file


class _Done:
    """Is told of each thread that went in at one look."""

    def __init__(self, follower: Follower, total: int) -> None:
        self._follower, self._done, self._total = follower, 0, total

    def __call__(self, outcome: Outcome) -> None:
        self._follower.take(outcome)
        self._done += outcome.size
        self._follower.tell_progress(min(self._done, self._total), self._total, outcome.label)
        self._follower.require_going_on()


def _is_of(problem: Problem, path: str) -> bool:
    """Return whether a problem is a file's: it names that, or a member of it."""
    return problem.file == path or problem.file.startswith(f"{path}/")


def _passes(error: BaseException) -> bool:
    """Whether the same may be tried again: the database is away, or others import the same."""
    return (isinstance(error, LedgerUnavailable) and error.retriable) or isinstance(error, VersionConflict)


def _give_up(_: RetryCallState) -> None:
    raise _Stopped
