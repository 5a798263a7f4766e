"""A backup holds the log whole, as of one moment; restored, it begins a new history, and its rights are as migrations say."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from runfold import HistoryChanged, Ledger, Settings
from runfold.errors import BackupRefused, MigrationRefused
from runfold.maintenance.backup import STAYS, TRAVELS, back_up, note_of, read_note, sums_of
from runfold.maintenance.checking import LogCheck
from runfold.maintenance.pg_programs import environment_of, find_program, running
from runfold.maintenance.restore import restore
from runfold.store.marks import MarkFile
from runfold.store.setup import rights
from runfold.store.setup.migrate import migrate
from tests.backups import events, owners_and_grants, tell
from tests.databases import TestDatabase
from tests.waiting import until

ROLES = ("runfold_owner", "runfold_app", "runfold_projector", "runfold_reader")


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    """This test's database, and a mark file of its own."""
    return database.settings.model_copy(update={"mark_file": tmp_path / "marks.json"})


@pytest.fixture
def story(ledger: Ledger) -> Ledger:
    """A ledger with some of everything in it, folded."""
    tell(ledger)
    return ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a ledger's.dump"


def marks(tmp_path: Path) -> MarkFile:
    return MarkFile(tmp_path / "marks.json")


# Back and forth


@pytest.mark.fault("J4", "K8")
def test_what_is_restored_is_what_was_backed_up_under_the_same_rights_in_a_new_history(
    story: Ledger, database: TestDatabase, empty: TestDatabase, file: Path, tmp_path: Path
) -> None:
    before = story.head()
    note = back_up(database.admin_url, file, None)
    assert (note.sums.events, note.sums.first_position, note.sums.last_position) == (before.position, 1, before.position)
    assert (note.epoch, note.bytes, file.stat().st_mode & 0o777) == (before.epoch, file.stat().st_size, 0o600)
    restored = restore(empty.admin_url, file, None, marks(tmp_path / "elsewhere"))
    assert (restored.findings, restored.note, restored.sums) == ([], note, note.sums)
    assert events(empty.admin_url) == events(database.admin_url)
    assert owners_and_grants(empty.admin_url) == owners_and_grants(database.admin_url)
    elsewhere = empty.settings.model_copy(update={"mark_file": tmp_path / "elsewhere" / "marks.json"})
    with Ledger.open(settings=elsewhere) as ledger:
        present, parent, *_ = ledger.lineage()
        assert (ledger.head().epoch, present.parent, parent.id) == (restored.epoch, before.epoch, before.epoch)
        assert (present.reason, present.from_position, present.lost_position) == ("restored", before.position, None)
        assert list(LogCheck(ledger.recorder.reader).findings()) == []
        ledger.fold()
        assert len(ledger.now.runs().items) == 20
        ledger.create_thread(agent_id="a")
        assert [found.position for found in ledger.events(after=story.cursor())] == [before.position + 1]
        story.create_thread(agent_id="a")
        with pytest.raises(HistoryChanged) as changed:
            ledger.events(after=story.cursor())
        assert changed.value.position == before.position
        query = "SELECT epoch, file, sha256, events, last_position, digest FROM runfold.restores"
        receipt = (restored.epoch, file.name, note.sha256, before.position, before.position, note.sums.digest)
        assert ledger.recorder.reader.rows(query) == [receipt]


@pytest.mark.fault("K8")
def test_restored_where_more_had_been_seen_it_says_how_far(
    story: Ledger, database: TestDatabase, empty: TestDatabase, file: Path, settings: Settings, tmp_path: Path
) -> None:
    back_up(database.admin_url, file, None)
    for _ in range(5):
        story.create_thread(agent_id="a")
    story.close()
    found = restore(empty.admin_url, file, None, MarkFile(settings.marks))
    assert found.lost_position == found.sums.last_position + 5


def test_a_restored_ledger_is_backed_up_and_restored_again(
    story: Ledger,
    database: TestDatabase,
    empty: TestDatabase,
    file: Path,
    tmp_path: Path,
    new_database: Callable[[], TestDatabase],
) -> None:
    back_up(database.admin_url, file, None)
    first = restore(empty.admin_url, file, None, marks(tmp_path))
    back_up(empty.admin_url, file, None, replace=True)
    second = restore(new_database().admin_url, file, None, marks(tmp_path), drop_empty=True)
    assert (second.parent, second.findings, second.sums) == (first.epoch, [], first.sums)


