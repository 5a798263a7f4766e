"""C-3: appends while the database is vacuumed, indexed and dumped."""

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import psycopg

from faults.clients import Work
from faults.crew import percentile, times
from faults.row import row
from faults.servers import OwnServer
from faults.stage import Stage
from runfold.embedded.binaries import wheel_folders

Task = Callable[[Stage, float], None]


@row("C-3", "VACUUM, CREATE INDEX, dump", share=0.03)
def upkeep(stage: Stage) -> None:
    """A throttled VACUUM, CREATE INDEX CONCURRENTLY and pg_dump run beside writers. Nobody waits for them: the median and
    the 99th percentile of single appends are compared with those before."""
    stage.need_admin()
    stage.start_writers(2, modes=("window", "batch"), pause=0.05)
    stage.start_reader()
    (probe,) = stage.start_writers(1, modes=("single",), pause=0.004)
    seconds = 1.5 if stage.short else 8.0
    time.sleep(1.0)
    base = _during(stage, probe, "nothing", lambda _, seconds: time.sleep(seconds), seconds)
    tasks: dict[str, Task] = {"VACUUM": _vacuum, "CREATE INDEX CONCURRENTLY": _index, "pg_dump": _dump}
    for name, task in tasks.items():
        p99 = _during(stage, probe, name, task, seconds)
        stage.expect(p99 < 0.1 + 3 * base, f"beside {name} one in a hundred appends took {p99 * 1000:.0f} ms")
    while not stage.enough(1, 1):
        time.sleep(0.05)
    stage.finish()


def _during(stage: Stage, probe: Work, name: str, task: Task, seconds: float) -> float:
    """Do something, and measure the appends that began meanwhile. Returns the 99th percentile in seconds."""
    began = time.time()
    task(stage, seconds)
    ended = time.time()
    time.sleep(0.2)  # the last ones are written down
    taken = [took for at, took, mode, _ in times(probe) if mode == "single" and began <= at <= ended]
    p50, p99 = percentile(taken, 0.5), percentile(taken, 0.99)
    stage.figures.measured[f"beside {name} ({ended - began:.0f} s)"] = (
        f"p50 {p50 * 1000:.1f} p99 {p99 * 1000:.1f} max {max(taken, default=0) * 1000:.1f} ms of {len(taken)}"
    )
    return p99


@contextlib.contextmanager
def _limited(stage: Stage, seconds: float) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An administrator's connection whose statement is ended after a time, as is no fault of it."""
    with stage.server.admin() as connection, contextlib.suppress(psycopg.errors.QueryCanceled):
        connection.execute(f"SET statement_timeout = {int(seconds * 1000)}")
        yield connection


def _vacuum(stage: Stage, seconds: float) -> None:
    with _limited(stage, seconds) as connection:
        connection.execute("SET vacuum_cost_delay = '20ms'")
        connection.execute("SET vacuum_cost_limit = 20")
        while True:
            connection.execute("VACUUM (ANALYZE, DISABLE_PAGE_SKIPPING) runfold.log, runfold.head")


def _index(stage: Stage, seconds: float) -> None:
    until = time.monotonic() + seconds
    with stage.server.admin() as connection:
        while time.monotonic() < until:
            connection.execute("CREATE INDEX CONCURRENTLY faults_trial ON runfold.log (topic, event_id, thread_id)")
            connection.execute("DROP INDEX CONCURRENTLY runfold.faults_trial")


def _dump(stage: Stage, seconds: float) -> None:
    """Dump again and again for a while; where the server is ours, with the program that came with it."""
    own = [folder / "pg_dump" for folder in wheel_folders()] if isinstance(stage.server, OwnServer) else []
    program = next((str(path) for path in own if path.exists()), shutil.which("pg_dump"))
    if program is None:
        stage.figures.measured["pg_dump"] = "is not installed"
        return
    ended = threading.Event()
    timer = threading.Timer(seconds, ended.set)
    timer.start()
    while not ended.is_set():
        command = [program, "--dbname", stage.server.admin_url or "", "--schema", "runfold", "--file", "/dev/null"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            stage.figures.measured["pg_dump"] = done.stderr.strip().splitlines()[0]
            timer.cancel()
            return
