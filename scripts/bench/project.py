"""How fast do read models catch up, and how soon are they up to date while events come in?

Catching up one and all projections over the same log, against eventsourcing's ProjectionRunner doing the same fold into the
same table (on fewer events: its rate), and against reading and decoding the log and doing nothing with it, which no
projection can beat that looks at every event. Then 2,000 appends a second, whatever became of those before, and how long each
takes to be visible, from the moment when it was due.
"""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from measuring import Report, Server, arguments, in_turn, percentiles, server
from psycopg.conninfo import conninfo_to_dict

from runfold import Ledger, Recorded
from runfold.domain.catalogue import event_types
from runfold.projections.fold import fold, touched
from runfold.projections.projection import AnyProjection
from runfold.projections.registry import known
from runfold.projections.run_summaries import RunSummaries
from runfold.projector import checkpoints
from runfold.projector.connection import connect
from runfold.projector.tables import generations
from runfold.projector.tables.table import Table
from runfold.projector.worker import Worker
from runfold.store.datastore import Datastore

TEXT = "The order left our warehouse on Tuesday; the carrier says it arrives tomorrow by noon."
ONE = "run_summaries"
RUNS_AT_ONCE = 200
CALLERS = 64
SHORT_EVENTS = 1_000
LIBRARY_GENERATION = 9


def fill(ledger: Ledger, events: int) -> int:
    """Runs of some thirty events each, up to two hundred at a time interleaved; returns how many events there are."""
    at_once = min(RUNS_AT_ONCE, events // 50)
    while ledger.position() < events:
        with ledger.batch() as batch:
            runs = [batch.create_thread(agent_id=f"agent-{number % 7}").start_run() for number in range(at_once)]
            for turn in range(4):
                for run in runs:
                    _take_a_turn(run, turn)
            for run in runs:
                run.complete(output={"category": "howto"})
    return ledger.position()


def _take_a_turn(run: Any, turn: int) -> None:
    run.add_message("user", TEXT)
    call = run.call_tool("look_up_order", arguments={"order": turn})
    call.succeed({"status": "sent"})
    decision = run.decide("answer", options=[{"id": "a", "description": "say where it is"}], chosen="a", node_id="reply")
    decision.outcome(success=turn != 2, summary="said it", tokens_used=64)
    run.usage(provider="openai", model="gpt-4o", input_tokens=812, output_tokens=64)
    run.add_message("assistant", TEXT)


def forget(url: str) -> None:
    """Drop all read models."""
    with contextlib.closing(connect(Datastore(url))) as connection:
        for model in checkpoints.read_models(connection):
            connection.execute(f"DROP VIEW IF EXISTS runfold_read.{model.name}")
            generations.remove(connection, model)


def catch_up(url: str, projections: Mapping[str, AnyProjection]) -> float:
    """Events a second, from nothing to the head."""
    forget(url)
    worker = Worker(Datastore(url), projections)
    started = time.perf_counter()
    position = worker.catch_up()
    seconds = time.perf_counter() - started
    worker.close()
    return position / seconds


def decode_only(ledger: Ledger) -> float:
    """Events a second, read in order and decoded; like the worker, without looking for cycles meanwhile."""
    gc.disable()
    started = time.perf_counter()
    count = sum(recorded.event is not None for recorded in ledger.recorder.reader.events())
    seconds = time.perf_counter() - started
    gc.enable()
    return count / seconds


# The library's way: one transaction an event


class Story(Aggregate):
    """What the library stores instead of one of our runs."""

    class Told(Aggregate.Event):
        """One of our events, as the library keeps it."""

        kind: str
        payload: str
        thread_id: str
        context: str
        metadata: str
        stream: str

    def tell(self, recorded: Recorded) -> None:
        """Take in one of our events."""
        self.trigger_event(
            self.Told,
            kind=recorded.type,
            payload=recorded.event.model_dump_json(exclude_none=True),
            thread_id=recorded.thread_id,
            context=recorded.context_json,
            metadata=recorded.metadata_json,
            stream=recorded.stream,
        )


class Stories(Application[Any]):
    """The library's application."""


class SummaryView(PostgresTrackingRecorder):
    """The same table as ours, written with the library's tracking in one transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.projection = RunSummaries()
        self.table = Table(self.projection, LIBRARY_GENERATION)

    def take_in(self, recorded: Recorded, tracking: Tracking) -> None:
        """Fold one event."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            touches = touched(self.projection, [recorded])
            rows = self.table.load(cursor.connection, {key for key, _ in touches}) if touches else {}
            self.table.write(cursor.connection, fold(self.projection, touches, rows.get))


class SummaryProjection(Projection[SummaryView]):
    """Our fold, run by the library."""

    name = "summaries"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Decode our event and fold it."""
        if isinstance(domain_event, Story.Told):
            told = domain_event
            event = event_types.read(told.kind, 1, told.payload.encode())
            recorded = Recorded(
                tracking.notification_id,
                told.stream,
                told.originator_version,
                event,
                b"\0" * 16,
                "default",
                told.thread_id,
                told.timestamp,
                1,
                told.context,
                told.metadata,
            )
            self._view.take_in(recorded, tracking)


def by_library(ledger: Ledger, own: Server, events: int, name: str) -> float:
    """Events a second by eventsourcing's ProjectionRunner."""
    url = own.database(name, migrated=True)
    where = conninfo_to_dict(url)
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(where["dbname"]),
        "POSTGRES_HOST": str(where["host"]),
        "POSTGRES_PORT": str(where.get("port", "5432")),
        "POSTGRES_USER": str(where["user"]),
        "POSTGRES_PASSWORD": "",
    }
    with psycopg.connect(url, autocommit=True) as connection:
        table = Table(RunSummaries(), LIBRARY_GENERATION)
        table.create(connection)
        table.add_key(connection)
        table.create_indexes(connection)
    stories: dict[str, Story] = {}
    with Stories(env) as app:
        count = 0
        for recorded in ledger.events(limit=events):
            stories.setdefault(recorded.stream, Story()).tell(recorded)
            count += 1
        for story in stories.values():  # all at once, it stalls from some thousand events on
            app.save(story)
        last = app.recorder.max_notification_id()
    started = time.perf_counter()
    with ProjectionRunner(
        application_class=Stories, projection_class=SummaryProjection, view_class=SummaryView, env=env
    ) as runner:
        runner.wait(last, timeout=600)
        seconds = time.perf_counter() - started
    return count / seconds


