"""Filling tables from the log at once: thread by thread, in several processes, each taking in ranges of threads.

A row of most read models is made from the events of one thread alone. Read in the order of threads, and within a thread in
the order of positions, its rows are final where the thread ends: each is written once, into a table without indexes, and
memory holds the threads of one shard. Every event is read once, in short statements, however many processes there are.
"""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row

from runfold.child import run_module
from runfold.domain.recorded import Recorded
from runfold.errors import Damage, InvalidProjection, LedgerUnavailable, PoisonEvent, ProjectionStopped
from runfold.failpoint import reach
from runfold.projections.fold import FoldFailed, Standings, reason_of, take_in
from runfold.projections.partition import Touchers
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import load
from runfold.projector.checkpoints import digest_of
from runfold.projector.connection import connect, end_without_memory
from runfold.projector.folding.team import read_head
from runfold.projector.tables.invalid_rows import stopped_by_rows
from runfold.projector.tables.table import Table
from runfold.store.codec import COLUMNS, decode
from runfold.store.datastore import Connection, Datastore, unavailable
from runfold.store.queries import named_queries

QUERIES = named_queries("runfold.projector", "filling.sql")
PAGE = 10_000
THREADS_A_LANE = 500
LANES_A_PROCESS = 4
LOOK_SECONDS = 0.1
NICE = 15
LONGEST_REST = 2.0
"""Who appends and who reads go first."""

_PAGE_QUERY = (
    f"SELECT {COLUMNS} FROM runfold.log WHERE (thread_id, tenant_id, notification_id) > (%b, %b, %b)"
    " AND (%b::text IS NULL OR thread_id < %b) AND (notification_id <= %b AND topic = ANY(%b)) IS TRUE"
    " ORDER BY thread_id, tenant_id, notification_id LIMIT %b"
)

Progress = Callable[[int, int], None]


class Target(NamedTuple):
    """A table to be filled: by which class, in which schema. `code` is a digest of the files that the class stands in."""

    source: str
    schema: str
    code: str = ""


@dataclass(frozen=True)
class Job:
    """What is to be filled, from which log, up to which position."""

    job: str
    up_to: int
    epoch: UUID
    targets: tuple[Target, ...]


