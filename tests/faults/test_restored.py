"""A ledger that is put back, by any way there is: files copied, recovery to a past moment, a backup restored under load.

Each server here is a PostgreSQL of the test's own, which is stopped, copied and started again.
"""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runfold import HistoryChanged, Ledger, LedgerUnavailable
from runfold.embedded.server import EmbeddedServer
from runfold.errors import ExportRefused, LedgerError
from runfold.export.exporting import export
from runfold.http.app import create_app
from runfold.maintenance.backup import back_up
from runfold.maintenance.checking import LogCheck
from runfold.maintenance.restore import restore
from runfold.store.marks import MarkFile
from tests.databases import TestDatabase
from tests.faults.copies import copied, settings_of, stopped
from tests.folders import own_folder
from tests.serving import Anybody, serving


@pytest.fixture
def home() -> Iterator[Path]:
    """Where the server of this test lies; it runs as another user where the tests run as root."""
    home = own_folder("restored")
    yield home
    with contextlib.suppress(LedgerError, FileNotFoundError):
        EmbeddedServer.start(home).delete()
    shutil.rmtree(home, ignore_errors=True)


def record(ledger: Ledger, up_to: int) -> None:
    while ledger.position() < up_to:
        ledger.create_thread(agent_id="a")


def put_back(copy: Path, data: Path) -> None:
    shutil.rmtree(data)
    copied(copy, data)


@pytest.mark.fault("B9", "K8")
def test_files_put_back_are_noticed_and_who_had_seen_more_is_told(home: Path) -> None:
    with Ledger.open(settings=settings_of(home)) as ledger:
        record(ledger, 6)
    data = stopped(home)
    copied(data, home / "copy")
    with Ledger.open(settings=settings_of(home)) as ledger:
        record(ledger, 10)
        before, cursors = ledger.head().epoch, [ledger.cursor(position) for position in (6, 7, 10)]
    stopped(home)
    put_back(home / "copy", data)
    with Ledger.open(settings=settings_of(home)) as ledger:
        present = ledger.lineage()[0]
        assert (present.parent, present.reason, present.from_position, present.lost_position) == (before, "rolled back", 6, 10)
        record(ledger, 12)
        assert len(ledger.events(after=cursors[0])) == 6
        for cursor in cursors[1:]:
            with pytest.raises(HistoryChanged) as changed:
                next(ledger.subscribe(after=cursor))
            assert changed.value.position == 6
        assert list(LogCheck(ledger.recorder.reader).findings()) == []


@pytest.mark.fault("B10", "B9", "K8")
def test_recovery_to_a_moment_in_the_middle_is_dense_and_a_new_history(home: Path) -> None:
    """A base backup, the WAL that came after it, and a target between two batches."""
    with Ledger.open(settings=settings_of(home)) as ledger:
        record(ledger, 3)
    data, archive = stopped(home), home / "archive"
    archive.mkdir(mode=0o777)
    archive.chmod(0o777)
    with (data / "postgresql.auto.conf").open("a") as configuration:
        configuration.write(f"archive_mode = on\narchive_command = 'cp %p \"{archive}/%f\"'\n")
    copied(data, home / "base")
    with Ledger.open(settings=settings_of(home)) as ledger:
        for _ in range(20):
            with ledger.batch() as batch:
                for _ in range(7):
                    batch.create_thread(agent_id="a").start_run()
        with psycopg.connect(ledger.database.admin_url, autocommit=True) as admin:
            target = admin.execute("SELECT xmin::text FROM runfold.log WHERE notification_id = 200").fetchone()
            admin.execute("SELECT pg_switch_wal()")
        before, beyond, last = ledger.head().epoch, ledger.cursor(), ledger.position()
    stopped(home)  # which archives what is left
    put_back(home / "base", data)
    assert target is not None
    with (data / "postgresql.auto.conf").open("a") as configuration:
        configuration.write(
            f"archive_mode = off\nrestore_command = 'cp \"{archive}/%f\" %p'\nrecovery_target_xid = '{target[0]}'\n"
            "recovery_target_inclusive = off\nrecovery_target_action = 'promote'\n"
        )
    copied(data / "PG_VERSION", data / "recovery.signal")
    with EmbeddedServer.start(home) as server:
        _until(lambda: not _in_recovery(server.admin_url))
    with Ledger.open(settings=settings_of(home)) as ledger:
        position = ledger.position()
        assert 3 < position < 200 < last, "it is a moment in the middle"
        assert (position - 3) % 21 == 0, "of a batch everything came, or nothing"
        present = ledger.lineage()[0]
        assert (present.parent, present.from_position, present.lost_position) == (before, position, last)
        assert present.reason == "timeline changed"
        record(ledger, position + 5)
        assert list(LogCheck(ledger.recorder.reader).findings()) == []
        with pytest.raises(HistoryChanged) as changed:
            ledger.events(after=beyond)
        assert changed.value.position == position