# Append to visible


@contextlib.contextmanager
def working(url: str) -> Iterator[None]:
    """`runfold work` in a process of its own."""
    command = [sys.executable, "-m", "runfold.cli.main", "work"]
    process = subprocess.Popen(command, env={**os.environ, "RUNFOLD_DATABASE_URL": url, "RUNFOLD_LOG_LEVEL": "warning"})
    try:
        yield
    finally:
        process.terminate()
        process.wait(120)


def visible(ledger: Ledger, url: str, seconds: float, each_second: int) -> dict[str, float]:
    """From the moment when an append is due until its position is reached by every read model."""
    sent: list[tuple[int, float]] = []
    seen: list[tuple[int, float]] = []
    done = threading.Event()

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            last = 0
            while not done.is_set():
                row = connection.execute("SELECT min(position) FROM runfold.read_positions", prepare=True).fetchone()
                if row and row[0] and row[0] != last:
                    last = row[0]
                    seen.append((last, time.perf_counter()))
                time.sleep(0.004)  # to look more often takes the processor from those who are measured

    runs = [ledger.create_thread(agent_id="support").start_run() for _ in range(CALLERS)]

    async def append(number: int, due: float) -> None:
        receipt = (await runs[number % CALLERS].submit_add_message("assistant", TEXT)).receipt
        assert receipt
        sent.append((receipt.position, due))

    async def offer() -> None:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as appends:
            for number in range(int(seconds * each_second)):
                due = started + number / each_second
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                appends.create_task(append(number, due))

    looking = threading.Thread(target=look)
    with working(url):
        _wait_for(url, ledger.position())
        looking.start()
        started = time.perf_counter()
        asyncio.run(offer())
        rate = len(sent) / (time.perf_counter() - started)
        _wait_for(url, ledger.position())
        sent.sort()
        while looking.is_alive() and not (seen and seen[-1][0] >= sent[-1][0]):
            time.sleep(0.01)
        done.set()
        looking.join()
    return {**percentiles(_delays(sent, seen)), "appends_per_second": round(rate)}


def _delays(sent: list[tuple[int, float]], seen: list[tuple[int, float]]) -> list[float]:
    found, moments = [], iter(seen)
    reached, at = next(moments)
    for position, before in sent:
        while reached < position:
            reached, at = next(moments)
        found.append(at - before)
    return found


def _wait_for(url: str, position: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            rows: dict[str, int] = dict(connection.execute("SELECT name, position FROM runfold.read_positions").fetchall())
            if all(rows.get(name, -1) >= position for name in known()):
                return
            time.sleep(0.01)


def main() -> None:
    """Measure, and print."""
    asked = arguments(
        __doc__ or "",
        events=(100_000, "events in the log"),
        library=(4000, "events that the library folds"),
        seconds=(20, "seconds of appending"),
        rate=(2000, "appends offered a second"),
    )
    report = Report("project", wanted={"catch_up_library": "≥ 60", "catch_up_decode": "≥ 0.5", "visible_p99_ms": "≤ 50"})
    with server() as own, own.ledger("runfold_sdk") as ledger:
        count = fill(ledger, min(asked.events, SHORT_EVENTS) if asked.short else asked.events)
        url = own.embedded.url("postgres", "runfold_sdk")
        everything = dict(known())
        rates = in_turn(
            asked.rounds,
            {
                "decode_only": lambda _: decode_only(ledger),
                "one_projection": lambda _: catch_up(url, {ONE: everything[ONE]}),
                "library": lambda number: by_library(ledger, own, asked.library, f"library_{number}"),
                "all_projections": lambda _: catch_up(url, everything),
            },
        )
        alone = {name: catch_up(url, {name: projection}) for name, projection in everything.items()}
        catch_up(url, everything)
        shown = visible(ledger, url, asked.seconds, asked.rate)
        report.figures = {
            "events": count,
            "projections": len(everything),
            **{name: round(value) for name, value in rates.items()},
            **{f"alone_{name}": round(value) for name, value in alone.items()},
            "visible": shown,
        }
        report.ratios = {
            "catch_up_library": rates["one_projection"] / rates["library"],
            "catch_up_decode": rates["one_projection"] / rates["decode_only"],
            "all_decode": rates["all_projections"] / rates["decode_only"],
            "visible_p99_ms": shown["p99_ms"],
        }
    report.print(as_json=asked.json)


if __name__ == "__main__":
    main()
