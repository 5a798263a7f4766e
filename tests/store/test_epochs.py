"""Histories: when a new one begins, who is told, and what a position of an older one means in the present one."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from runfold import HistoryChanged, Ledger, LedgerUnavailable, Settings
from runfold.errors import UsageError
from runfold.projections.registry import chosen
from runfold.projector.worker import Worker
from runfold.store.cursor import Cursor, cursor_of
from runfold.store.epochs import Epoch, Lineage
from runfold.store.marks import MOST_HISTORIES, MarkFile, Seen
from tests.databases import TestDatabase
from tests.put_back import put_back

NOW = datetime(2026, 10, 1, tzinfo=UTC)


def epoch(number: int, parent: Epoch | None = None, from_position: int = 0) -> Epoch:
    return Epoch(UUID(int=number << 96), parent and parent.id, from_position, None, "restored", NOW)


# Cursors


@pytest.mark.parametrize(
    ("text", "position", "epoch"),
    [
        ("0", 0, None),
        ("1234", 1234, None),
        (7, 7, None),
        ("12@1f2e3d4c", 12, "1f2e3d4c"),
        ("12@1F2E3D4C5", 12, "1f2e3d4c5"),
        ("3@01a2b3c4-0000-4000-8000-000000000000", 3, "01a2b3c4000040008000000000000000"),
        ("9" * 30, 2**62, None),
    ],
)
def test_a_cursor_is_a_position_and_perhaps_its_history(text: int | str, position: int, epoch: str | None) -> None:
    assert Cursor.parse(text) == (position, epoch)
    assert Cursor.parse(str(Cursor.parse(text))) == (position, epoch)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        -1,
        True,
        1.5,
        None,
        "x",
        "1@",
        "@1f2e3d4c",
        "1@1f2e3d4",
        "1@1f2e3d4g",
        "1 @1f2e3d4c",
        "1@1f2e3d4c ",
        "1@1f2e3d4c@",
        "²",
        "٣",
        "1\n",
        "1@" + "a" * 37,
        "9" * 41,
        "9" * 5_000_000,
    ],
)
def test_what_is_no_cursor_is_refused_in_words(text: object) -> None:
    with pytest.raises(UsageError, match="is not a position or a cursor; pass a position such as 1234"):
        Cursor.parse(text)  # type: ignore[arg-type]


# Lineages


@given(st.lists(st.integers(0, 50), min_size=0, max_size=6), st.integers(0, 60), st.data())
def test_a_position_is_shared_up_to_where_each_history_on_the_way_was_left(
    left_at: list[int], position: int, data: st.DataObject
) -> None:
    chain = [epoch(1)]
    for number, each in enumerate(left_at):
        chain.append(epoch(number + 2, chain[-1], each))
    lineage = Lineage(chain, chain[-1].id)
    which = data.draw(st.integers(0, len(chain) - 1))
    # What the histories hold, written down: each is its parent's events up to where it left, then its own.
    events: list[list[tuple[int, int]]] = [[(0, place) for place in range(1, 61)]]
    for number, each in enumerate(left_at):
        events.append(events[-1][:each] + [(number + 1, place) for place in range(each + 1, 61)])
    same = events[which][:position] == events[-1][:position]
    assert lineage.holds(position, chain[which].id) == same
    head = 60
    if same:
        lineage.require_cursor(Cursor.parse(cursor_of(position, chain[which].id)), head)
    else:
        with pytest.raises(HistoryChanged) as changed:
            lineage.require_cursor(Cursor.parse(cursor_of(position, chain[which].id)), head)
        common = changed.value.position
        assert common is not None
        assert events[which][:common] == events[-1][:common]
        assert events[which][common] != events[-1][common]
        lineage.require_cursor(Cursor.parse(changed.value.cursor), head)


def test_of_a_history_that_nobody_knows_no_common_position_is_known() -> None:
    root = epoch(1)
    with pytest.raises(HistoryChanged, match="does not know, so no common position is known") as changed:
        Lineage([root], root.id).require_cursor(Cursor.parse("5@ffffffff"), 10)
    assert (changed.value.position, changed.value.epoch, changed.value.cursor) == (None, str(root.id), f"0@{root.id.hex[:8]}")


def test_digits_that_could_mean_several_histories_are_refused() -> None:
    first = Epoch(UUID("01a2b3c4-0000-4000-8000-000000000001"), None, 0, None, "created", NOW)
    second = Epoch(UUID("01a2b3c4-0000-4000-8000-000000000002"), first.id, 7, None, "restored", NOW)
    lineage = Lineage([first, second], second.id)
    with pytest.raises(UsageError, match="ambiguous"):
        lineage.require_cursor(Cursor.parse("5@01a2b3c4"), 10)
    lineage.require_cursor(Cursor.parse(f"5@{first.id}"), 10)


def test_a_new_history_never_has_the_first_digits_of_an_older_one(database: TestDatabase) -> None:
    with psycopg.connect(database.owner_url) as connection:
        for _ in range(50):
            connection.execute("SELECT runfold.begin_epoch('restored', 0, NULL)")
        names = [name for (name,) in connection.execute("SELECT left(id::text, 8) FROM runfold.epochs")]
    assert len(names) == len(set(names)) == 51


# The mark file


def test_the_mark_file_keeps_the_furthest_of_each_history_and_forgets_the_oldest(tmp_path: Path) -> None:
    file = MarkFile(tmp_path / "new" / "marks.json")
    one, two = uuid4(), uuid4()
    far, near = Seen(9, uuid4(), NOW), Seen(5, uuid4(), NOW)
    assert file.read(one) is None
    file.note(one, far)
    file.note(one, near)
    file.note(two, near)
    assert (file.read(one), file.read(two), MarkFile(file.path).read(one)) == (far, near, far)
    assert file.path.stat().st_mode & 0o777 == 0o600
    for _ in range(MOST_HISTORIES - 1):
        file.note(uuid4(), near)
    assert (file.read(one), file.read(two)) == (None, near)
    assert sorted(path.name for path in file.path.parent.iterdir()) == [".marks.json.lock", "marks.json"]


def test_processes_that_note_at_once_lose_nothing(tmp_path: Path) -> None:
    epochs = [uuid4() for _ in range(8)]

    def note(epoch: UUID) -> None:
        for position in range(1, 21):
            MarkFile(tmp_path / "marks.json").note(epoch, Seen(position, uuid4(), NOW))

    threads = [threading.Thread(target=note, args=[each]) for each in epochs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [getattr(MarkFile(tmp_path / "marks.json").read(each), "position", None) for each in epochs] == [20] * 8


@pytest.mark.parametrize("text", ["", "{", "[]", '{"histories": {"x": 1}}', "\x00" * 100])
def test_a_mark_file_that_is_damaged_is_named_and_the_ledger_opens(database: TestDatabase, tmp_path: Path, text: str) -> None:
    path = tmp_path / "marks.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"marks.json is not what Runfold writes there"):
        MarkFile(path).read(uuid4())
    with Ledger.open(settings=database.settings.model_copy(update={"mark_file": path})) as ledger:
        ledger.create_thread(agent_id="a")
    assert path.read_text() == text, "what may be evidence is left as it is"


# When a new history begins


@pytest.fixture
def marked(database: TestDatabase, tmp_path: Path) -> Settings:
    """This test's database, and a mark file of its own."""
    return database.settings.model_copy(update={"mark_file": tmp_path / "marks.json"})