def plan(connection: Connection, job: Job, processes: int) -> None:
    """Write down what is to be done: shards of about equally many threads. In the caller's transaction."""
    note(connection, job)
    threads = [row[0] for row in _tuples(connection, "threads", {"up_to": job.up_to})]
    size = max(1, min(THREADS_A_LANE, -(-len(threads) // (processes * LANES_A_PROCESS))))
    ends = [*threads[size::size], None]
    for shard, (first, end) in enumerate(zip(["", *ends], ends, strict=False)):
        connection.execute(QUERIES["add shard"], {"job": job.job, "shard": shard, "first_thread": first or "", "end_thread": end})


def note(connection: Connection, job: Job) -> None:
    """Write down what is to be filled, without shards."""
    facts = {"job": job.job, "up_to": job.up_to, "epoch": job.epoch, "targets": json.dumps(job.targets)}
    connection.execute(QUERIES["add job"], facts)


def planned(connection: Connection, job: str) -> Job | None:
    """Return what was written down."""
    row = connection.execute(QUERIES["job"], {"job": job}).fetchone()
    if row is None:
        return None
    return Job(row["job"], row["up_to"], row["epoch"], tuple(Target(*target) for target in row["targets"]))


def forget_abandoned(connection: Connection) -> None:
    """Strike off jobs whose tables are gone."""
    connection.execute(QUERIES["forget abandoned"], {})


def fill(datastore: Datastore, connection: Connection, job: Job, processes: int, progress: Progress | None = None) -> None:
    """Fill the tables; what an earlier try has done is not done again. Raises ProjectionStopped, LedgerUnavailable."""
    left = connection.execute(QUERIES["free shards"], {"job": job.job}).rowcount
    running = [_start(datastore, job) for _ in range(min(processes, left))]  # to start one takes as long as some thousand events
    try:
        while any(process.poll() is None for process in running):
            _tell(connection, job, progress)
            for process in running:
                if process.poll() not in {None, 0}:
                    raise _failure(process)
            time.sleep(LOOK_SECONDS)
        for process in running:
            if process.returncode:
                raise _failure(process)
        _tell(connection, job, progress)
        _require_filled(connection, job)
    finally:
        for process in running:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def _start(datastore: Datastore, job: Job) -> subprocess.Popen[str]:
    told = {"url": datastore.url, "timeout": datastore.connect_timeout, "job": job.job, "targets": job.targets}
    process = run_module("runfold.projector.filling", stderr=subprocess.PIPE)
    assert process.stdin is not None, "it was asked for"  # noqa: S101
    process.stdin.write(json.dumps(told))
    process.stdin.close()
    return process


def _failure(process: subprocess.Popen[str]) -> Exception:
    said = process.stderr.read() if process.stderr else ""
    last = said.strip().splitlines()[-1] if said.strip() else ""
    try:
        facts = json.loads(last)
        return ProjectionStopped(facts["name"], facts["fact"], facts["next_step"])
    except (ValueError, KeyError, TypeError):
        what = f"a worker process of the rebuild exited with {process.returncode}: {last or 'no output'}"
        return LedgerUnavailable(what, "repeat the command: it continues where it stopped")


def _require_filled(connection: Connection, job: Job) -> None:
    """Raise LedgerUnavailable unless every shard is done: a table of which a part is missing must never come into use."""
    row = connection.execute(QUERIES["progress"], {"job": job.job}).fetchone()
    if row is None or row["done"] < row["shards"]:
        left = "all" if row is None else row["shards"] - row["done"]
        raise LedgerUnavailable(
            f"{left} shards of the rebuild are incomplete", "repeat the command: it continues where it stopped"
        )


def _tell(connection: Connection, job: Job, progress: Progress | None) -> None:
    row = connection.execute(QUERIES["progress"], {"job": job.job}).fetchone()
    if progress is not None and row is not None:
        progress(row["events"] if row["done"] < row["shards"] else job.up_to, job.up_to)


def _tuples(connection: Connection, name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    return connection.cursor(row_factory=tuple_row).execute(QUERIES[name], parameters).fetchall()


# In a process of its own


class Filler:
    """Takes shards until there are no more.

    Which classes fold is told by the process that started this one: a row of the database names no code to be run.
    """

    def __init__(self, datastore: Datastore, job: str, targets: Iterable[Target]) -> None:
        self._connection = connect(datastore)
        found = planned(self._connection, job)
        assert found is not None, "it is started for a job that is written down"  # noqa: S101
        self._job = found
        self._tables: list[tuple[AnyProjection, Table[Any]]] = []
        for target in targets:
            projection = load(target.source)
            self._tables.append((projection, Table(projection, 0, schema=target.schema)))
        self._looked_at = [frozenset(event.type for event in projection.events) for projection, _ in self._tables]
        self._types = sorted(frozenset[str]().union(*self._looked_at))
        self._parent = os.getppid()
        self._head, self._since = read_head(self._connection).position, time.monotonic()

    def go(self) -> None:
        """Fill. Ends by itself when whoever started it is gone."""
        while os.getppid() == self._parent:
            shard = self._connection.execute(QUERIES["take shard"], {"job": self._job.job}).fetchone()
            if shard is None:
                return
            reach("shard taken")
            self._take_in(shard)

    def _take_in(self, shard: dict[str, Any]) -> None:
        standings: list[Standings] = [{} for _ in self._tables]
        touchers: list[Touchers] = [{} for _ in self._tables]
        counts = [[0, 0] for _ in self._tables]
        events = 0
        for page in self._pages(shard):
            self._give_way()
            events += len(page)
            for number, (projection, _) in enumerate(self._tables):
                take_in(projection, page, standings[number], touchers[number])
                looked_at = [recorded for recorded in page if recorded.type in self._looked_at[number]]
                counts[number][0] += len(looked_at)
                counts[number][1] += digest_of(looked_at)
        applied = {
            projection.name: {"events": count, "digest": str(digest % 2**64)}
            for (projection, _), (count, digest) in zip(self._tables, counts, strict=True)
        }
        self._store(shard, standings, events, applied)

    def _give_way(self) -> None:
        """Rest for as long as was worked since the last time, where others have appended meanwhile: they come first."""
        position = read_head(self._connection).position
        if position != self._head:
            time.sleep(min(LONGEST_REST, time.monotonic() - self._since))
        self._head, self._since = position, time.monotonic()

    def _store(self, shard: dict[str, Any], standings: list[Standings], events: int, applied: dict[str, Any]) -> None:
        named = {"job": self._job.job, "shard": shard["shard"], "attempt": shard["attempt"]}
        # Before the transaction: where other work takes every core this takes longer than the server lets a session be idle.
        packed = [_packed(projection, table, rows) for (projection, table), rows in zip(self._tables, standings, strict=True)]
        with self._connection.transaction():
            finished = self._connection.execute(
                QUERIES["finish shard"], {**named, "events": events, "applied": json.dumps(applied)}
            )
            if finished.rowcount:
                for (projection, table), rows in zip(self._tables, packed, strict=True):
                    with stopped_by_rows(projection):
                        table.fill(self._connection, rows)
            reach("shard filled")
        reach("shard stored")

    def _pages(self, shard: dict[str, Any]) -> Iterator[list[Recorded]]:
        after: tuple[str, str, int] = (shard["first_thread"], "", 0)
        while True:
            end = shard["end_thread"]
            cursor = self._connection.cursor(binary=True, row_factory=tuple_row)
            asked = [*after, end, end, self._job.up_to, self._types, PAGE]
            page = [self._read(row) for row in cursor.execute(_PAGE_QUERY, asked, prepare=True).fetchall()]
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = (page[-1].thread_id, page[-1].tenant_id, page[-1].position)

    def _read(self, row: tuple[Any, ...]) -> Recorded:
        try:
            return decode(row)
        except Damage as error:
            position, event_type = row[0], row[3]
            looking = next(each for each, _ in self._tables if event_type in {event.type for event in each.events})
            raise PoisonEvent(looking.name, position, event_type, str(error)) from error


def _packed(projection: AnyProjection, table: Table[Any], rows: Standings) -> str | None:
    with stopped_by_rows(projection):
        return table.packed(rows)


def main() -> None:
    """The body of a process. What stops it goes to stderr for who started it: as JSON, or where the database did, as a line."""
    os.nice(NICE)
    end_without_memory()
    gc.disable()  # rows and events form no cycles, and the process lives for seconds
    told = json.load(sys.stdin)
    try:
        Filler(Datastore(told["url"], told["timeout"]), told["job"], [Target(*target) for target in told.get("targets", ())]).go()
    except (FoldFailed, ProjectionStopped, InvalidProjection) as error:
        stopped = _explained(error)
        print(json.dumps({"name": stopped.name, "fact": stopped.fact, "next_step": stopped.next_step}), file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except psycopg.Error as error:
        sys.exit(str(unavailable(error)))


def _explained(error: FoldFailed | ProjectionStopped | InvalidProjection) -> ProjectionStopped:
    if isinstance(error, ProjectionStopped):
        return error
    if isinstance(error, InvalidProjection):
        fact = f"is folded in processes of their own, and there it {error.fact}"
        return ProjectionStopped(error.source, fact, "put its module on the Python path, then repeat the command")
    return PoisonEvent(error.projection, error.recorded.position, error.recorded.type, reason_of(error.cause))


if __name__ == "__main__":
    main()
