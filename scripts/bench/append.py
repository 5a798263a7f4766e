"""How fast are durable appends, against what Runfold is built on and against the least PostgreSQL can do?

The same events, on one server, everything durable: eventsourcing's own PostgreSQL recorder; Runfold's SDK with validation,
rules and everything; pgbench single-row inserts into a like table; binary COPY into a like table.

Bulk is measured twice: batches in turn, each built and then stored (`runfold_bulk_1000`), and a batch in parts of which one is
built while another is on its way (`runfold_bulk_overlapped_1000`). The guide shows the second for what is much, so it is what
COPY is compared with; the first is there too, as `copy_bulk_in_turn`.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from measuring import Report, Server, arguments, in_turn, server
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from runfold import Ledger, Run, Settings

TEXT = "The order left our warehouse on Tuesday; the carrier says it arrives tomorrow by noon."
PAYLOAD = (
    b'{"message_id":"msg_01a1fd3c3e0b7583a0d205f029b7ea35","role":"assistant","content":[{"type":"text","text":"'
    + TEXT.encode()
    + b'"}],"streaming":false}'
)
LIKE_TABLE = """
CREATE TABLE rival (
    position bigserial PRIMARY KEY, stream text NOT NULL, version bigint NOT NULL, topic text NOT NULL, state bytea NOT NULL,
    tenant text NOT NULL, thread text NOT NULL, event_id uuid NOT NULL UNIQUE, recorded_at timestamptz NOT NULL DEFAULT now(),
    context jsonb NOT NULL, metadata jsonb NOT NULL, UNIQUE (stream, version));
CREATE INDEX ON rival (thread, position)
"""
CONTEXT = '{"run_id":"run_01a1fd3c3e0b7583a0d205f029b7ea35","agent_id":"support"}'
METADATA = '{"actor":{"kind":"service","id":"runfold"}}'


class Library:
    """eventsourcing's own PostgreSQL recorder, as shipped."""

    def __init__(self, server: Server) -> None:
        where = conninfo_to_dict(server.database("library", migrated=False))
        self.datastore = PostgresDatastore(
            str(where["dbname"]),
            str(where["host"]),
            str(where.get("port", "5432")),
            str(where["user"]),
            "",
            pool_size=8,
            max_overflow=8,
            connect_timeout=60.0,
            originator_id_type="text",
        )
        self.recorder = PostgresApplicationRecorder(self.datastore, events_table_name="stored_events")
        self.recorder.create_table()

    def rate(self, callers: int, each: int) -> float:
        """Single-event appends a second by so many threads."""

        def work() -> None:
            stream = str(uuid4())
            for version in range(1, each + 1):
                self.recorder.insert_events([StoredEvent(stream, version, "message.added", PAYLOAD)])

        return callers * each / _timed_threads([work] * callers)


