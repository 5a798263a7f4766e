"""Asking without the interpreter's lock finds, refuses and forgets what psycopg's own way does."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from runfold import Ledger
from runfold.errors import LedgerUnavailable, UnreadableTime
from runfold.store import unlocked
from runfold.store.datastore import Datastore, unavailable
from runfold.store.hint import CHANNEL, Listener
from runfold.store.reading.filter import Filter
from runfold.store.unlocked import Unlocked
from tests.databases import TestDatabase
from tests.waiting import until

MOMENT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
VALUES: list[Any] = [1, -1, 40_000, 2**40, "ä\n%", True, None, 1.5, b"\0\xff", UUID(int=7), MOMENT]


@pytest.fixture
def connection(shared_database: TestDatabase) -> Iterator[psycopg.Connection[Any]]:
    with Datastore(shared_database.url).connect() as made:
        yield made


def both(connection: psycopg.Connection[Any], asking: Unlocked, query: str, *parameters: Any) -> tuple[Any, Any]:
    """The answers of psycopg and of ours."""
    with connection.cursor(binary=True, row_factory=psycopg.rows.tuple_row) as cursor:
        theirs = cursor.execute(query, parameters, prepare=True).fetchall()
    return theirs, asking.rows(query, parameters)


def test_answers_are_the_same(connection: psycopg.Connection[Any]) -> None:
    asking = Unlocked(connection)
    for _ in range(2):  # prepared, and again
        for value in VALUES:
            theirs, ours = both(connection, asking, "SELECT %b, '100 %%', 1::bigint WHERE 5 %% 3 = 2", value)
            assert ours == theirs
            assert type(ours[0][0]) is type(theirs[0][0])
        lists = [[1, 2], ["a", "b"], [UUID(int=1)]]
        theirs, ours = both(connection, asking, "SELECT %b::bigint[], %b::text[], %b::uuid[]", *lists)
        assert ours == theirs == [tuple(lists)]
        theirs, ours = both(connection, asking, "SELECT n, n::text FROM generate_series(1, %b) AS n WHERE n > %b", 5000, 3)
        assert ours == theirs
        assert len(ours) == 4997
        assert asking.rows("SELECT 1 WHERE false", []) == []


def test_rows_are_made_where_they_are_looked_at(connection: psycopg.Connection[Any]) -> None:
    query, expected = "SELECT n, n::text FROM generate_series(1, %b) AS n", [(n, str(n)) for n in range(1, 6)]
    found = Unlocked(connection).unmade_rows(query, [5])
    connection.close()
    assert (len(found), found[-1], found[-1]) == (5, expected[-1], expected[-1])
    assert (found[1], found[1:3], found[-2]) == (expected[1], expected[1:3], expected[-2])
    assert [*found] == found.all() == expected


def test_none_of_no_rows_is_the_last_one(connection: psycopg.Connection[Any]) -> None:
    found = Unlocked(connection).unmade_rows("SELECT 1 WHERE false", [])
    assert (len(found), [*found]) == (0, [])
    with pytest.raises(IndexError):
        found[-1]


def test_of_a_row_that_cannot_be_read_who_looks_at_it_is_told_in_the_words_that_were_asked_for(
    connection: psycopg.Connection[Any],
) -> None:
    asking, query = Unlocked(connection), "SELECT 7::bigint AS notification_id, 'infinity'::timestamptz AS recorded_at"
    for told, kind in ((lambda error: error, psycopg.DataError), (unavailable, UnreadableTime)):
        found = asking.unmade_rows(query, [], told=told)
        for look in (lambda found=found: found[-1], lambda found=found: found[0], found.all):
            with pytest.raises(kind, match=r"timestamp|position 7"):
                look()


def test_a_refusal_is_the_same_error_and_the_connection_goes_on(connection: psycopg.Connection[Any]) -> None:
    asking = Unlocked(connection)
    for query, kind in (("SELECT 1 / %b", psycopg.errors.DivisionByZero), ("SELEC %b", psycopg.errors.SyntaxError)):
        for ask in (lambda query: connection.execute(query, [0]), lambda query: asking.rows(query, [0])):
            with pytest.raises(kind):
                ask(query)
    assert asking.rows("SELECT %b", [1]) == [(1,)]


def test_a_statement_without_rows_is_done_or_refused_as_psycopg_does(connection: psycopg.Connection[Any]) -> None:
    asking = Unlocked(connection)
    asking.execute("SET application_name = 'somebody'")
    assert asking.rows("SHOW application_name", []) == [("somebody",)]
    for statement, kind in (("SET nothing_such = 1", psycopg.errors.UndefinedObject), ("NOTIF", psycopg.errors.SyntaxError)):
        for ask in (connection.execute, asking.execute):
            with pytest.raises(kind):
                ask(statement)
    assert asking.rows("SELECT %b", [1]) == [(1,)]


def test_a_hint_that_comes_with_the_answer_to_a_question_is_not_waited_for(shared_database: TestDatabase) -> None:
    datastore = Datastore(shared_database.url)
    listener = Listener(datastore)
    try:
        listener.wait(0)  # it begins to listen
        with datastore.connect() as other:
            Unlocked(other).execute(f"NOTIFY {CHANNEL}")
        assert listener.asking().rows("SELECT %b", [1]) == [(1,)]
        waiting = threading.Thread(target=listener.wait, args=(3600.0,), daemon=True)
        waiting.start()
        until(lambda: not waiting.is_alive())
    finally:
        listener.close()


def test_no_more_is_prepared_than_so_much(connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlocked, "MOST_STATEMENTS", 3)
    asking = Unlocked(connection)
    for number in [*range(8), 7, 0]:
        assert asking.rows(f"SELECT {number}, %b", [number]) == [(number, number)]
    prepared = "SELECT statement FROM pg_prepared_statements WHERE name LIKE %b ORDER BY prepare_time"
    texts = [text for (text,) in connection.execute(prepared, ["runfold%"])]
    assert texts == ["SELECT 6, $1", "SELECT 7, $1", "SELECT 0, $1"]


@pytest.mark.parametrize("most", [100, 1])
def test_what_was_given_back_on_the_connection_is_prepared_anew(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """psycopg gives back all statements of a connection, and not only its own, once something was rolled back or dropped."""
    monkeypatch.setattr(unlocked, "MOST_STATEMENTS", most)
    asking = Unlocked(connection)
    for number in (1, 2, 1):
        theirs, ours = both(connection, asking, f"SELECT {number}, %b", number)
        assert ours == theirs
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT 1")
        assert asking.rows(f"SELECT {number}, %b", [number]) == theirs
    connection.execute("DISCARD ALL")
    assert asking.rows("SELECT 1, %b", [1]) == [(1, 1)]


def test_a_connection_that_ends_is_an_operational_error(shared_database: TestDatabase) -> None:
    with Datastore(shared_database.url).connect() as connection, psycopg.connect(shared_database.admin_url) as admin:
        asking = Unlocked(connection)
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            asking.rows("SELECT %b", [1])
        assert connection.closed
        with pytest.raises(psycopg.OperationalError):
            asking.rows("SELECT %b", [1])


def test_a_reader_says_so_in_its_own_words_and_finds_the_same_rows(shared_ledger: Ledger, shared_database: TestDatabase) -> None:
    thread = shared_ledger.create_thread(agent_id="support")
    run = thread.start_run()
    for number in range(20):
        run.add_message("assistant", f"{number} %")
    reader = shared_ledger.recorder.reader
    for wanted in (Filter(), Filter(thread_id=thread.id, tenant_id="default"), Filter(types=("message.*",), tenant_id="default")):
        for asked in ({}, {"after": 7}, {"up_to": 15}, {"limit": 4}, {"after": 3, "up_to": 12, "limit": 5}):
            assert reader.unlocked().stretch(wanted, **asked) == reader.stretch(wanted, **asked)
            assert reader.unlocked().stretch_back(wanted, **asked) == reader.stretch_back(wanted, **asked)
    with pytest.raises(LedgerUnavailable, match="this is a defect"):
        reader.unlocked().rows("SELECT 1 / %b", [0])