@pytest.fixture
def elsewhere(database: TestDatabase, tmp_path: Path) -> Settings:
    """The same database from another machine, which has its own mark file."""
    return database.settings.model_copy(update={"mark_file": tmp_path / "elsewhere" / "marks.json"})


def record(settings: Settings, threads: int) -> tuple[str, int]:
    """Open, record, close; the history, and how far it is."""
    with Ledger.open(settings=settings) as ledger:
        for _ in range(threads):
            ledger.create_thread(agent_id="a")
        return str(ledger.head().epoch), ledger.position()


def test_opening_it_again_and_a_server_that_restarts_begin_none(marked: Settings, elsewhere: Settings) -> None:
    epoch, _ = record(marked, 3)
    assert {record(each, 2)[0] for each in (marked, elsewhere, marked, marked)} == {epoch}


@pytest.mark.fault("B9", "K8")
def test_an_older_copy_at_the_same_place_is_noticed_by_the_mark(database: TestDatabase, marked: Settings) -> None:
    before, _ = record(marked, 10)
    put_back(database, 6)
    after, position = record(marked, 1)
    assert (after != before, position) == (True, 7)
    with Ledger.open(settings=marked) as ledger:
        present, parent, *_ = ledger.lineage()
        assert (present.parent, present.from_position, present.lost_position, present.reason) == (parent.id, 6, 10, "rolled back")
        assert [found.position for found in ledger.events(after=f"6@{before[:8]}")] == [7]
        with pytest.raises(HistoryChanged) as changed:
            ledger.events(after=f"7@{before[:8]}")
    assert (changed.value.position, changed.value.epoch, changed.value.cursor) == (6, after, f"6@{after[:8]}")
    assert record(marked, 0)[0] == after, "once"


@pytest.mark.fault("K8")
def test_what_was_recorded_before_it_was_noticed_is_not_taken_for_common(
    database: TestDatabase, marked: Settings, elsewhere: Settings
) -> None:
    before, _ = record(marked, 10)
    put_back(database, 6)
    unaware, position = record(elsewhere, 20)  # which never saw the ledger before, so it sees nothing amiss
    assert (unaware, position) == (before, 26)
    record(marked, 0)  # further than the mark, and yet another one
    with Ledger.open(settings=marked) as ledger:
        assert (ledger.lineage()[0].from_position, ledger.lineage()[0].lost_position) == (6, 10)


def test_a_copy_begins_one_and_what_it_was_copied_from_does_not(
    new_database: object, database: TestDatabase, admin_url: str, tmp_path: Path
) -> None:
    from tests.put_back import EarlierCopy  # noqa: PLC0415

    before, _ = record(database.settings, 4)
    copy = EarlierCopy(database)
    assert record(database.settings, 2) == (before, 6)
    copy.take_over()
    after, _ = record(database.settings.model_copy(update={"mark_file": tmp_path / "none.json"}), 0)
    with Ledger.open(settings=database.settings) as ledger:
        assert (after != before, ledger.lineage()[0].reason, ledger.lineage()[0].from_position) == (True, "copied", 4)


