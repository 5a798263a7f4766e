"""Behind a pooler: one that shares sessions among clients is refused by name, one that keeps them apart changes nothing."""

import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from runfold import Ledger
from runfold.errors import TransactionPooling
from runfold.maintenance.backup import back_up
from runfold.maintenance.restore import restore
from runfold.projections.registry import known
from runfold.projector.worker import Worker
from runfold.sessions import ROUNDS, require_own_session
from runfold.store.datastore import Datastore
from runfold.store.marks import MarkFile
from runfold.store.setup.migrate import migrate
from tests.backups import events, tell
from tests.databases import TestDatabase

from .bouncer import Mode, bouncing

pytestmark = pytest.mark.fault("D5")

REFUSED = (
    r"127\.0\.0\.1:\d+ is a connection pooler in transaction mode, and Runfold needs sessions of its own .*; "
    r"give the server's own address as RUNFOLD_DATABASE_URL.* or set pool_mode = session for this database in the pooler"
)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("pool_size", [1, 2, 20])
def test_a_pooler_that_shares_sessions_is_refused_before_anything_is_done(
    database: TestDatabase, mode: Mode, pool_size: int
) -> None:
    with bouncing(database, mode, pool_size) as pooled:
        for _ in range(3):  # whatever sessions are free by then
            with pytest.raises(TransactionPooling, match=REFUSED):
                Ledger.open(pooled.url)
        with pytest.raises(TransactionPooling, match=REFUSED):
            migrate(pooled.admin_url)
        with pytest.raises(TransactionPooling, match=REFUSED):
            Worker(Datastore(pooled.projector_url), known()).run(threading.Event())


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_no_backup_is_made_or_restored_through_one_that_shares_sessions(
    database: TestDatabase, empty: TestDatabase, tmp_path: Path, mode: Mode
) -> None:
    file = tmp_path / "ledger.dump"
    with bouncing(database, mode) as pooled, pytest.raises(TransactionPooling, match=REFUSED):
        back_up(pooled.admin_url, file, None)
    assert list(tmp_path.iterdir()) == []
    back_up(database.admin_url, file, None)
    with bouncing(empty, mode) as pooled, pytest.raises(TransactionPooling, match=REFUSED):
        restore(pooled.admin_url, file, None, MarkFile(tmp_path / "marks.json"))


def test_a_backup_is_made_and_restored_through_one_that_keeps_them_apart(
    ledger: Ledger, database: TestDatabase, empty: TestDatabase, tmp_path: Path
) -> None:
    tell(ledger)
    file = tmp_path / "ledger.dump"
    with bouncing(database, "session") as pooled:
        back_up(pooled.admin_url, file, None)
    with bouncing(empty, "session") as pooled:
        assert restore(pooled.admin_url, file, None, MarkFile(tmp_path / "marks.json")).findings == []
    assert events(empty.admin_url) == events(database.admin_url)


def test_it_is_refused_while_others_use_the_pooler_too(database: TestDatabase) -> None:
    with bouncing(database, "transaction", 4) as pooled:
        stop = threading.Event()

        def ask() -> None:
            with psycopg.connect(pooled.url, autocommit=True, prepare_threshold=None) as connection:
                while not stop.is_set():
                    connection.execute("SELECT 1")

        others = [threading.Thread(target=ask) for _ in range(3)]
        for other in others:
            other.start()
        try:
            for _ in range(10):
                with pytest.raises(TransactionPooling):
                    Ledger.open(pooled.url)
        finally:
            stop.set()
            for other in others:
                other.join()


@pytest.mark.parametrize("only", ["database_url", "projector_url"])
def test_one_url_that_leads_through_it_is_enough_to_be_refused(database: TestDatabase, only: str) -> None:
    with bouncing(database, "transaction") as pooled:
        settings = database.settings.model_copy(update={only: getattr(pooled.settings, only)})
        with pytest.raises(TransactionPooling, match=REFUSED), Ledger.open(settings=settings) as ledger:
            ledger.fold()


def test_the_command_line_says_so_in_one_line(database: TestDatabase) -> None:
    with bouncing(database, "transaction") as pooled:
        command = [sys.executable, "-m", "runfold.cli.main", "runs", "--database-url", pooled.url]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert "is a connection pooler in transaction mode" in done.stderr
        assert "pool_mode = session" in done.stderr
        told = subprocess.run([*command[:3], "doctor", *command[4:]], check=False, capture_output=True, text=True, timeout=120)
        assert told.returncode == 1
        assert "pool_mode = session" in " ".join(told.stdout.split())


def test_behind_a_pooler_that_keeps_sessions_everything_works_and_a_subscriber_misses_nothing(database: TestDatabase) -> None:
    with bouncing(database, "session", pool_size=60) as pooled, Ledger.open(settings=pooled.settings) as ledger:
        seen: list[int] = []
        writers = 4

        def follow() -> None:
            for recorded in ledger.subscribe(after=0):
                seen.append(recorded.position)
                if recorded.type == "thread.archived":
                    return

        def write(number: int) -> None:
            run = ledger.create_thread(agent_id=f"a{number}").start_run()
            for each in range(25):
                run.call_tool("search", call_id=f"call_{each}").succeed("found")
            run.complete()

        following = threading.Thread(target=follow)
        following.start()
        writing = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in writing:
            thread.start()
        for thread in writing:
            thread.join()
        last = ledger.create_thread(title="the end")
        last.archive()
        following.join(60)
        head = ledger.position()
        assert seen == list(range(1, head + 1))
        assert ledger.fold() == head
        assert len(ledger.now.tool_calls(limit=200).items) == writers * 25
        assert ledger.at(head).runs(thread_id=ledger.now.runs().items[0].thread_id).items
        (rebuilt,) = ledger.rebuild("tool_calls", processes=1)
        assert rebuilt.compared is not None
        assert (rebuilt.compared.different, rebuilt.switched) == (0, True)


def test_without_a_pooler_one_question_is_enough(database: TestDatabase) -> None:
    def another() -> psycopg.Connection:
        raise AssertionError("no second connection is needed")

    with psycopg.connect(database.url) as connection:
        require_own_session(connection, another)
    with bouncing(database, "session") as pooled, psycopg.connect(pooled.url) as connection:
        opened: list[psycopg.Connection] = []

        def second() -> psycopg.Connection:
            opened.append(psycopg.connect(make_conninfo(pooled.url, application_name="second")))
            return opened[-1]

        require_own_session(connection, second)
        assert len(opened) == 1
        assert opened[0].closed
    assert ROUNDS >= 2