class Runfold:
    """The SDK: validation, rules, JSON, ids, group commit."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.thread = ledger.create_thread(agent_id="support")

    def runs(self, count: int) -> list[Run]:
        """Fresh runs."""
        return [self.thread.start_run(parent=None) for _ in range(count)]

    def async_rate(self, callers: int, each: int) -> float:
        """Commands a second by so many async callers, each waiting for its answer before the next."""
        return self.async_rate_on(self.runs(callers), each)

    def async_rate_on(self, runs: list[Run], each: int) -> float:
        """The same with a run for each caller."""

        async def caller(run: Run) -> None:
            for _ in range(each):
                await run.submit_add_message("assistant", TEXT)

        async def all_callers() -> None:
            await asyncio.gather(*(caller(run) for run in runs))

        started = time.perf_counter()
        asyncio.run(all_callers())
        return len(runs) * each / (time.perf_counter() - started)

    def thread_rate(self, callers: int, each: int) -> float:
        """Commands a second by so many threads."""

        def work(run: Run) -> None:
            for _ in range(each):
                run.add_message("assistant", TEXT)

        return callers * each / _timed_threads([partial(work, run) for run in self.runs(callers)])

    def bulk_rate(self, calls: int, size: int) -> float:
        """Events a second in batches of `size` commands."""
        (run,) = self.runs(1)
        started = time.perf_counter()
        for _ in range(calls):
            with self.ledger.batch() as batch:
                into = batch.run(run.id)
                for _ in range(size):
                    into.add_message("assistant", TEXT)
        return calls * size / (time.perf_counter() - started)

    def overlapped_bulk_rate(self, calls: int, size: int) -> float:
        """Events a second in parts of `size` commands, of which one is built while another is on its way."""
        (run,) = self.runs(1)
        started = time.perf_counter()
        with self.ledger.batch() as batch:
            into = batch.run(run.id)
            for _ in range(calls):
                for _ in range(size):
                    into.add_message("assistant", TEXT)
                batch.submit_store()
        return calls * size / (time.perf_counter() - started)

    def seconds_a_command(self, run: Run, commands: int) -> float:
        """Seconds for one command on a run, one after the other."""
        started = time.perf_counter()
        for _ in range(commands):
            run.add_message("assistant", TEXT)
        return (time.perf_counter() - started) / commands


class Pgbench:
    """The least there is: single-row inserts into a like table, prepared, from C."""

    def __init__(self, program: str, url: str) -> None:
        self.program, self.url = program, url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(LIKE_TABLE)
        self.script = Path(tempfile.mkdtemp()) / "insert.sql"
        self.script.write_text(
            "INSERT INTO rival (stream, version, topic, state, tenant, thread, event_id, context, metadata) VALUES ("
            "'run_' || gen_random_uuid(), 1, 'message.added', convert_to($$"
            + PAYLOAD.decode().replace(":f", ": f")
            + "$$, 'UTF8'), "
            f"'default', 'thread_x', gen_random_uuid(), '{CONTEXT}', '{METADATA}');\n"
        )

    def rate(self, clients: int, seconds: int) -> float:
        """Transactions a second."""
        where = conninfo_to_dict(self.url)
        command = [
            self.program,
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={clients}",
            f"--jobs={min(clients, 2)}",
            f"--time={seconds}",
            f"--file={self.script}",
            f"--host={where['host']}",
            f"--port={where.get('port', 5432)}",
            f"--username={where['user']}",
            str(where["dbname"]),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        assert found, done.stdout + done.stderr
        return float(found[1])


class Copy:
    """Binary COPY into a like table: the fastest way in.

    It flushes each call as the ledger does. It keeps four indexes, and the log five and some of few events; it decides and checks
    nothing, and it writes each row while the server takes in those before, where a part of a batch is sent once all of it is
    decided.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(LIKE_TABLE)

    def rate(self, calls: int, size: int) -> float:
        """Rows a second, `size` a transaction."""
        stream, version = f"run_{uuid4().hex}", 0
        with psycopg.connect(self.url) as connection:
            started = time.perf_counter()
            for _ in range(calls):
                with connection.cursor().copy(
                    "COPY rival (stream, version, topic, state, tenant, thread, event_id, context, metadata)"
                    " FROM STDIN (FORMAT binary)"
                ) as copy:
                    copy.set_types(["text", "int8", "text", "bytea", "text", "text", "uuid", "jsonb", "jsonb"])
                    for _ in range(size):
                        version += 1
                        copy.write_row(
                            (stream, version, "message.added", PAYLOAD, "default", "thread_x", uuid4(), CONTEXT, METADATA)
                        )
                connection.commit()
            return calls * size / (time.perf_counter() - started)


