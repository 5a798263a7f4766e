"""Who makes all others' appends wait: for a moment that the server bounds, and only who may append."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from runfold import LedgerUnavailable
from runfold.store.appending.append_call import AppendCall, Placed
from runfold.store.appending.writer import Batch, Repeated, Writer
from runfold.store.codec import Row
from runfold.store.datastore import Datastore
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.recorder import Recorder
from tests.databases import TestDatabase

from ..lossy_proxy import Loss, LossyProxy

MakeRow = Callable[..., Row]
FROZEN = """
import os, signal, sys
from uuid import uuid4
from runfold import LedgerUnavailable
from runfold.store.codec import Row
from runfold.store.datastore import Datastore
from runfold.store.appending.writer import Batch, Writer
row = Row("run_frozen", 1, "run.waiting", 1, b'{"reason":"input"}', None, "default", "thread_a", uuid4().bytes, "{}", "{}")
def freeze():
    print("holding", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return Batch([row])
try:
    Writer(Datastore(sys.argv[1])).append_alone(freeze)
except LedgerUnavailable as error:
    print("retry" if error.retriable else error, flush=True)
"""
BOUNDS = ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout")


@pytest.mark.fault("K4", "C-4")
@pytest.mark.paired
def test_a_process_that_freezes_while_it_holds_up_all_others_holds_them_up_for_a_moment(
    database: TestDatabase, recorder: Recorder, row: MakeRow
) -> None:
    frozen = subprocess.Popen([sys.executable, "-c", FROZEN, database.url], stdout=subprocess.PIPE, text=True)
    with frozen:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "holding\n"
        os.waitid(os.P_PID, frozen.pid, os.WSTOPPED | os.WNOWAIT)
        # The others wait for less long than they wait for any lock, and so are not even refused.
        assert recorder.writer.append([row("run_a", 1)]) == Placed(1, recorder.reader.head().recorded_at)
        assert recorder.writer.append([row("run_a", 2)]).first_position == 2
        frozen.send_signal(signal.SIGCONT)
        assert frozen.stdout.readline() == "retry\n"
    assert [found.stream for found in recorder.reader.page()] == ["run_a", "run_a"]


@pytest.mark.fault("K4", "C-4")
@pytest.mark.parametrize("before", ["0", "1h", "100ms"])
def test_the_bounds_of_a_hold_are_the_servers_whatever_the_session_had_set(
    database: TestDatabase, recorder: Recorder, before: str
) -> None:
    with recorder.store.connect() as holder:
        holder.execute(";".join(f"SET {name} = '{before}'" for name in BOUNDS))
        with holder.transaction():
            holder.execute("SELECT runfold.hold_appends()")
            assert settings(holder) == ["3s", "10s", "5s"]
            if holder.info.server_version >= 170_000:
                assert holder.execute("SHOW transaction_timeout").fetchone() == ("30s",)
        assert settings(holder) == [before] * 3


@pytest.mark.fault("C-4")
@pytest.mark.parametrize(("before", "after"), [("0", "10s"), ("1h", "10s"), ("11s", "10s"), ("10s", "10s"), ("200ms", "200ms")])
def test_who_appends_in_a_transaction_of_their_own_and_stalls_is_ended_by_the_server(
    recorder: Recorder, row: MakeRow, before: str, after: str
) -> None:
    writer = Writer(recorder.store)
    connection = writer._connected()
    connection.execute(f"SET idle_in_transaction_session_timeout = '{before}'")
    with connection.transaction():
        writer.append([row("run_a", 1)])
        assert settings(connection)[0] == after
    assert settings(connection)[0] == before
    writer.close()


@pytest.mark.fault("K4")
def test_who_finds_a_new_history_holds_within_the_same_bounds(database: TestDatabase, recorder: Recorder, row: MakeRow) -> None:
    recorder.writer.append([row("run_a", 1)])
    with recorder.store.connect() as finder, finder.transaction():
        finder.execute("SELECT runfold.follow_history((SELECT epoch FROM runfold.head), 1, gen_random_uuid(), now())")
        assert settings(finder) == ["3s", "10s", "5s"]


def settings(connection: psycopg.Connection[Any]) -> list[str]:
    return [connection.execute(f"SELECT current_setting('{name}')").fetchone()[0] for name in BOUNDS]  # type: ignore[index]


TABLES = ("runfold.log", "runfold.head", "runfold.migrations", "runfold.epochs")
MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
NUMBERS = (0, 1, -1, 8241990171134159716, 8241990171134159717, 0x72756E666F6C64)
HOLDS = [
    *(f"LOCK TABLE {table} IN {mode} MODE" for table in TABLES for mode in MODES),
    *(
        f"SELECT * FROM {table} LIMIT 1 FOR {how}"
        for table in TABLES
        for how in ("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE")
    ),
    *(f"SELECT pg_advisory_lock({number}), pg_advisory_xact_lock({number})" for number in NUMBERS),
    "SELECT pg_advisory_lock(oid::int, 0), pg_advisory_lock(0, oid::int) FROM pg_class WHERE relname IN ('log', 'head')",
    "SELECT runfold.hold_appends()",
    "SELECT runfold.append_events('{}', '')",
    "SELECT runfold.append_events_in_groups('{}','{}','{}',NULL,'{}','{}','{}','{}','{}','{}','{}','{}','')",
    "SELECT runfold.append('{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')",
    "SELECT runfold.append_before_0005('{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')",
    "SELECT runfold.follow_history((SELECT epoch FROM runfold.head), 1, gen_random_uuid(), now())",
    "SELECT runfold.begin_epoch('mine', 0, NULL)",
    "UPDATE runfold.head SET position = position",
    "DELETE FROM runfold.head",
    "CREATE TABLE pg_temp.mine (at bigint REFERENCES runfold.log)",
    "CREATE TABLE runfold.mine (at bigint REFERENCES runfold.log)",
    "CREATE INDEX ON runfold.log (topic)",
    "CREATE TRIGGER mine BEFORE INSERT ON runfold.log FOR EACH ROW EXECUTE FUNCTION runfold.refuse_change()",
    "ALTER FUNCTION runfold.append_events SET lock_timeout = 0",
    "ALTER FUNCTION runfold.append_events_in_groups SET lock_timeout = 0",
    "COMMENT ON TABLE runfold.log IS 'mine'",
    "CREATE STATISTICS mine ON topic, tenant_id FROM runfold.log",
    "ANALYZE runfold.log, runfold.head",
    "NOTIFY runfold_log",
    "DECLARE mine CURSOR WITH HOLD FOR SELECT * FROM runfold.log",
]


@pytest.fixture
def hurried(database: TestDatabase) -> Iterator[Writer]:
    """A writer that is refused at once where it would have to wait."""
    store = Datastore(make_conninfo(database.url))
    writer = Writer(store)
    writer._connected().execute("SET lock_timeout = '20ms'")
    yield writer
    writer.close()
    store.close()


@pytest.mark.fault("C-4")
@pytest.mark.parametrize("role", ["runfold_reader", "runfold_projector"])
def test_who_may_not_append_can_hold_up_nobody_who_does(database: TestDatabase, hurried: Writer, row: MakeRow, role: str) -> None:
    refused: list[str] = []
    hurried.append([row("run_a", 1)])
    for number, statement in enumerate(HOLDS, 2):
        with psycopg.connect(make_conninfo(database.url, user=role)) as connection:
            try:
                connection.execute("SELECT set_config('runfold.tenant', '*', false)")
                connection.execute(statement)
            except (errors.InsufficientPrivilege, errors.InvalidTableDefinition):
                refused.append(statement)
            answer = hurried.append([row("run_a", number)])
            assert isinstance(answer, Placed), statement
            held = hurried.append_alone(lambda number=number: Batch([row(f"run_alone_{number}", 1)]))
            assert isinstance(held, Placed), statement
            connection.rollback()
    assert {"SELECT runfold.hold_appends()", "SELECT * FROM runfold.head LIMIT 1 FOR KEY SHARE"} < set(refused)
    assert len(refused) < len(HOLDS), "some do no harm"


@pytest.mark.fault("C-4")
def test_who_waits_for_a_hold_is_refused_within_their_bound_and_may_try_again(
    recorder: Recorder, hurried: Writer, row: MakeRow
) -> None:
    def others_wait() -> None:
        with pytest.raises(LedgerUnavailable, match="another session blocks all appends") as refused:
            hurried.append([row("run_a", 1)])
        assert refused.value.retriable

    assert recorder.writer.append_alone(others_wait) is None
    assert hurried.append([row("run_a", 1)]).first_position == 1


def test_what_is_read_in_a_hold_is_all_there_is_whatever_isolation_the_role_asks_for(
    database: TestDatabase, row: MakeRow
) -> None:
    stores = [Datastore(make_conninfo(database.url, options="-c default_transaction_isolation=serializable")) for _ in range(2)]
    one, other = (Recorder(store) for store in stores)
    for number in range(1, 6):
        assert isinstance(other.writer.append([row("run_a", 2 * number - 1)]), Placed)

        def decide() -> Batch:
            ((version, _),) = TenantReader.of(one.reader, "default").ends(["run_a"]).values()
            return Batch([row("run_a", version + 1)])

        assert isinstance(one.writer.append_alone(decide), Placed)
    one.close()
    other.close()


def test_whoever_decides_nothing_or_raises_gives_the_hold_up(recorder: Recorder, hurried: Writer, row: MakeRow) -> None:
    def raising() -> Batch:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        recorder.writer.append_alone(raising)
    assert hurried.append([row("run_a", 1)]).first_position == 1
    assert recorder.writer.append_alone(lambda: None) is None
    assert hurried.append([row("run_a", 2)]).first_position == 2
    assert recorder.writer.append_alone(lambda: Batch([row("run_a", 2)])) == {("default", "run_a"): 2}
    assert recorder.writer.append_alone(lambda: Batch([row("run_b", 1)], {("default", "run_a"): 1})) == {("default", "run_a"): 2}
    again = row("run_b", 1)
    assert recorder.writer.append_alone(lambda: Batch([again])).first_position == 3  # type: ignore[union-attr]
    repeated = recorder.writer.append_alone(lambda: Batch([again._replace(stream="run_c")]))
    assert repeated == Repeated(frozenset([again.event_id]))
    assert hurried.append([row("run_a", 3)]).first_position == 4


@pytest.mark.fault("D1", "H8")
@pytest.mark.parametrize(
    ("loss", "when"), [("reply", "commit"), ("request", "commit"), ("reply", "append"), ("request", "append")]
)
def test_a_hold_whose_commit_is_answered_by_nobody_is_told_from_one_that_was_lost(
    database: TestDatabase, recorder: Recorder, row: MakeRow, monkeypatch: pytest.MonkeyPatch, loss: Loss, when: str
) -> None:
    append = AppendCall.__call__
    with LossyProxy(database.url) as proxy:

        def losing(*given: Any) -> Any:
            if when == "append":
                proxy.lose(loss)
            answer = append(*given)
            if when == "commit":
                proxy.lose(loss)
            return answer

        writer = Writer(Datastore(proxy.url, connect_timeout=60))
        for version in range(1, 11):
            batch = Batch([row("run_a", version)])
            with monkeypatch.context() as patched:
                patched.setattr(AppendCall, "__call__", losing)
                if (loss, when) == ("reply", "commit"):
                    placed = writer.append_alone(lambda batch=batch: batch)
                else:
                    with pytest.raises(LedgerUnavailable, match="nothing was stored") as lost:
                        writer.append_alone(lambda batch=batch: batch)
                    assert lost.value.retriable
                    placed = None
            placed = placed or writer.append(batch.rows)
            assert isinstance(placed, Placed)
            assert placed.first_position == version
        assert proxy.lost == 10
        writer.close()
    assert recorder.reader.head().position == 10


@pytest.mark.fault("K4")
def test_a_hold_that_the_server_ended_stores_nothing_and_may_be_tried_again(
    database: TestDatabase, recorder: Recorder, row: MakeRow
) -> None:
    def ended() -> Batch:
        with psycopg.connect(database.admin_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state = 'idle in transaction'"
            )
        return Batch([row("run_a", 1)])

    with pytest.raises(LedgerUnavailable, match="ended the session that blocked all appends; nothing was stored") as refused:
        recorder.writer.append_alone(ended)
    assert refused.value.retriable
    assert recorder.writer.append_alone(lambda: Batch([row("run_a", 1)])).first_position == 1  # type: ignore[union-attr]


def test_who_held_up_others_often_and_then_refuses_goes_on_appending(recorder: Recorder, row: MakeRow) -> None:
    """psycopg prepares what is asked often, and gives back all that is prepared on a connection once something is rolled back."""

    def refusing() -> Batch:
        raise RuntimeError("refused")

    recorder.writer.append([row("run_a", 1)])
    for _ in range(10):
        assert recorder.writer.append_alone(lambda: None) is None
    with pytest.raises(RuntimeError, match="refused"):
        recorder.writer.append_alone(refusing)
    assert isinstance(recorder.writer.append([row("run_a", 2)]), Placed)
