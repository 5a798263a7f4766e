"""One row at work: its server, its folder, its seed, its processes; and at the end its figures."""

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from faults.checks import Findings, Stored, examine
from faults.clients import Work, write
from faults.crew import Crew
from faults.feeds import Following, follow
from faults.journal import groups
from faults.servers import OwnServer, Server
from runfold import Settings

_LOG = (
    "SELECT notification_id, originator_id, originator_version, event_id::text, topic, recorded_at,"
    " metadata ->> 'correlation_id', tenant_id = %s FROM runfold.log"
    " WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id"
)
_PAGE = 20_000
PATIENCE = 240.0
"""Seconds without a further fault, or where there are enough of them without a further event, after which a row gives up."""
MOST_PAUSE = 1.0
"""Writers look no less often whether they are to end."""


class Skipped(Exception):
    """The row cannot run here; the text says why."""


@dataclass
class Figures(Findings):
    """What a row found: findings, the errors that clients saw, what else was measured, and which expectation failed."""

    row: str = ""
    name: str = ""
    seconds: float = 0.0
    unacknowledged: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    first_errors: dict[str, str] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    skipped_because: str | None = None

    @property
    def verdict(self) -> str:
        """In one word."""
        if self.skipped_because:
            return "skipped"
        return "WRONG" if self.wrong else "FAILED" if self.failures else "ok"


