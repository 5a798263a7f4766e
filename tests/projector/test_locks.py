"""The locks of the projector: nobody else can take them, and who took one and stalls holds up others for a moment."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

import runfold
from runfold import Ledger
from runfold.projector import locks
from runfold.projector.connection import connect
from runfold.projector.locks import is_held, rebuilding, take_session_lock
from runfold.projector.past import as_of
from runfold.projector.rebuilding import rebuild
from runfold.projector.tables import generations
from runfold.store.datastore import Connection, Datastore
from runfold.store.setup.migrate import migrate
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Rebuilding, Work
from tests.projector.soundness import Books
from tests.projector.toys import TOYS, Tally
from tests.waiting import until

HELD = """
SELECT l.classid::bigint, l.objid::bigint, l.objsubid
  FROM pg_locks AS l
 WHERE l.locktype = 'advisory' AND l.granted
   AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
"""
OF_BEFORE = (8241990171134159716, 8241990171134159717, 8241990171134159720)
"""The numbers that versions before locked."""
PAIRS_OF_BEFORE = (824199017, 824199018)


class Thief:
    """A reader that takes each advisory lock it hears of, and waits for those that others have."""

    def __init__(self, url: str) -> None:
        self.url = make_conninfo(url, user="runfold_reader")
        self.wanted: set[tuple[int, int, int]] = set()
        self._open: list[psycopg.Connection[Any]] = []
        self._waiting: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._watching = threading.Thread(target=self._watch)

    def __enter__(self) -> "Thief":
        for number in OF_BEFORE:
            self._connected().execute("SELECT pg_advisory_lock(%s)", [number])
        for number in PAIRS_OF_BEFORE:
            for name in TOYS:
                self._connected().execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [number, name])
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._watching.join()
        for connection in self._open:
            connection.cancel()
        for thread in self._waiting:
            thread.join()
        for connection in self._open:
            connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        self._open.append(psycopg.connect(self.url, autocommit=True))
        return self._open[-1]

    def _watch(self) -> None:
        own = {connection.info.backend_pid for connection in self._open}
        with psycopg.connect(self.url, autocommit=True) as looking:
            while not self._stopping.wait(0.005):
                found = looking.execute(HELD + " AND NOT l.pid = ANY(%s)", [list(own)]).fetchall()
                for key in set(found) - self.wanted:
                    self.wanted.add(key)
                    waiting = threading.Thread(target=self._wait_for, args=(self._connected(), *key))
                    own.add(self._open[-1].info.backend_pid)
                    self._waiting.append(waiting)
                    waiting.start()

    @staticmethod
    def _wait_for(connection: psycopg.Connection[Any], high: int, low: int, of: int) -> None:
        with contextlib.suppress(errors.QueryCanceled):
            if of == 1:
                connection.execute("SELECT pg_advisory_lock((%s::bigint << 32) | %s::bigint)", [high, low])
            else:
                connection.execute("SELECT pg_advisory_lock(%s::oid::int, %s::oid::int)", [high, low])


@pytest.fixture
def projector(database: TestDatabase) -> Iterator[Callable[[], Connection]]:
    """Makes connections as the projector has them."""
    with contextlib.ExitStack() as made:
        yield lambda: made.enter_context(contextlib.closing(connect(Datastore(database.projector_url))))


@pytest.mark.fault("C-4", "K3")
def test_a_reader_that_takes_every_advisory_lock_holds_nothing_up(
    database: TestDatabase, ledger: Ledger, fill: Fill, work: Work, rebuild: Rebuilding, books: Books
) -> None:
    fill(2)
    with Thief(database.url) as thief:
        assert migrate(database.admin_url) == []
        fill(2)
        work().catch_up()
        for _ in range(2):  # the thief holds what the first one had
            rebuild(Tally())
        assert [model.generation for model in books.models() if model.name == "tally" and model.state == "live"] == [3]
        for position in (5, 6):
            ledger.prepare(position)
        assert [moment.state for moment in ledger.moments()] == ["ready", "ready"]
        ledger.make_schema("october", "run_summaries", as_of=5)
        with Ledger.open(settings=database.settings) as other:
            other.fold()
            assert len(other.now.runs(limit=100).items) == 4
        assert len(thief.wanted) >= 5, "it heard of the locks of rebuilds and of moments"


@pytest.mark.shares
@pytest.mark.fault("C-4")
@pytest.mark.parametrize("role", ["runfold_reader", "runfold_app"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT runfold.take_lock('moments')",
        "SELECT runfold.take_session_lock('rebuild tally')",
        *(
            f"SELECT * FROM runfold.{table} FOR {strength}"
            for table in ("locks", "session_locks")
            for strength in ("UPDATE", "KEY SHARE")
        ),
        *(
            f"LOCK TABLE runfold.{table} IN {mode} MODE"
            for table in ("locks", "session_locks", "held_session_locks")
            for mode in ("ROW SHARE", "ACCESS EXCLUSIVE")
        ),
        "INSERT INTO runfold.session_locks VALUES ('rebuild tally', 1, pg_backend_pid())",
        "DELETE FROM runfold.session_locks",
    ],
)
def test_who_may_not_fold_can_take_none_of_the_projectors_locks(database: TestDatabase, role: str, statement: str) -> None:
    with psycopg.connect(make_conninfo(database.url, user=role)) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.fault("C-4")
def test_no_statement_depends_on_an_advisory_lock_that_others_can_name(database: TestDatabase) -> None:
    source = Path(runfold.__file__).parent
    written = [path for path in source.rglob("*") if path.suffix in {".py", ".sql"} and path.parent.name != "migrations"]
    assert len(written) > 100
    assert [
        path.name for path in written if re.search(r"pg_(try_)?advisory(?!_unlock_all)\w*\(", path.read_text(encoding="utf-8"))
    ] == []
    with psycopg.connect(database.admin_url) as admin:
        found = admin.execute(
            "SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'runfold'::regnamespace AND p.prosrc ~ 'advisory'"
        ).fetchall()
    assert found == [("take_session_lock",)], "its number is drawn anew each time"


@pytest.mark.fault("C-4")
def test_the_lock_of_a_session_that_ended_is_free_whoever_waited_for_its_number(
    database: TestDatabase, projector: Callable[[], Connection]
) -> None:
    name = rebuilding("tally")
    holder, other = projector(), projector()
    assert (take_session_lock(holder, name), take_session_lock(holder, name), take_session_lock(other, name)) == (
        True,
        True,
        False,
    )
    with Thief(database.url) as thief:
        until(lambda: len(thief.wanted) == 1)
        holder.close()
        until(lambda: not is_held(other, name))
        with psycopg.connect(database.admin_url, autocommit=True) as admin:  # a transaction keeps the sessions it saw first
            until(
                lambda: (
                    ("runfold_reader",)
                    in admin.execute(
                        "SELECT a.usename FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid), runfold.session_locks AS s"
                        " WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = s.key"
                    ).fetchall()
                )
            )
        assert not is_held(other, name), "the thief has the number, and that says nothing"
        assert take_session_lock(other, name)
        assert is_held(projector(), name)


def test_a_number_that_a_role_which_may_not_fold_holds_shows_no_session_even_under_its_process_id(
    database: TestDatabase, projector: Callable[[], Connection]
) -> None:
    name = rebuilding("tally")
    with psycopg.connect(make_conninfo(database.url, user="runfold_reader"), autocommit=True) as reader:
        reader.execute("SELECT pg_advisory_lock(7)")
        with psycopg.connect(database.admin_url, autocommit=True) as admin:  # as if its process id had been a projector's
            admin.execute("INSERT INTO runfold.session_locks VALUES (%s, 7, %s)", [name, reader.info.backend_pid])
        assert not is_held(projector(), name)
        assert take_session_lock(projector(), name)


def test_of_many_that_want_a_session_lock_at_once_one_gets_it(
    database: TestDatabase, projector: Callable[[], Connection]
) -> None:
    connections = [projector() for _ in range(6)]
    with ThreadPoolExecutor(len(connections)) as pool:
        for number in range(20):
            taken = pool.map(lambda connection, name=f"schema past_{number}": take_session_lock(connection, name), connections)
            assert sum(taken) == 1
    for connection in connections:
        connection.close()
    left = projector()
    until(lambda: not left.execute("SELECT FROM runfold.held_session_locks").fetchall())
    assert take_session_lock(left, "schema past")
    with psycopg.connect(database.admin_url) as admin:
        assert admin.execute("SELECT name FROM runfold.session_locks").fetchall() == [("schema past",)], "the dead are forgotten"


@pytest.mark.fault("K4")
@pytest.mark.parametrize(("before", "after"), [("0", "10s"), ("1h", "10s"), ("200ms", "200ms")])
def test_who_stalls_with_a_lock_is_ended_by_the_server(projector: Callable[[], Connection], before: str, after: str) -> None:
    connection = projector()
    connection.execute(f"SET idle_in_transaction_session_timeout = '{before}'")
    for name in ("generations", "moments", "session locks"):
        with connection.transaction():
            locks.take_lock(connection, name)  # type: ignore[arg-type]  # the tuple's members are the literal's
            (setting,) = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone().values()  # type: ignore[union-attr]
            assert setting == after


def test_who_waits_for_a_lock_gives_up_at_its_bound(projector: Callable[[], Connection]) -> None:
    holder, other = projector(), projector()
    other.execute("SET lock_timeout = '50ms'")
    with holder.transaction():
        locks.take_lock(holder, "generations")
        with pytest.raises(errors.LockNotAvailable):
            generations.renew(other, Tally(), "building")
    assert generations.renew(other, Tally(), "building") == 1


def test_a_lock_that_is_not_there_is_refused(projector: Callable[[], Connection]) -> None:
    with pytest.raises(errors.InvalidParameterValue, match="there is no lock elsewhere"):
        locks.take_lock(projector(), "elsewhere")  # type: ignore[arg-type]  # on purpose


def test_who_is_done_holds_up_nobody_though_the_server_has_not_seen_the_session_end(
    ledger: Ledger, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(3)
    ledger.fold()
    open_still: list[Connection] = []

    def kept_open(datastore: Datastore) -> Connection:
        connection = connect(datastore)
        open_still.append(connection)
        connection.close = lambda: None
        return connection

    for module in (rebuild, as_of):
        monkeypatch.setattr(module, "connect", kept_open)
    try:
        ledger.rebuild("usage", processes=1)
        ledger.roll_back("usage")
        ledger.make_schema("october", "usage", processes=1)
        ledger.drop_schema("october")
        ledger.make_schema("october", "usage", processes=1)
    finally:
        for connection in open_still:
            psycopg.Connection.close(connection)
    assert open_still