def _in_recovery(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it was never so"
        time.sleep(0.02)


@pytest.mark.fault("B6")
def test_a_flipped_bit_in_the_log_is_named_when_it_is_read_and_never_passed_on(home: Path) -> None:
    with Ledger.open(settings=settings_of(home)) as ledger:
        for number in range(300):
            ledger.create_thread(agent_id="a", title=f"the title number {number}")
        with psycopg.connect(ledger.database.admin_url, autocommit=True) as admin:
            admin.execute("CHECKPOINT")
            row = admin.execute("SELECT pg_relation_filepath('runfold.log'), current_setting('data_checksums')").fetchone()
            assert row is not None
            path, checksums = row
            (last,) = admin.execute(
                "SELECT max(notification_id) FROM runfold.log WHERE (ctid::text::point)[0] = 0"
            ).fetchone() or (0,)
        admin_url = ledger.database.admin_url
    assert (checksums, last > 5) == ("on", True), "an embedded server has page checksums"
    data = stopped(home)
    stored = bytearray((data / path).read_bytes())
    stored[stored.index(b"the title number 5")] ^= 0x04
    with (data / path).open("r+b") as heap:
        heap.write(stored)
    with Ledger.open(settings=settings_of(home)) as ledger:
        reads = (
            ledger.events,
            lambda: list(ledger.subscribe(follow=False)),
            lambda: back_up(admin_url, home / "ledger.dump", None),
        )
        for read in reads:
            with pytest.raises(LedgerError, match="invalid page in block 0"):
                read()
        found = list(LogCheck(ledger.recorder.reader).findings())
        unread = [finding.position for finding in found if finding.kind == "page"]
        assert (unread[0], unread[-1], {"a page on the server's disk is damaged" in finding.next_step for finding in found}) == (
            1,
            last,
            {True},
        )
        assert not (home / "ledger.dump").exists()


@pytest.mark.paired
@pytest.mark.fault("K8", "J4")
def test_a_backup_under_load_is_dense_and_all_who_followed_the_history_that_was_lost_are_told(
    database: TestDatabase, admin_url: str, tmp_path: Path
) -> None:
    """1,000 appends a second go on while the backup is made; then it takes the ledger's place, under the same address."""
    settings = database.settings.model_copy(update={"mark_file": tmp_path / "marks.json"})
    file, stop = tmp_path / "ledger.dump", threading.Event()
    with Ledger.open(settings=settings) as ledger, serving(create_app(ledger, Anybody())) as address:
        appending = threading.Thread(target=_append, args=[ledger, stop])
        appending.start()
        _until(lambda: ledger.position() > 2_000)
        ledger.fold("threads")
        began, before = time.monotonic(), ledger.position()
        note = back_up(database.admin_url, file, None)
        rate = (ledger.position() - before) / (time.monotonic() - began)
        assert before <= note.sums.last_position == note.sums.events
        assert ledger.position() > note.sums.last_position, "it went on meanwhile"
        _until(lambda: ledger.position() > note.sums.last_position + 1_000)
        stop.set()
        appending.join()
        export(ledger, "events", "jsonl", tmp_path / "export")
        ledger.fold("threads")
        lost = ledger.position()
        subscription = ledger.subscribe(after=lost - 5)
        remote = Ledger.connect(address, "rf_any")
        streaming = remote.subscribe(after=remote.cursor(lost - 5))
        for each in (subscription, streaming):
            assert [next(each).position for _ in range(5)] == list(range(lost - 4, lost + 1))
        resumed = ledger.cursor(lost)
        epoch, marks = ledger.recorder.reader.head().epoch, MarkFile(settings.marks)
        _until(lambda: (seen := marks.read(epoch)) is not None and seen.position == lost)

        _replace_by_nothing(admin_url, database)
        restored = restore(database.admin_url, file, None, marks)
        assert (restored.findings, restored.sums, restored.lost_position) == ([], note.sums, lost)
        assert list(LogCheck(ledger.recorder.reader).findings()) == []

        for ask in (
            lambda: next(subscription),
            lambda: next(streaming),
            lambda: next(ledger.subscribe(after=resumed)),
            lambda: remote.events(after=resumed),
            lambda: ledger.events(after=resumed),
        ):
            with pytest.raises(HistoryChanged) as changed:
                _patiently(ask)
            assert (changed.value.position, changed.value.epoch) == (note.sums.last_position, str(restored.epoch))
        refused = httpx2.get(f"{address}/events", params={"after": resumed})
        assert (refused.status_code, refused.json()["position"]) == (409, note.sums.last_position)
        with pytest.raises(ExportRefused, match=f"the same up to position {note.sums.last_position} only"):
            export(ledger, "events", "jsonl", tmp_path / "export")
        ledger.create_thread(agent_id="after")
        assert ledger.fold("threads") == note.sums.last_position + 1, "workers fold anew"
        assert next(ledger.subscribe(after=changed.value.cursor)).position == note.sums.last_position + 1
        remote.close()
    assert rate > 0


def _append(ledger: Ledger, stop: threading.Event) -> None:
    """As many as are wanted, a hundred at a time."""
    began, sent = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * 1_000)
        pending = [ledger.submit_create_thread(agent_id="load") for _ in range(min(100, due - sent))]
        for each in pending:
            each.result()
        sent += len(pending)
        stop.wait(0.01)


def _patiently(ask: Callable[[], object]) -> object:
    """What is asked while connections break is asked again."""
    end = time.monotonic() + 60
    while True:
        try:
            return ask()
        except LedgerUnavailable:
            if time.monotonic() > end:
                raise


def _replace_by_nothing(admin_url: str, database: TestDatabase) -> None:
    """An empty database of the same name, as after a disk was lost."""
    name = sql.Identifier(str(conninfo_to_dict(database.url)["dbname"]))
    with psycopg.connect(make_conninfo(admin_url, dbname="postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