class Stage:
    """Handed to each row."""

    def __init__(self, row: str, server: Server, seed: int, events: int, *, short: bool, token: str) -> None:
        self.server, self.events, self.short = server, events, short
        self.seed = f"{seed}:{row}"
        self.rng = Random(self.seed)
        self.tag = f"faults-{token}-{row.replace('-', '')}"
        self.figures = Figures(row=row)
        self._cleanup = contextlib.ExitStack()
        self.folder = self._folder()
        self.crew = Crew()
        self.reader_seconds: float | None = None
        """How long readers may take to come to the end, where that is not as long as always."""
        self.minutes: float | None = None
        """How long a row goes on that ends by the clock."""
        self.round = 0
        """With which round it begins."""
        self.after = server.head()
        self._began = self._progressed = time.monotonic()
        self._progress: tuple[int, int] | None = None

    def _folder(self) -> Path:
        return Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="runfold-faults-row-")))

    def close(self) -> None:
        """End what is left: processes first, for clients of an embedded server would start it again."""
        self.crew.end()
        self._cleanup.close()

    @property
    def own(self) -> OwnServer:
        """The server, where it must be ours."""
        if not isinstance(self.server, OwnServer):
            raise Skipped("it kills or restarts the server, and this one is yours")
        return self.server

    def need_admin(self) -> None:
        """Skip without an administrator's URL."""
        if self.server.admin_url is None:
            raise Skipped("it needs RUNFOLD_ADMIN_URL")

    def use(self, server: Server) -> None:
        """Go on against another server, closed with the row."""
        self._cleanup.callback(server.close)
        self.server = server
        self.after = server.head()

    def cleanup(self, action: Callable[[], object]) -> None:
        """Do something when the row ends."""
        self._cleanup.callback(action)

    def entered(self, manager: contextlib.AbstractContextManager[Any]) -> Any:
        """Enter a context until the end of the row."""
        return self._cleanup.enter_context(manager)

    def work(self, name: str, commands: int, **more: Any) -> Work:
        """A writer's task."""
        return Work(**self._task(name, commands, more))

    def _task(self, name: str, commands: int, more: dict[str, Any]) -> dict[str, Any]:
        where = {} if {"url", "home"} & more.keys() else {"url": self.server.url}
        told = {"name": name, "tag": self.tag, "seed": f"{self.seed}:{name}", "folder": str(self.folder)}
        return {**told, "commands": commands, **where, **more}

    def start_writers(self, number: int, **more: Any) -> list[Work]:
        """Start writers that go on until the row has done to them what it wants to (`enough`), however long that takes."""
        return self._started(number, 10**9, more)

    def fill(self, number: int, events: int) -> None:
        """Let writers record so many events together, and wait for them: what a row begins with."""
        self._started(number, max(1, events // number), {})
        self.expect(self.crew.wait_for_writers(300), "the first events were not recorded within 300 s")

    def _started(self, number: int, commands: int, more: dict[str, Any]) -> list[Work]:
        first = len(self.crew.works())
        works = [self.work(f"w{first + index}", commands, **more) for index in range(number)]
        for work in works:
            self.crew.start(write, work)
        return works

    def pace(self, seconds: float, writers: int, block: int = 1) -> float:
        """Return the longest pause of writers, after each block of so many commands, with which the row's events take them about
        so long: for faults that take their time."""
        return min(MOST_PAUSE, 2 * seconds * writers * block / max(1, self.events))

    def ended(self, *names: str) -> int:
        """Return how many of some processes have ended."""
        return len({*names} - {*self.crew.alive()})

    def enough(self, done: int, wanted: int, events: int | None = None) -> bool:
        """Whether faults and events are as many as wanted. Then writers are told to end.

        So they are where nothing more comes for long: that is a failure, as is that no writer is left.
        """
        head = -1
        with contextlib.suppress(psycopg.Error):
            head = self.server.head() - self.after
        if done >= wanted and head >= (self.events if events is None else events):
            self.crew.tell_to_stop()
            return True
        if (done, head if done >= wanted else 0) != self._progress:
            self._progress, self._progressed = (done, head if done >= wanted else 0), time.monotonic()
        gone, is_stuck = not self.crew.alive(), time.monotonic() - self._progressed > PATIENCE
        if gone or is_stuck:
            why = "no writer is left" if gone else f"nothing more came within {PATIENCE:.0f} s"
            self.expect(False, f"{done} times of {wanted}, with {head} events: {why}")
            self.crew.tell_to_stop()
        return gone or is_stuck

    def start_reader(self, **more: Any) -> None:
        """Start a reader at the tail."""
        name = f"r{len(self.crew.works())}"
        self.crew.start(follow, Following(**self._task(name, 0, more), after=self.after))

    def pause(self, least: float, most: float) -> None:
        """Wait a random time."""
        time.sleep(self.rng.uniform(least, most))

    def expect(self, true: bool, failure: str) -> None:
        """Note what should have been and was not."""
        if not true:
            self.figures.failures.append(failure)

    def finish(self, patience: float | None = None) -> Figures:
        """Wait for all, and compare what they were promised with the log."""
        patience = patience or 120 + self.events / 200
        self.expect(self.crew.wait_for_writers(patience), f"writers had not finished after {patience:.0f} s")
        self.conclude(self.server.head())
        return self.figures

    def conclude(self, head: int) -> None:
        """Wait for readers, compare, and count."""
        caught_up = self.crew.wait_for_readers(head, self.reader_seconds or 60 + self.events / 200)
        self.expect(caught_up, "a reader did not come to the end")
        self.crew.end()
        found = self.compare(self.server, head=head, readers=True)
        self.add(found)
        for kind, text in self.crew.errors():
            self.figures.errors[kind] = self.figures.errors.get(kind, 0) + 1
            self.figures.first_errors.setdefault(kind, text)
        self.figures.failures += self.crew.crashed
        if self.crew.kills:
            self.figures.measured["clients killed"] = self.figures.measured.get("clients killed", 0) + self.crew.kills

    def next_act(self) -> None:
        """Begin again with new processes and an empty folder; what was found so far stays."""
        self.crew = Crew()
        self.folder = self._folder()
        self.tag += "x"
        self.after = self.server.head()
        self._progress = None

    def compare(
        self, server: Server, *, head: int | None = None, sizes: dict[Path, int] | None = None, readers: bool = False
    ) -> Findings:
        """What was promised (up to the given sizes of the journals) against what a server holds."""
        head = server.head() if head is None else head
        journals = [groups(work.journal, (sizes or {}).get(work.journal)) for work in self.crew.works()]
        delivered = self.crew.delivered() if readers else []
        log = stored_events(server.url, self.after, head)
        return examine(log, after=self.after, head=head, ours=self.tag, journals=journals, readers=delivered)

    def add(self, found: Findings) -> None:
        """Count findings in."""
        for name, value in asdict(found).items():
            setattr(self.figures, name, getattr(self.figures, name) + value)
        self.figures.unacknowledged += max(0, found.stored - found.acknowledged)
        self.figures.seconds = time.monotonic() - self._began


def stored_events(url: str, after: int, head: int) -> list[Stored]:
    """The log after a position up to another, in short reads."""
    found: list[Stored] = []
    with psycopg.connect(url, autocommit=True, options="-c runfold.tenant=*") as connection:
        for start in range(after, head, _PAGE):
            rows = connection.execute(_LOG, (Settings().tenant, start, min(start + _PAGE, head))).fetchall()
            found += [Stored(*row) for row in rows]
    return found