def test_every_table_is_said_to_be_in_a_backup_or_not(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as connection:
        tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'runfold'")}
    assert tables == TRAVELS | STAYS, "say of a new table whether its rows are in a backup (TRAVELS) or stay (STAYS)"


def test_who_owns_the_log_without_being_a_superuser_makes_a_backup_and_who_does_not_see_all_rows_is_told(
    story: Ledger, database: TestDatabase, file: Path
) -> None:
    assert back_up(database.owner_url, file, None).sums.events == story.position()
    for role in ("runfold_app", "runfold_reader", "runfold_projector"):
        with pytest.raises(BackupRefused, match=rf"{role} does not see every row .*set RUNFOLD_ADMIN_URL to a superuser"):
            back_up(make_conninfo(database.url, user=role), file.with_suffix(".other"), None)
    assert sorted(path.name for path in file.parent.iterdir() if path.name.startswith((".a", "a"))) == [
        file.name,
        f"{file.name}.json",
    ]


def test_a_password_is_on_no_command_line() -> None:
    url = "postgresql://ada:s%20ecret@db.example:5433/a%20b?sslmode=require&application_name=x"
    said = environment_of(url)
    assert (said["PGPASSWORD"], said["PGHOST"], said["PGPORT"], said["PGDATABASE"], said["PGUSER"], said["PGSSLMODE"]) == (
        "s ecret",
        "db.example",
        "5433",
        "a b",
        "ada",
        "require",
    )


# What is refused, and leaves everything as it was


def test_a_database_with_a_ledger_in_it_is_left_alone(
    story: Ledger, database: TestDatabase, file: Path, tmp_path: Path, new_database: Callable[[], TestDatabase]
) -> None:
    back_up(database.admin_url, file, None)
    before = events(database.admin_url)
    for drop_empty in (False, True):
        with pytest.raises(BackupRefused, match=r"holds a ledger, with events up to position .*restore into an empty one"):
            restore(database.admin_url, file, None, marks(tmp_path), drop_empty=drop_empty)
    assert events(database.admin_url) == before
    migrated = new_database()
    with pytest.raises(BackupRefused, match="holds a ledger without events; give --yes"):
        restore(migrated.admin_url, file, None, marks(tmp_path))
    assert restore(migrated.admin_url, file, None, marks(tmp_path), drop_empty=True).sums.events == len(before)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "with_note"),
    [
        (_flip, True),  # which PostgreSQL does not notice everywhere
        *product([_cut, lambda path: path.write_bytes(b"not a dump"), lambda path: path.unlink()], [True, False]),
    ],
)
def test_a_file_that_was_changed_is_refused_and_nothing_is_restored(
    story: Ledger,
    database: TestDatabase,
    empty: TestDatabase,
    file: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    with_note: bool,
) -> None:
    back_up(database.admin_url, file, None)
    if not with_note:
        note_of(file).unlink()
    spoil(file)
    with pytest.raises(BackupRefused, match=r"sha256|cannot be read|pg_restore failed"):
        restore(empty.admin_url, file, None, marks(tmp_path))
    with psycopg.connect(empty.admin_url) as connection:
        assert connection.execute("SELECT to_regnamespace('runfold')").fetchone() == (None,)


