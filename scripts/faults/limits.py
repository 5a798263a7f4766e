"""C-6 and C-7: connections run out; statements are given up, and deadlocks broken."""

import contextlib
import time
from collections.abc import Callable

import psycopg
from psycopg.conninfo import make_conninfo

from faults.clients import open_ledger, write
from faults.concurrency import disturb
from faults.row import row
from faults.servers import OwnServer
from faults.stage import Stage
from runfold import Ledger, LedgerUnavailable

TIMEOUT = 2.0
_PATIENT = (  # longer than the statements that are given up
    "SELECT FROM pg_locks WHERE relation = 'runfold.log'::regclass AND NOT granted"
    " AND waitstart < clock_timestamp() - interval '100 ms'"
)


@row("C-6", "connections exhausted", share=0.003)
def exhausted(stage: Stage) -> None:
    """All of the server's connections are taken, then all of a process's own pool. Who needs another one waits a bounded
    time and gets an error that may be retried; who appends already goes on; and with the connections back all do."""
    stage.own  # noqa: B018  it raises where the server is not ours
    stage.use(OwnServer.start())
    stage.own.configure(max_connections="28")
    stage.start_writers(1, modes=("single", "batch"), pause=0.01)
    stage.expect(stage.server.wait_for_progress(10) is not None, "the first writer did not start")
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(stage.server.url))
        head = _head(stage)
        waited = _refusal(stage, lambda: Ledger.open(stage.server.url, connect_timeout=TIMEOUT).close())
        stage.figures.measured["no connection: refused after s"] = waited
        stage.start_writers(1, modes=("single",), connect_timeout=TIMEOUT)
        stage.expect(_head(stage) > head, "who was connected did not go on")
        time.sleep(3)
    _empty_pool(stage)
    while not stage.enough(1, 1):
        time.sleep(0.05)
    stage.finish()
    late = stage.crew.works()[-1].journal
    stage.expect(late.exists() and late.stat().st_size > 0, "who was refused never came through")


def _head(stage: Stage) -> int:
    """The head as superuser, for whom the server keeps connections."""
    with stage.server.admin() as connection:
        (position,) = connection.execute("SELECT position FROM runfold.head").fetchone() or (0,)
    return int(str(position))


def _empty_pool(stage: Stage) -> None:
    with open_ledger(stage.work("pool", 0, connect_timeout=TIMEOUT)) as ledger:
        thread = ledger.create_thread(thread_id=f"thread_{stage.tag}_pool")
        with contextlib.ExitStack() as taken:
            for _ in range(ledger.recorder.store.pool.max_size):
                taken.enter_context(ledger.recorder.store.reading())
            waited = _refusal(stage, ledger.position)
            stage.figures.measured["pool empty: refused after s"] = waited
            thread.rename("what is in memory needs no pool to be appended to")
        stage.expect(ledger.position() > 0, "the pool did not recover")


def _refusal(stage: Stage, ask: Callable[[], object]) -> float:
    began = time.monotonic()
    try:
        ask()
    except LedgerUnavailable as error:
        stage.expect(error.retriable, f"not retriable: {error}")
    else:
        stage.expect(False, "there was a connection after all")
    waited = time.monotonic() - began
    stage.expect(waited < 3 * TIMEOUT + 1, f"the refusal took {waited:.1f} s with a timeout of {TIMEOUT} s")
    return round(waited, 1)


@row("C-7", "timeouts and deadlocks", share=0.02, short=True)
def given_up(stage: Stage) -> None:
    """Some writers' statements are given up after a few milliseconds, and an administrator locks the log and the head in
    the wrong order, so that PostgreSQL ends an append to break the deadlock. Callers are told that they may repeat, and
    repeat under the same ids: nothing is lost and nothing twice."""
    hasty = make_conninfo(stage.server.url, options="-c statement_timeout=20ms")
    stage.start_writers(3, modes=("window", "batch"), pause=0.02)
    for index in range(2):
        stage.crew.start(write, stage.work(f"hasty{index}", 10**9, url=hasty, modes=("single",), pause=0.02))
    stage.crew.start(disturb, stage.work("hold", 30 if stage.short else 150))
    stage.expect(stage.server.wait_for_progress(stage.server.head()) is not None, "no writer started")
    wanted = (1 if stage.short else 6) if stage.server.admin_url else 0
    until = time.monotonic() + 120
    while not (stage.enough(_seen(stage, wanted) or time.monotonic() > until, 1) and not stage.crew.alive()):
        stage.pause(0.1, 0.4)  # until who was ended has written it down
        if _errors(stage, "DeadlockDetected") < wanted:
            _lock_in_the_wrong_order(stage)
    stage.finish()
    deadlocks = min(wanted, _errors(stage, "DeadlockDetected"))  # one more, where it was written down late
    stage.figures.measured["deadlocks"] = deadlocks if wanted else "none without RUNFOLD_ADMIN_URL"
    stage.expect(_errors(stage, "QueryCanceled") > 0, "no statement was given up")
    stage.expect(deadlocks == wanted, "no append was ended to break a deadlock")


def _seen(stage: Stage, wanted: int) -> bool:
    return _errors(stage, "DeadlockDetected") >= wanted and _errors(stage, "QueryCanceled") >= 3


def _errors(stage: Stage, kind: str) -> int:
    return sum(found == f"LedgerUnavailable/{kind}" for found, _ in stage.crew.errors())


def _lock_in_the_wrong_order(stage: Stage) -> None:
    """Lock the log, wait until an append holds the head and waits for us, and ask for the head."""
    with contextlib.suppress(psycopg.errors.DeadlockDetected), stage.server.admin() as connection, connection.transaction():
        connection.execute("LOCK TABLE runfold.log IN SHARE MODE")
        until = time.monotonic() + 5
        while time.monotonic() < until and connection.execute(_PATIENT).fetchone() is None:
            time.sleep(0.02)
        connection.execute("SELECT position FROM runfold.head FOR UPDATE")