def _timed_threads(works: Sequence[Callable[[], None]]) -> float:
    threads = [threading.Thread(target=work) for work in works]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def two_processes(url: str, callers: int, each: int) -> float:
    """Commands a second by two processes at once on one ledger, from when both are ready until both have their answers."""
    command = [sys.executable, __file__, "--process", url, str(callers), str(each)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    _each_says("ready", processes)
    started = time.perf_counter()
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    _each_says("done", processes)
    rate = 2 * callers * each / (time.perf_counter() - started)
    for process in processes:
        process.communicate()
    return rate


def _each_says(word: str, processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == f"{word}\n"


def process(url: str, callers: int, each: int) -> None:
    """One of the two processes."""
    with Ledger.open(settings=Settings(database_url=SecretStr(url))) as ledger:
        rival = Runfold(ledger)
        runs = rival.runs(callers)
        print("ready", flush=True)
        sys.stdin.readline()
        rival.async_rate_on(runs, each)
        print("done", flush=True)


def long_run_figures(runfold: Runfold, events: int, commands: int, rounds: int) -> dict[str, float]:
    """Seconds a command on a run with many events, and on one with ten."""
    long, short = runfold.runs(2)
    for _ in range(max(events // 1000, 1)):
        with runfold.ledger.batch() as batch:
            into = batch.run(long.id)
            for _ in range(1000):
                into.add_message("assistant", TEXT)
    for _ in range(10):
        short.add_message("assistant", TEXT)
    long.add_message("assistant", TEXT)
    return in_turn(
        rounds,
        {
            "long_run_us": lambda _: runfold.seconds_a_command(long, commands) * 1e6,
            "short_run_us": lambda _: runfold.seconds_a_command(short, commands) * 1e6,
        },
    )


def main() -> None:
    """Measure, and print."""
    asked = arguments(__doc__ or "", each=(400, "commands of each async caller"), events=(100_000, "events of the long run"))
    report = Report("append")
    report.wanted = {
        "library_64": "≥ 25",
        "pgbench_64": "≥ 1.5",
        "library_1": "≥ 1.8",
        "pgbench_1": "≥ 0.3",
        "copy_bulk": "≥ 0.67",
        "two_processes_pgbench_64": "≥ 2",
        "long_run": "≤ 1.2",
    }
    with server() as own, own.ledger("runfold_sdk") as ledger:
        library, runfold, copy = Library(own), Runfold(ledger), Copy(own.database("copy", migrated=False))
        each = asked.each
        measures = {
            "library_1": lambda _: library.rate(1, each),
            "library_64": lambda _: library.rate(64, max(each // 20, 5)),
            "runfold_1": lambda _: runfold.thread_rate(1, each),
            "runfold_async_16": lambda _: runfold.async_rate(16, each),
            "runfold_async_64": lambda _: runfold.async_rate(64, each),
            "runfold_threads_64": lambda _: runfold.thread_rate(64, each // 4),
            "runfold_bulk_1000": lambda _: runfold.bulk_rate(max(each // 20, 2), 1000),
            "runfold_bulk_overlapped_1000": lambda _: runfold.overlapped_bulk_rate(max(each // 20, 2), 1000),
            "copy_1000": lambda _: copy.rate(max(each // 20, 2), 1000),
            "runfold_two_processes": lambda _: two_processes(own.embedded.url("runfold_app", "runfold_sdk"), 64, each),
        }
        if program := own.program("pgbench"):
            pgbench = Pgbench(program, own.database("pgbench", migrated=False))
            measures["pgbench_1"] = lambda _: pgbench.rate(1, 1 if asked.short else 2)
            measures["pgbench_64"] = lambda _: pgbench.rate(64, 1 if asked.short else 3)
        rates = in_turn(asked.rounds, measures)
        rates.update(long_run_figures(runfold, asked.events, each, asked.rounds))
        report.figures = {name: round(value, 1) for name, value in rates.items()}
        report.figures["events_in_ledger"] = ledger.position()
        report.ratios = {
            "library_64": rates["runfold_async_64"] / rates["library_64"],
            "library_1": rates["runfold_1"] / rates["library_1"],
            "copy_bulk": rates["runfold_bulk_overlapped_1000"] / rates["copy_1000"],
            "copy_bulk_in_turn": rates["runfold_bulk_1000"] / rates["copy_1000"],
            "two_processes_one": rates["runfold_two_processes"] / rates["runfold_async_64"],
            "long_run": rates["long_run_us"] / rates["short_run_us"],
        }
        if "pgbench_64" in rates:
            report.ratios |= {
                "pgbench_64": rates["runfold_async_64"] / rates["pgbench_64"],
                "pgbench_1": rates["runfold_1"] / rates["pgbench_1"],
                "two_processes_pgbench_64": rates["runfold_two_processes"] / rates["pgbench_64"],
            }
        else:
            report.figures["pgbench"] = "not found beside this PostgreSQL, so its ratio is left out"
    report.print(as_json=asked.json)


if __name__ == "__main__":
    os.environ.pop("RUNFOLD_DATABASE_URL", None)
    if "--process" in sys.argv:
        process(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