def _dumped(database: TestDatabase, file: Path, *arguments: str) -> None:
    with psycopg.connect(database.admin_url) as connection:
        program = find_program("pg_dump", None, connection.info.server_version // 10_000)
    with running(program, ["--format=custom", f"--file={file}", *arguments], database.admin_url) as process:
        assert process.wait() == 0


OTHERS = {
    "a newer ledger": (
        "INSERT INTO runfold.migrations VALUES (9999, '9999_newer.sql', repeat('0', 64))",
        ["--schema=runfold"],
        "is a backup of a newer Runfold: it has 9999_newer.sql, .* upgrade Runfold",
    ),
    "a newer ledger in other words": (
        "INSERT INTO runfold.migrations VALUES (9999, '9999_newer.sql', repeat('0', 64))",
        ["--schema=runfold", "--inserts"],
        "is a backup of a newer Runfold: it has 9999_newer.sql, .* upgrade Runfold",
    ),
    "one whose schema somebody changed": (
        "UPDATE runfold.migrations SET checksum = repeat('0', 64) WHERE number = 3",
        ["--schema=runfold"],
        "has 0003_access.sql as it was never released; nothing was restored",
    ),
    "a schema without its rows": ("SELECT", ["--schema=runfold", "--schema-only"], "holds no ledger; name a file"),
    "something else": ("CREATE SCHEMA shop CREATE TABLE orders (id int)", ["--schema=shop"], "holds no ledger; name a file"),
}


@pytest.mark.parametrize(("statement", "arguments", "said"), OTHERS.values(), ids=[*OTHERS])
def test_what_is_no_ledger_of_this_runfold_is_refused_before_anything_is_changed(
    database: TestDatabase,
    file: Path,
    tmp_path: Path,
    new_database: Callable[[], TestDatabase],
    statement: str,
    arguments: list[str],
    said: str,
) -> None:
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(statement)
    _dumped(database, file, *arguments)
    there = new_database()
    before = owners_and_grants(there.admin_url)
    with pytest.raises(BackupRefused, match=said):
        restore(there.admin_url, file, None, marks(tmp_path), drop_empty=True)
    assert owners_and_grants(there.admin_url) == before
    with psycopg.connect(there.admin_url) as connection:
        assert connection.execute("SELECT to_regnamespace('shop')").fetchone() == (None,)


def test_a_backup_that_cannot_be_written_leaves_nothing_and_one_that_is_there_stays(
    story: Ledger, database: TestDatabase, file: Path
) -> None:
    with pytest.raises(BackupRefused, match=r"cannot be written|pg_dump failed"):
        back_up(database.admin_url, file / "no" / "such" / "folder", None)
    file.write_text("mine")
    with pytest.raises(BackupRefused, match="already exists; choose another name, or give --yes"):
        back_up(database.admin_url, file, None)
    assert file.read_text() == "mine"
    with pytest.raises(BackupRefused, match=r"pg_dump of PostgreSQL .* is needed, and it is not here"):
        back_up(database.admin_url, file, file.parent, replace=True)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["ledger.dump", "-x.dump", "a\nb *?[a]'\"", "ü→", "no UTF-8 \udcff", "ledger"])
