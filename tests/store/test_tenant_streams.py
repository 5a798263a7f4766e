"""A stream is named within its tenant, and each new event has a salt."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors

from runfold import Ledger
from runfold.store.appending.append_call import Placed
from runfold.store.codec import Row
from runfold.store.reading.tenant_reader import TenantReader
from runfold.store.recorder import Recorder
from tests.databases import TestDatabase

MakeRow = Callable[..., Row]


@pytest.fixture
def of(row: MakeRow) -> Callable[..., Row]:
    """Makes a row of a tenant: `of("acme", "run_a", 1)`."""
    return lambda tenant, stream, version: row(stream, version)._replace(tenant_id=tenant)


@pytest.mark.fault("I8")
def test_versions_are_counted_in_each_tenants_stream(recorder: Recorder, of: Callable[..., Row]) -> None:
    rows = [of("acme", "run_a", 1), of("globex", "run_a", 1), of("acme", "run_a", 2), of("globex", "run_a", 2)]
    assert recorder.writer.append(rows).first_position == 1  # type: ignore[union-attr]
    assert recorder.writer.append([of("third", "run_a", 1)]).first_position == 5  # type: ignore[union-attr]
    for tenant, ends in (("acme", (2, 3)), ("globex", (2, 4)), ("third", (1, 5)), ("fourth", None)):
        reader = TenantReader.of(recorder.reader, tenant)
        assert reader.ends(["run_a", "run_b"]) == ({"run_a": ends} if ends else {})
        assert [found.position for found in reader.stream("run_a")] == [found.position for found in reader.page()]


@pytest.mark.fault("I8", "C-1")
@pytest.mark.parametrize("beside", [0, 1], ids=["alone", "beside others"])
def test_a_conflict_is_that_of_a_tenants_stream(recorder: Recorder, of: Callable[..., Row], beside: int) -> None:
    recorder.writer.append([of("acme", "run_a", 1), of("acme", "run_a", 2), of("globex", "run_a", 1)])
    more = [of("acme", "run_b", 1)] * beside
    assert recorder.writer.append([*more, of("acme", "run_a", 2)]) == {("acme", "run_a"): 2}
    assert recorder.writer.append([*more, of("globex", "run_a", 1)]) == {("globex", "run_a"): 1}
    assert recorder.writer.append([*more, of("third", "run_a", 3)]) == {("third", "run_a"): 0}
    both = recorder.writer.append([of("acme", "run_a", 1), of("globex", "run_a", 1), of("third", "run_a", 1)])
    assert both == {("acme", "run_a"): 2, ("globex", "run_a"): 1}
    watched = {("acme", "run_a"): 1, ("globex", "run_a"): 1}
    assert recorder.writer.append([of("acme", "run_b", 1)], watched) == {("acme", "run_a"): 2}
    assert isinstance(recorder.writer.append([of("acme", "run_b", 1)], {**watched, ("acme", "run_a"): 2}), Placed)


def test_the_database_itself_refuses_a_version_twice_in_a_tenant_and_not_in_two(
    database: TestDatabase, recorder: Recorder
) -> None:
    insert = (
        "INSERT INTO runfold.log SELECT n, 'run_a', v, 'run.waiting', 1, '{}', NULL, t, 'thread_a', gen_random_uuid(), now(),"
        " '{}', '{}', '0123456789abcdef' FROM (VALUES (101, 1, 'acme'), (102, 1, 'globex'), (103, %s, 'acme')) AS a (n, v, t)"
    )
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        with pytest.raises(errors.UniqueViolation, match="log_tenant_stream_version"):
            admin.execute(insert, [1])
        admin.execute(insert, [2])


@pytest.mark.fault("I8")
def test_who_appends_for_one_tenant_learns_nothing_of_anothers_streams_by_watching_them(
    database: TestDatabase, recorder: Recorder, of: Callable[..., Row]
) -> None:
    recorder.writer.append([of("globex", "run_a", 1)])
    with psycopg.connect(database.url, autocommit=True, options="-c runfold.tenant=acme") as app:
        asked = (
            "SELECT conflicts, actual_versions FROM runfold.append('{run_b}', '{1}', '{run.waiting}', '{1}', ARRAY['{}'::bytea],"
            " '{NULL}', '{acme}', '{thread_a}', ARRAY[gen_random_uuid()], '{\"{}\"}', '{\"{}\"}', '{run_a}', '{7}'%s)"
        )
        with pytest.raises(errors.InsufficientPrivilege, match="not all of tenant acme"):
            app.execute((asked % ", '{globex}'").encode())
        for told in ("", ", '{acme}'"):  # not told, it is that of the events, as if the other's were not there
            assert app.execute((asked % told).encode()).fetchone() == (["run_a"], [0])


def test_each_new_event_has_a_salt_of_its_own(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    with ledger.batch() as batch:
        for number in range(600):
            batch.run(run.id).add_message("user", str(number))
    salts = [recorded.salt for recorded in ledger.events()]
    assert len(salts) == len(set(salts)) == 603
    assert {len(salt) for salt in salts if salt is not None} == {16}


@pytest.mark.parametrize(("events", "salts"), [(1, 15), (1, 17), (1, 0), (2, 16), (2, 48)])
def test_salts_that_are_not_sixteen_bytes_an_event_are_refused(database: TestDatabase, events: int, salts: int) -> None:
    asked = (
        "SELECT first_position FROM runfold.append(%s::text[], %s::int8[], %s::text[], %s::int2[], %s::bytea[], %s::text[],"
        " %s::text[], %s::text[], ARRAY(SELECT gen_random_uuid() FROM generate_series(1, %s)), %s::text[], %s::text[],"
        " '{}', '{}', '{}', %s)"
    )
    with psycopg.connect(database.url, autocommit=True, options="-c runfold.tenant=*") as app:
        given = [
            ["run_a"] * events,
            list(range(1, events + 1)),
            ["run.waiting"] * events,
            [1] * events,
            [b"{}"] * events,
            [None] * events,
            ["acme"] * events,
            ["thread_a"] * events,
            events,
            ["{}"] * events,
            ["{}"] * events,
        ]
        with pytest.raises(errors.InvalidParameterValue, match=f"{events} events take {16 * events} bytes of salt, not {salts}"):
            app.execute(asked, [*given, b"s" * salts])
        assert app.execute(asked, [*given, b"s" * 16 * events]).fetchone() == (1,)


def test_after_a_refused_append_the_head_says_when_the_last_event_was_recorded(recorder: Recorder, row: MakeRow) -> None:
    assert recorder.writer.append([row("run_a", 2)]) == {("default", "run_a"): 0}
    assert recorder.reader.head().recorded_at is None
    placed = recorder.writer.append([row("run_a", 1)])
    assert recorder.writer.append([row("run_a", 1)]) == {("default", "run_a"): 1}
    assert recorder.reader.head().recorded_at == placed.recorded_at  # type: ignore[union-attr]