def test_of_many_who_find_it_at_once_one_begins_it(database: TestDatabase, marked: Settings) -> None:
    record(marked, 10)
    put_back(database, 6)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(record(marked, 1)[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    with Ledger.open(settings=marked) as ledger:
        assert [each.reason for each in ledger.lineage()].count("rolled back") == 1
        assert ledger.position() == 14


def test_another_timeline_begins_one(database: TestDatabase, marked: Settings) -> None:
    before, _ = record(marked, 3)
    with psycopg.connect(database.admin_url) as connection:  # as if it had begun on an earlier one
        connection.execute("ALTER TABLE runfold.epochs DISABLE TRIGGER epochs_are_immutable")
        connection.execute("UPDATE runfold.epochs SET timeline = timeline + 7 WHERE id = %s", [before])
        connection.execute("ALTER TABLE runfold.epochs ENABLE ALWAYS TRIGGER epochs_are_immutable")
    with Ledger.open(settings=marked) as ledger:
        assert (ledger.lineage()[0].reason, ledger.lineage()[0].from_position) == ("timeline changed", 3)


def test_what_the_server_does_not_tell_is_not_compared(database: TestDatabase, marked: Settings) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        for function in ("pg_control_system()", "pg_walfile_name(pg_lsn)"):
            connection.execute(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC")
    before, _ = record(marked, 3)
    assert record(marked, 3)[0] == before
    put_back(database, 2)
    assert record(marked, 0)[0] != before


def test_who_may_only_read_is_told_and_begins_none(database: TestDatabase, marked: Settings) -> None:
    before, _ = record(marked, 10)
    put_back(database, 6)
    reader = marked.model_copy(update={"database_url": make_conninfo(database.url, user="runfold_reader")})
    reader = Settings(**{**reader.model_dump(), "database_url": make_conninfo(database.url, user="runfold_reader")})
    with Ledger.open(settings=reader) as ledger:
        assert str(ledger.head().epoch) == before
        assert ledger.history.parting is not None
        assert (ledger.history.parting.common_position, ledger.history.parting.lost_position) == (6, 10)
        with pytest.raises(HistoryChanged) as changed:  # it is beyond what there is, so it is another history's
            ledger.events(after=f"9@{before[:8]}")
        assert changed.value.position == 6
        with pytest.raises(LedgerUnavailable):
            ledger.create_thread(agent_id="a")
    assert record(marked, 0)[0] != before, "the mark stayed as it was"


@pytest.mark.parametrize(
    "statement", ["UPDATE runfold.epochs SET from_position = 0", "DELETE FROM runfold.epochs", "TRUNCATE runfold.epochs CASCADE"]
)
def test_the_lineage_is_never_changed_not_by_its_owner_either(database: TestDatabase, statement: str) -> None:
    with psycopg.connect(database.owner_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("function", ["begin_epoch('restored', 0, NULL)", "follow_history(NULL, NULL, NULL, NULL)"])
@pytest.mark.parametrize("role", ["runfold_app", "runfold_projector", "runfold_reader"])
def test_only_who_appends_may_find_a_new_history_and_only_its_owner_begins_one_at_will(
    database: TestDatabase, function: str, role: str
) -> None:
    allowed = function.startswith("follow") and role == "runfold_app"
    with psycopg.connect(make_conninfo(database.url, user=role)) as connection:
        if allowed:
            connection.execute(f"SELECT runfold.{function}")
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT runfold.{function}")


def test_a_mark_that_is_forged_ahead_begins_a_history_that_holds_all_there_is(database: TestDatabase, marked: Settings) -> None:
    before, position = record(marked, 5)
    with psycopg.connect(database.url) as connection:
        connection.execute("SELECT runfold.follow_history(%s, 99, gen_random_uuid(), now())", [before])
    with Ledger.open(settings=marked) as ledger:
        assert len(ledger.events(after=f"{position - 1}@{before[:8]}")) == 1


def test_a_process_that_only_folds_or_only_follows_notes_what_it_saw(
    database: TestDatabase, marked: Settings, elsewhere: Settings
) -> None:
    epoch, _ = record(elsewhere, 0)
    with Ledger.open(settings=marked) as ledger:
        worker = Worker(ledger.database.datastore(5, projector=True), chosen(["threads"]))
        worker.when_stored = ledger.history.saw
        record(elsewhere, 6)
        worker.catch_up()
        worker.close()
    assert getattr(MarkFile(marked.marks).read(UUID(epoch)), "position", None) == 6
    with Ledger.open(settings=marked) as ledger, ledger.subscribe(after=6) as following:
        record(elsewhere, 3)
        assert [next(following).position for _ in range(3)] == [7, 8, 9]
        record(elsewhere, 1)
        assert next(following).position == 10
    assert getattr(MarkFile(marked.marks).read(UUID(epoch)), "position", None) == 10
