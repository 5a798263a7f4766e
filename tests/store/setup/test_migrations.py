"""The schema, brought up to date by numbered files."""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runfold import Ledger, LedgerUnavailable, Settings
from runfold.errors import MigrationRefused
from runfold.store.setup.migrate import Migration, migrate, migrations

_numbers = itertools.count(1)


@pytest.fixture
def empty_database(admin_url: str) -> Iterator[Callable[[], str]]:
    """Makes databases without a schema."""
    made: list[str] = []

    def make() -> str:
        made.append(f"runfold_empty_{os.getpid()}_{next(_numbers)}")
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(made[-1])))
        return make_conninfo(admin_url, dbname=made[-1])

    yield make
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def migrator(admin_url: str) -> Iterator[str]:
    """A role that may log in and nothing else, for the time of a test."""
    name = f"runfold_test_migrator_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield name
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_migrating_applies_each_file_once(empty_database) -> None:
    url = empty_database()
    assert migrate(url) == [file.name for file in migrations()]
    assert migrate(url) == []


def test_every_migrated_database_is_a_ledger_of_its_own(empty_database) -> None:
    epochs = set()
    for url in (empty_database(), empty_database()):
        migrate(url)
        with psycopg.connect(url) as connection:
            epochs.add(connection.execute("SELECT epoch FROM runfold.head").fetchone())
    assert len(epochs) == 2


def test_a_later_file_is_applied_on_top(empty_database) -> None:
    url = empty_database()
    migrate(url)
    later = Migration(9999, "9999_later.sql", "CREATE TABLE runfold.later (id int); CREATE INDEX ON runfold.later (id);")
    assert migrate(url, [*migrations(), later]) == ["9999_later.sql"]


@pytest.mark.fault("J2")
def test_a_file_that_fails_leaves_nothing_behind(empty_database) -> None:
    url = empty_database()
    broken = Migration(9999, "9999_broken.sql", "CREATE TABLE runfold.half (id int); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(url, [*migrations(), broken])
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('runfold.half')").fetchone() == (None,)
    assert migrate(url) == []
    mended = replace(broken, text="CREATE TABLE runfold.half (id int)")
    assert migrate(url, [*migrations(), mended]) == ["9999_broken.sql"]


@pytest.mark.fault("J2")
def test_two_that_migrate_one_database_at_once_apply_each_file_once(empty_database) -> None:
    url = empty_database()
    applied = at_once(migrate, [url] * 4)
    assert sorted(applied) == [[], [], [], [file.name for file in migrations()]]


def test_two_databases_of_one_server_may_be_migrated_at_once(empty_database) -> None:
    urls = [empty_database() for _ in range(4)]
    for _ in range(3):
        assert len(at_once(migrate, urls)) == 4


def at_once(work: Callable[[str], list[str]], urls: list[str]) -> list[list[str]]:
    start = threading.Barrier(len(urls))
    answers: list[list[str]] = []
    failures: list[Exception] = []

    def run(url: str) -> None:
        start.wait()
        try:
            answers.append(work(url))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[url]) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    return answers


def test_a_past_file_that_was_changed_is_refused(database) -> None:
    first, *rest = migrations()
    changed = replace(first, text=first.text + "\n")
    with pytest.raises(MigrationRefused, match=r"0001_log\.sql was changed after it was applied; restore"):
        migrate(database.admin_url, [changed, *rest])


def test_a_newer_database_is_refused_by_migrating_and_by_opening(database) -> None:
    later = Migration(9999, "9999_later.sql", "SELECT 1")
    migrate(database.admin_url, [*migrations(), later])
    with pytest.raises(MigrationRefused, match=r"has 9999_later\.sql, which this Runfold does not know; upgrade"):
        migrate(database.admin_url)
    with pytest.raises(MigrationRefused, match="upgrade Runfold"):
        Ledger.open(database.url)


def test_opening_a_database_without_a_schema_says_to_migrate(empty_database, template) -> None:
    url = make_conninfo(empty_database(), user="runfold_app")
    with pytest.raises(MigrationRefused, match="no Runfold schema yet; run `runfold migrate`"):
        Ledger.open(url)


def test_opening_a_database_that_lacks_a_file_says_to_migrate(database) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("DELETE FROM runfold.migrations WHERE number = 1")
    with pytest.raises(MigrationRefused, match=r"lacks 0001_log\.sql; run `runfold migrate`"):
        Ledger.open(database.url)


def test_a_role_that_may_not_prepare_the_database_is_told_what_an_administrator_must_run(empty_database, migrator) -> None:
    url = empty_database()
    as_migrator = make_conninfo(url, user=migrator)
    with pytest.raises(MigrationRefused) as refused:
        migrate(as_migrator)
    text = str(refused.value)
    assert f'GRANT runfold_owner TO "{migrator}"' in text
    assert "CREATE SCHEMA runfold AUTHORIZATION runfold_owner" in text

    told = text[text.index("let an administrator run there") : text.index("and then run `runfold migrate`")].split("\n\n", 1)[1]
    with psycopg.connect(url, autocommit=True) as admin:  # the administrator does as told
        admin.execute(told)
    assert migrate(as_migrator) == [file.name for file in migrations()]
    with Ledger.open(make_conninfo(url, user="runfold_app")) as ledger:
        assert ledger.position() == 0


def test_a_role_without_rights_on_the_schema_is_told_which_role_to_use(database, migrator) -> None:
    with pytest.raises(LedgerUnavailable, match="granted runfold_app") as refused:
        Ledger.open(make_conninfo(database.url, user=migrator))
    assert not refused.value.retriable


def test_migrating_a_database_that_is_away_says_what_to_check(admin_url) -> None:
    nowhere = make_conninfo(admin_url, host="/nowhere")
    with pytest.raises(LedgerUnavailable, match="check that PostgreSQL runs"):
        migrate(nowhere)


def test_settings_name_the_database_that_is_opened(database) -> None:
    with Ledger.open(settings=Settings(database_url=database.url)) as ledger:
        ((name,),) = ledger.recorder.reader.rows("SELECT current_database()")
    assert name == conninfo_to_dict(database.url)["dbname"]
