"""Events that have much in common are sent in groups, and are stored, or refused, as if each had been sent by itself."""

import random
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors

from runfold.store.appending import packing
from runfold.store.appending.append_call import AppendCall, Placed, new_salts
from runfold.store.appending.writer import Writer
from runfold.store.codec import Row
from runfold.store.recorder import Recorder
from tests.databases import TestDatabase

from ..rule import in_the_way

_ALONE = "SELECT * FROM runfold.append_events($1::runfold.new_event[], $2::bytea)"
_GROUPS = """SELECT * FROM runfold.append_events_in_groups(
    $1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[],
    $9::int[], $10::bigint[], $11::bytea[], $12::uuid[], $13::bytea)"""


def made_up(rng: random.Random, count: int) -> list[Row]:
    """Events of a few streams in any order, each stream's versions one after the other, with much or little in common."""
    at: dict[tuple[str, str], int] = {}
    rows = []
    for _ in range(count):
        stream, tenant = rng.choice(("run_a", "run_b", "approval_ü")), rng.choice(("default", "other"))
        version = at[stream, tenant] = at.get((stream, tenant), 0) + 1
        rows.append(
            Row(
                stream,
                version,
                rng.choice(("run.waiting", "run.resumed")),
                rng.choice((1, 2)),
                rng.choice((b"{}", b'{"text":"\xc3\xbc"}', b"")) * rng.choice((1, 300)),
                rng.choice((None, None, "key_1", "")),
                tenant,
                rng.choice(("thread_a", "thread_b")),
                uuid4().bytes,
                rng.choice(("{}", '{"agent_id": "ü"}', f'{{"call_id": "call_{rng.randrange(9)}"}}')),
                rng.choice(("{}", '{"actor": {"id": "x"}}')),
            )
        )
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_what_is_stored_is_the_same_in_groups_as_alone(recorder: Recorder, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    rows = made_up(rng, rng.choice((1, 2, 40, 300)))
    salts = rng.randbytes(16 * len(rows))
    connection = recorder.writer._connected()
    columns = "originator_id, originator_version, notification_id, topic, schema_version, state, key_id, tenant_id, thread_id"
    stored = f"SELECT {columns}, event_id, context, metadata, salt FROM runfold.log ORDER BY notification_id"
    (oid,) = connection.execute("SELECT 'runfold.new_event'::regtype::oid").fetchone() or (0,)
    found = []
    groups = packing.groups(rows, len(rows))
    assert groups is not None
    for query, values in ((_ALONE, [packing.events(rows, oid), salts]), (_GROUPS, [*groups, salts])):
        with connection.transaction(force_rollback=True):
            answer = connection.pgconn.exec_params(query.encode(), values, None, [1] * len(values))
            assert answer.error_message == b""
            found.append(connection.execute(stored).fetchall())
    assert len(found[0]) == len(rows)
    assert found[0] == found[1]


@pytest.mark.fault("C-1")
def test_any_versions_of_long_streams_are_stored_or_named_as_the_rule_says(recorder, row) -> None:
    """As of a few events: a stream's first version follows on what is stored, and then each follows the one before."""
    rng = random.Random(22)  # noqa: S311
    at: dict[str, int] = {}
    stored = refused = 0
    for _ in range(150):
        streams = rng.sample("abcd", rng.choice((1, 1, 2, 3)))
        places = [stream for stream in streams for _ in range(rng.randint(64, 80))]
        rng.shuffle(places)
        first = {stream: max(at.get(stream, 0) + rng.choice((1, 1, 1, 1, 1, 0, 2)), 0) for stream in streams}
        versions = [first[stream] + places[:index].count(stream) for index, stream in enumerate(places)]
        if rng.random() < 0.2:
            one, other = rng.sample(range(len(places)), 2)
            versions[one], versions[other] = versions[other], versions[one]
        if rng.random() < 0.1:
            versions[rng.randrange(len(places))] += 1
        looked_at = [each for each in rng.sample("efabcd", rng.choice((0, 0, 1, 2))) if each not in streams]
        watched = {each: max(at.get(each, 0) + rng.choice((0, 0, 0, 1, -1)), 0) for each in looked_at}
        expected = in_the_way([*zip(places, versions, strict=True)], watched, at)
        answer = recorder.writer.append(
            [row(f"run_{stream}", version) for stream, version in zip(places, versions, strict=True)],
            {("default", f"run_{stream}"): version for stream, version in watched.items()},
        )
        if expected:
            assert answer == {("default", f"run_{stream}"): version for stream, version in expected.items()}
            refused += 1
        else:
            assert isinstance(answer, Placed)
            at.update({stream: max(v for s, v in zip(places, versions, strict=True) if s == stream) for stream in streams})
            stored += len(places)
            assert answer.first_position == stored - len(places) + 1
    assert recorder.reader.head().position == stored
    assert min(stored, refused) > 30


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ("group_of := '{1,3}'", errors.NotNullViolation),
        ("group_of := '{1,0}'", errors.NotNullViolation),
        ("group_of := '{1,NULL}'", errors.NotNullViolation),
        ("group_of := '{1}'", errors.InvalidParameterValue),
        ("group_of := NULL", errors.InvalidParameterValue),
        ("versions := '{1}'", errors.InvalidParameterValue),
        ("versions := '{1,NULL}'", errors.NotNullViolation),
        ("states := NULL", errors.InvalidParameterValue),
        ("event_ids := ARRAY[gen_random_uuid()]", errors.InvalidParameterValue),
        ("salts := '\\x00'", errors.InvalidParameterValue),
        ("tenant_ids := '{default,other}'", errors.InsufficientPrivilege),
        ("tenant_ids := '{default,NULL}'", errors.NotNullViolation),
        ("watched := '{run_x}', watched_versions := '{0}', watched_tenants := '{other}'", errors.InsufficientPrivilege),
    ],
)
def test_what_does_not_fit_together_is_refused_and_takes_no_position(database: TestDatabase, change: str, refused) -> None:
    given = {
        "streams": "'{run_a,run_b}'",
        "types": "'{run.waiting,run.waiting}'",
        "schema_versions": "'{1,1}'",
        "key_ids": "NULL",
        "tenant_ids": "'{default,default}'",
        "thread_ids": "'{thread_a,thread_a}'",
        "contexts": "ARRAY['{}', '{}']::jsonb[]",
        "metadatas": "ARRAY['{}', '{}']::jsonb[]",
        "group_of": "'{1,2}'",
        "versions": "'{1,1}'",
        "states": "ARRAY['{}', '{}']::bytea[]",
        "event_ids": "ARRAY[gen_random_uuid(), gen_random_uuid()]",
        "salts": f"'\\x{'00' * 32}'",
    }

    def call(values: dict[str, str], more: str = "") -> str:
        return f"SELECT runfold.append_events_in_groups({', '.join(f'{name} := {said}' for name, said in values.items())}{more})"

    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SET runfold.tenant = 'default'")
        name, _, said = change.partition(" := ")
        changed, more = ({**given, name: said}, "") if name in given else (given, f", {change}")
        with pytest.raises(refused):
            connection.execute(call(changed, more))  # type: ignore[arg-type]
        assert connection.execute("SELECT position FROM runfold.head").fetchone() == (0,)
        connection.execute(call(given))  # type: ignore[arg-type]
        assert connection.execute("SELECT position FROM runfold.head").fetchone() == (2,)


