"""Connections that break, servers that go away, and what a URL may say."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runfold import Ledger, LedgerUnavailable
from runfold.embedded.server import EmbeddedServer
from runfold.errors import UnsafeDurability
from runfold.handles.run import Run
from runfold.store.datastore import EVERY_TENANT, Datastore
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.setup.migrate import migrate
from tests.databases import TestDatabase
from tests.folders import own_folder

from .lossy_proxy import LossyProxy, on_tcp

SECONDS = 60
"""For what takes one or two, on a machine that others use as well."""


def set_for_database(admin_url: str, setting: str) -> None:
    """Give every later session in the test's database a setting."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        name = sql.Identifier(conninfo_to_dict(admin_url)["dbname"])
        admin.execute(sql.SQL("ALTER DATABASE {} SET ").format(name) + sql.SQL(setting))


@contextlib.contextmanager
def writing(run: Run, threads: int = 4) -> Iterator[list[str]]:
    """Adds messages from several threads, in vain or not, until the block ends. Yields the ids of those acknowledged."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def write(number: int) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            message = f"msg_{number}_{count}"
            with contextlib.suppress(LedgerUnavailable):
                run.add_message("user", "x", message_id=message)
                acknowledged.append(message)

    workers = [threading.Thread(target=write, args=[number]) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def check(url: str, acknowledged: list[str]) -> None:
    """Whatever was acknowledged is stored, once; positions and versions have no hole."""
    with psycopg.connect(url, options="-c runfold.tenant=*") as connection:
        stored = [
            found
            for (found,) in connection.execute("SELECT data ->> 'message_id' FROM runfold.events WHERE type = 'message.added'")
        ]
        assert len(stored) == len(set(stored))
        assert set(acknowledged) <= set(stored)
        assert len(set(acknowledged)) == len(acknowledged)
        counts = connection.execute(
            "SELECT count(*) = max(position), count(DISTINCT event_id) = count(*), max(position) ="
            " (SELECT position FROM runfold.head) FROM runfold.events"
        ).fetchone()
        assert counts == (True, True, True)
        holes = "SELECT stream FROM runfold.events GROUP BY stream HAVING count(*) <> max(version) OR min(version) <> 1"
        assert connection.execute(holes).fetchall() == []


@pytest.mark.fault("D1", "H8")
@pytest.mark.parametrize("loss", ["reply", "request"])
def test_a_command_whose_reply_or_request_is_lost_succeeds_exactly_once(database, loss) -> None:
    with LossyProxy(database.url) as proxy, Ledger.open(proxy.url, connect_timeout=SECONDS) as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        for number in range(10):
            proxy.lose(loss)
            receipt = run.add_message("user", str(number)).receipt
            assert receipt is not None
            assert (receipt.appended, receipt.version, receipt.position) == (1, number + 3, number + 4)
        assert proxy.lost == 10
        assert [message.text for message in run.messages()] == [str(number) for number in range(10)]
        assert ledger.position() == 13


@pytest.mark.fault("D1", "H8")
def test_a_batch_and_parallel_commands_survive_lost_replies(database) -> None:
    with LossyProxy(database.url) as proxy, Ledger.open(proxy.url, connect_timeout=SECONDS) as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        with writing(run) as acknowledged:
            for number in range(10):
                proxy.lose("reply")
                wait_until(lambda lost=number + 1: proxy.lost == lost)
        proxy.lose("reply")
        with ledger.batch() as batch:
            for number in range(20):
                acknowledged.append(batch.run(run.id).add_message("user", "x", message_id=f"msg_b_{number}").id)
        assert proxy.lost == 11
    check(database.url, acknowledged)


@pytest.mark.fault("A2", "C-7")
def test_terminated_sessions_lose_and_double_nothing(database) -> None:
    with Ledger.open(database.url) as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        with writing(run) as acknowledged, psycopg.connect(database.admin_url, autocommit=True) as admin:
            for count in range(15):
                time.sleep(0.06)
                wait_until(lambda enough=4 * count: len(acknowledged) > enough)
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND usename = 'runfold_app'"
                )
        assert len(acknowledged) > 50
    check(database.url, acknowledged)


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    """A server that a test may kill."""
    home = own_folder("own")
    server = EmbeddedServer.start(home)
    migrate(server.admin_url)
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        admin.execute("ALTER ROLE runfold_app LOGIN")
    yield server
    server.stop_now()
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.fault("A2")
@pytest.mark.parametrize("is_unlocked", [False, True])
@pytest.mark.parametrize("tenant", [EVERY_TENANT, "acme"])
def test_however_many_pooled_connections_have_ended_the_next_question_is_answered(
    database: TestDatabase, is_unlocked: bool, tenant: str
) -> None:
    """As after a restart of the server, or where it ends sessions that stand still."""
    with contextlib.closing(Datastore(database.url)) as datastore, psycopg.connect(database.admin_url, autocommit=True) as admin:
        with contextlib.ExitStack() as stack:
            taken = [stack.enter_context(datastore.reading()).info.backend_pid for _ in range(datastore.pool.max_size)]
        for process in taken:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
        with datastore.reading(tenant, is_unlocked=is_unlocked) as connection:
            assert connection.info.backend_pid not in taken
            assert connection.execute("SHOW runfold.tenant").fetchone() == {"runfold.tenant": tenant}


@pytest.mark.fault("A2")
@pytest.mark.parametrize("tenant", [EVERY_TENANT, "acme"])
@pytest.mark.parametrize("way", ["plain", "unlocked"])
def test_a_reader_whose_connections_have_all_ended_asks_once_more(database: TestDatabase, tenant: str, way: str) -> None:
    with contextlib.closing(Datastore(database.url)) as datastore, psycopg.connect(database.admin_url, autocommit=True) as admin:
        reader = Reader(datastore) if tenant == EVERY_TENANT else TenantReader(datastore, tenant)
        reader = reader if way == "plain" else reader.unlocked()
        with contextlib.ExitStack() as stack:
            taken = [stack.enter_context(datastore.reading(tenant)).info.backend_pid for _ in range(datastore.pool.max_size)]
        assert reader.rows("SELECT pg_backend_pid()")[0][0] in taken
        for process in taken:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
        assert reader.rows("SELECT pg_backend_pid()")[0][0] not in taken
        assert [*reader.rows("SHOW runfold.tenant")] == [(tenant,)]


def test_a_killed_server_process_loses_and_doubles_nothing(own_server: EmbeddedServer) -> None:
    with Ledger.open(own_server.url()) as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        with writing(run) as acknowledged:
            for _ in range(2):
                time.sleep(0.3)
                kill_a_backend(own_server)
            before = len(acknowledged)
            wait_until(lambda: len(acknowledged) > before + 20)
        check(own_server.admin_url, acknowledged)


def kill_a_backend(server: EmbeddedServer) -> None:
    """kill -9 of one session makes the server throw all out and recover."""
    with once_it_answers(server) as admin:
        found: list[tuple[int]] = []
        one = "SELECT pid FROM pg_stat_activity WHERE application_name = 'runfold' LIMIT 1"
        wait_until(lambda: bool(found.extend(admin.execute(one).fetchall()) or found))  # who writes comes again
        os.kill(found[0][0], signal.SIGKILL)
        wait_until(lambda: is_thrown_out(admin))
    once_it_answers(server).close()  # by then all others are thrown out, too


def is_thrown_out(session: psycopg.Connection) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def once_it_answers(server: EmbeddedServer) -> psycopg.Connection:
    """A connection to a server that may still be recovering."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return psycopg.connect(server.admin_url, autocommit=True)
        except psycopg.OperationalError:
            assert time.monotonic() < until, "the server does not come back"
            time.sleep(0.02)


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, f"still not true after {SECONDS} s"
        time.sleep(0.02)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """It takes no longer, by a clock that a machine too busy to run this process stops as well."""
    tick, ticks, over = 0.01, 0, threading.Event()

    def run() -> None:
        nonlocal ticks
        while not over.wait(tick):
            ticks += 1

    clock = threading.Thread(target=run)
    clock.start()
    try:
        yield
    finally:
        over.set()
        clock.join()
    assert ticks * tick < seconds