def test_a_file_of_any_name_is_written_and_restored(
    story: Ledger, database: TestDatabase, empty: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    note = back_up(database.admin_url, Path(name), None)
    assert sorted(path.name for path in folder.iterdir()) == sorted([name, f"{name}.json"])
    assert restore(empty.admin_url, Path(name), None, marks(tmp_path)).note == note


def test_a_backup_takes_the_place_of_nothing_but_an_older_one(story: Ledger, database: TestDatabase, file: Path) -> None:
    note_of(file).write_text("mine")  # `runfold backup ledger` beside somebody's ledger.json
    with pytest.raises(BackupRefused, match=r"\.json already exists; choose another name, or give --yes"):
        back_up(database.admin_url, file, None)
    assert (note_of(file).read_text(), file.exists()) == ("mine", False)
    note_of(file).unlink()
    for path in (file, note_of(file)):
        for make, remove in ((Path.mkdir, Path.rmdir), (os.mkfifo, Path.unlink)):
            make(path)
            with pytest.raises(BackupRefused, match="is there, and no file that a backup could replace"):
                back_up(database.admin_url, file, None, replace=True)
            remove(path)
    for folder in (".", "", "/"):
        with pytest.raises(BackupRefused, match="is a folder; name a file in it"):
            back_up(database.admin_url, Path(folder), None, replace=True)


def test_of_two_backups_to_one_file_at_once_the_second_is_refused_and_disturbs_nothing(
    story: Ledger, database: TestDatabase, empty: TestDatabase, file: Path, tmp_path: Path
) -> None:
    refused: list[str] = []

    def meanwhile(_: int) -> None:
        with pytest.raises(BackupRefused, match=r"another backup is being written to .*; wait until it is there") as second:
            back_up(database.admin_url, file, None, replace=True)
        refused.append(str(second.value))

    note = back_up(database.admin_url, file, None, told=meanwhile)
    assert refused
    assert restore(empty.admin_url, file, None, marks(tmp_path)).note == note
    assert back_up(database.admin_url, file, None, replace=True).sums == note.sums
    assert sorted(path.name for path in file.parent.iterdir() if file.name in path.name) == [file.name, note_of(file).name]


def test_what_a_killed_backup_left_at_work_is_not_written_over(story: Ledger, database: TestDatabase, file: Path) -> None:
    with psycopg.connect(database.admin_url) as holding, psycopg.connect(database.admin_url, autocommit=True) as looking:
        holding.execute("LOCK TABLE runfold.webhook_feeds IN ACCESS EXCLUSIVE MODE")  # which pg_dump waits for
        code = "import sys; from pathlib import Path; from runfold.maintenance.backup import back_up; "
        code += "back_up(sys.argv[1], Path(sys.argv[2]), None)"
        killed = subprocess.Popen([sys.executable, "-c", code, database.admin_url, str(file)])
        until(lambda: looking.execute(_WAITING).fetchone() == (1,))
        killed.kill()
        killed.wait()
        with pytest.raises(BackupRefused, match="another backup is being written"):
            back_up(database.admin_url, file, None)
    until(lambda: not _is_refused(database, file))
    assert read_note(file) is not None


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def _is_refused(database: TestDatabase, file: Path) -> bool:
    try:
        back_up(database.admin_url, file, None)
    except BackupRefused:
        return True
    return False


@pytest.mark.parametrize("named", [".", "", "/", "pipe", "nothing"])
def test_what_is_no_file_is_refused_and_nothing_is_restored(
    empty: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(BackupRefused, match=r"(is no file|cannot be read \(No such file .*\)); name a file that"):
        restore(empty.admin_url, Path(named), None, marks(tmp_path))
    with psycopg.connect(empty.admin_url) as connection:
        assert connection.execute("SELECT to_regnamespace('runfold')").fetchone() == (None,)


def test_a_backup_that_ends_between_its_two_files_is_one_that_can_be_restored(
    story: Ledger, database: TestDatabase, empty: TestDatabase, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(database.admin_url, file, None)
    story.create_thread(agent_id="later")
    rename = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target == note_of(file):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            back_up(database.admin_url, file, None, replace=True)
    assert [path.name for path in file.parent.iterdir() if file.name in path.name] == [file.name]
    assert restore(empty.admin_url, file, None, marks(tmp_path)).sums.last_position == story.position()


# Rights


def test_what_a_lesser_role_has_in_the_schema_is_not_taken_over(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("CREATE FUNCTION runfold.trap() RETURNS int LANGUAGE sql RETURN 1")
        connection.execute("ALTER FUNCTION runfold.trap() OWNER TO runfold_app")
    with pytest.raises(MigrationRefused, match=r"runfold.trap\(\) belongs to runfold_app, which may have put anything into it"):
        migrate(database.admin_url)


@pytest.mark.parametrize(
    "statement",
    [
        "REVOKE EXECUTE ON FUNCTION runfold.append_events FROM runfold_app",
        "REVOKE SELECT ON runfold.log FROM runfold_reader",
        "REVOKE USAGE ON SCHEMA runfold FROM runfold_projector",
        "ALTER TABLE runfold.epochs OWNER TO postgres",
        "ALTER TABLE runfold.log DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant_of_app ON runfold.log",
        "REVOKE UPDATE ON runfold.checkpoints FROM runfold_projector",
        "ALTER FUNCTION runfold.position_at OWNER TO postgres",
        "ALTER TYPE runfold.new_event OWNER TO postgres",
        "ALTER SCHEMA runfold OWNER TO postgres",
        "GRANT EXECUTE ON FUNCTION runfold.append_events TO PUBLIC",
    ],
)
def test_whatever_is_taken_away_is_found_and_set_up_again(database: TestDatabase, statement: str) -> None:
    before = owners_and_grants(database.admin_url)
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute(statement.replace("postgres", connection.info.user))  # type: ignore[arg-type]
        assert len(rights.faults(connection)) >= 1
    mended: list[str] = []
    migrate(database.admin_url, mended=mended.append)
    assert mended or "USAGE" in statement, "that one is granted by each migration anyway"
    assert owners_and_grants(database.admin_url) == before


def test_the_migrations_are_read_as_statements() -> None:
    text = "-- a; b\nGRANT x; SELECT 'a;''b' -- c;\n, $$ d; $$; CREATE $f$ $$ ; $$ $f$"
    assert list(rights.statements(text)) == ["GRANT x", "SELECT 'a;''b' \n, $$ d; $$", "CREATE $f$ $$ ; $$ $f$"]


def test_sums_tell_any_two_logs_apart(story: Ledger, database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as connection:
        before = sums_of(connection)
        connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER log_is_immutable")
        connection.execute("UPDATE runfold.log SET state = state || ' '::bytea WHERE notification_id = 7")
        after = sums_of(connection)
        connection.rollback()
    assert (before.events, before.digest != after.digest) == (after.events, True)