def test_groups_that_follow_others_on_their_way_are_stored_with_them_or_not_at_all(recorder: Recorder, row) -> None:
    """Several batches at once, where the first may be refused, and each is of groups or of events alone."""
    rng = random.Random(7)  # noqa: S311
    call = AppendCall(recorder.writer._connected())
    at = dict.fromkeys("ab", 0)
    stored = refused = 0
    for _ in range(60):
        first_from = {stream: version + 1 for stream, version in at.items()}
        is_wrong = rng.random() < 0.3
        batches = []
        for _ in range(2):
            each = rng.choice((1, 3, 32, 40))
            batches.append(
                [row(f"run_{stream}", first_from[stream] + is_wrong + number) for stream in "ab" for number in range(each)]
            )
            first_from = {stream: version + each for stream, version in first_from.items()}
        sent = None
        for rows in batches:
            sent = call.send(rows, {}, new_salts(len(rows)), sent)
        answers = [call.receive(is_last=False), call.receive(is_last=True)]
        if is_wrong:
            assert answers == [{("default", f"run_{stream}"): version for stream, version in at.items()}, None]
            refused += 1
        else:
            positions = [answer.first_position for answer in answers if isinstance(answer, Placed)]
            assert positions == [stored + 1, stored + len(batches[0]) + 1]
            stored += sum(map(len, batches))
            at = {stream: version - 1 for stream, version in first_from.items()}
    assert recorder.reader.head().position == stored
    assert min(stored, refused) > 10


def test_of_each_stream_groups_read_two_versions_at_most_in_a_log_that_grew_since_they_were_planned(
    database: TestDatabase, recorder: Recorder, row
) -> None:
    read = "SELECT seq_tup_read, coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relid = 'runfold.log'::regclass"

    def append(times: int) -> tuple[int, int]:
        """Rows that were read from end to end, and by an index, for three streams and one that is watched."""
        before = rows_read()
        for _ in range(times):
            rows = [row(f"run_{stream}", at[stream] + number) for number in range(1, 26) for stream in "bcd"]
            recorder.writer.append(rows, {("default", "run_a"): at["a"]})
            at.update({stream: at[stream] + 25 for stream in "bcd"})
        after = rows_read()
        return after[0] - before[0], after[1] - before[1]

    def rows_read() -> tuple[int, int]:
        recorder.writer._connected().execute("SELECT pg_stat_force_next_flush()")
        return admin.execute(read).fetchone() or (0, 0)

    at = dict.fromkeys("abcd", 0)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        append(10)  # planned while the log is all but empty
        other = Writer(recorder.store)
        other.append([row("run_a", number) for number in range(1, 3001)])
        other.close()
        at["a"] = 3000
        from_end_to_end, by_index = append(20)
    assert from_end_to_end == 0
    assert 0 < by_index <= 20 * 4 * 2, "what all can see since a vacuum is not read from the table"


@pytest.mark.parametrize("most", range(1, 6))
def test_what_has_too_little_in_common_is_not_grouped(row, most: int) -> None:
    rows = [row("run_a", version, type=f"run.kind_{version % 3}") for version in range(1, 10)]
    assert (packing.groups(rows, most) is not None) == (most >= 3)