def wait_for_connections(ledger: Ledger, seconds: float) -> None:
    """For so long from now on: for long, unless it is known that the database is away."""
    store = ledger.recorder.store
    store.connect_timeout = store.pool.timeout = store.pool.reconnect_timeout = seconds


@pytest.mark.fault("A3")
def test_a_server_that_is_killed_and_started_again_is_written_to_as_before(own_server: EmbeddedServer) -> None:
    with Ledger.open(own_server.url(), connect_timeout=SECONDS) as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        messages = [run.add_message("user", "before")]
        reader = ledger.subscribe(after=ledger.position())
        kill_the_postmaster(own_server)
        starting = threading.Timer(0.5, own_server.ensure_running)
        starting.start()
        messages.append(run.add_message("user", "while it was away"))
        starting.join()
        assert [message.text for message in run.messages()] == ["before", "while it was away"]
        assert next(reader).position == ledger.position()
        reader.stop()
        check(own_server.admin_url, [message.id for message in messages])


def kill_the_postmaster(server: EmbeddedServer) -> None:
    pid = int((server.data_folder / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    with contextlib.suppress(OSError):
        return "State:\tZ" not in status.read_text()
    return False


@pytest.mark.fault("D3", "C-6")
def test_a_database_that_is_down_is_an_error_within_the_timeout_that_says_what_to_check(own_server: EmbeddedServer) -> None:
    with Ledger.open(own_server.url(), connect_timeout=SECONDS) as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
        run.add_message("user", "before")
        own_server.stop_now()
        wait_for_connections(ledger, 1)
        try:
            for command in (lambda: run.add_message("user", "lost"), run.messages, ledger.create_thread, ledger.position):
                with (
                    at_most(2.5),
                    pytest.raises(
                        LedgerUnavailable, match=r"check that PostgreSQL runs|repeat the command with the same ids"
                    ) as down,
                ):
                    command()
                assert down.value.retriable
            with (
                at_most(3),
                pytest.raises(LedgerUnavailable, match="check that PostgreSQL runs and that RUNFOLD_DATABASE_URL is right"),
            ):
                Ledger.open(own_server.url(), connect_timeout=1)
        finally:
            own_server.ensure_running()
        wait_for_connections(ledger, SECONDS)
        run.add_message("user", "after")
        assert [message.text for message in run.messages()] == ["before", "after"]


@pytest.mark.fault("D3")
def test_commands_on_many_runs_do_not_wait_one_after_another_for_a_database_that_is_down(own_server: EmbeddedServer) -> None:
    with Ledger.open(own_server.url()) as ledger:
        thread = ledger.create_thread(agent_id="support")
        cold = [thread.start_run(parent=None).id for _ in range(30)]
    with Ledger.open(own_server.url(), connect_timeout=SECONDS) as ledger:
        own_server.stop_now()
        wait_for_connections(ledger, 1)
        try:
            with at_most(10):  # and not thirty times the timeout
                submitted = [ledger.run(run_id).submit_add_message("user", "lost") for run_id in cold]
                for command in submitted:
                    with pytest.raises(LedgerUnavailable):
                        command.result()
        finally:
            own_server.ensure_running()
        wait_for_connections(ledger, SECONDS)
        ledger.run(cold[0]).add_message("user", "after")


def test_a_closed_ledger_says_that_it_is_closed(database) -> None:
    ledger = Ledger.open(database.url)
    run = ledger.create_thread(agent_id="support").start_run()
    ledger.close()
    for command in (lambda: run.add_message("user", "late"), run.submit_complete().result, run.messages, ledger.create_thread):
        with pytest.raises(LedgerUnavailable, match="the ledger is closed; open it again") as closed:
            command()
        assert not closed.value.retriable
    ledger.close()


@pytest.mark.fault("C-11")
def test_a_database_that_is_read_only_takes_nothing_and_says_so(database) -> None:
    with Ledger.open(database.url) as ledger:
        run = ledger.create_thread(agent_id="support").start_run()
    set_for_database(database.admin_url, "default_transaction_read_only = on")
    with Ledger.open(database.url) as ledger:
        assert ledger.run(run.id).view().status == "running"
        with pytest.raises(LedgerUnavailable, match=r"accepts no writes.* use the primary") as refused:
            ledger.run(run.id).add_message("user", "x")
        assert not refused.value.retriable
    check(database.url, [])


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 160 MB."""
    folder = Path(tempfile.mkdtemp(prefix="runfold-small-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0711", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.fault("B1")
def test_a_full_disk_is_an_error_that_leaves_nothing_half_written(small_disk: Path) -> None:
    server = EmbeddedServer.start(small_disk)
    try:
        migrate(server.admin_url)
        with psycopg.connect(server.admin_url, autocommit=True) as admin:
            admin.execute("ALTER ROLE runfold_app LOGIN")
        with Ledger.open(server.url(), connect_timeout=SECONDS) as ledger:
            run = ledger.create_thread(agent_id="support").start_run()
            wait_for_connections(ledger, 2)
            ballast = small_disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 65536)
            acknowledged = []
            with pytest.raises(LedgerUnavailable) as full:  # noqa: PT012
                for number in range(2000):
                    text = os.urandom(50_000).hex()
                    acknowledged.append(run.add_message("user", text, message_id=f"msg_{number}").id)
            assert full.value.retriable
            ballast.unlink()
            server.ensure_running()  # out of space for its log, the server stops until there is some
            wait_for_connections(ledger, SECONDS)
            acknowledged.append(run.add_message("user", "there is room again", message_id="msg_after").id)
            check(server.admin_url, acknowledged)
    finally:
        server.stop_now()


@pytest.mark.fault("A10", "H10")
def test_a_server_that_would_lose_events_in_a_crash_is_refused_unless_told_otherwise(database) -> None:
    set_for_database(database.admin_url, "synchronous_commit = off")
    with pytest.raises(UnsafeDurability, match=r"synchronous_commit=off.*--unsafe-durability") as refused:
        Ledger.open(database.url)
    assert refused.value.settings == {"synchronous_commit": "off"}
    with Ledger.open(database.url, unsafe_durability=True) as ledger:
        ledger.create_thread()


@pytest.mark.fault("A10")
def test_an_unsafe_setting_of_the_role_is_noticed_too(database) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("ALTER ROLE runfold_app IN DATABASE {} SET synchronous_commit = off").format(
                sql.Identifier(conninfo_to_dict(database.url)["dbname"])
            )
        )
    with pytest.raises(UnsafeDurability):
        Ledger.open(database.url)


def test_the_whole_url_is_honoured(database) -> None:
    with Ledger.open(make_conninfo(database.url, application_name="billing", options="-c work_mem=7MB")) as ledger:
        ledger.create_thread()
        ((name, memory),) = ledger.recorder.reader.rows("SELECT current_setting('application_name'), current_setting('work_mem')")
        assert (name, memory) == ("billing", "7MB")
        sessions = (
            "SELECT DISTINCT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        with psycopg.connect(database.admin_url, application_name="billing") as admin:
            assert admin.execute(sessions).fetchall() == [("billing",)]
    with pytest.raises(UnsafeDurability):
        Ledger.open(make_conninfo(database.url, options="-c synchronous_commit=off"))


def test_sslmode_is_honoured(own_server: EmbeddedServer) -> None:
    """Over TCP, where it means something: a server without TLS is not talked to by who requires it."""
    with psycopg.connect(own_server.admin_url, autocommit=True) as admin:
        assert admin.execute("SHOW ssl").fetchone() == ("off",)
    with on_tcp(own_server.url()) as port:
        plain = make_conninfo(own_server.url(), host="127.0.0.1", port=port, sslmode="disable", connect_timeout=SECONDS)
        with Ledger.open(plain, connect_timeout=SECONDS) as ledger:
            assert ledger.position() >= 0
        with pytest.raises(LedgerUnavailable, match="SSL"):
            Ledger.open(make_conninfo(plain, sslmode="require"), connect_timeout=0.5)
