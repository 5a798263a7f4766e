"""The one SQL function that writes: positions, versions, conflicts, time."""

import random
import signal
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from runfold import LedgerUnavailable
from runfold.store.appending.append_call import Placed
from runfold.store.appending.writer import Writer
from runfold.store.recorder import Recorder
from tests.waiting import until

from ..rule import in_the_way


def positions(recorder: Recorder) -> list[tuple[int, str, int]]:
    return [
        tuple(found)
        for found in recorder.reader.rows("SELECT notification_id, originator_id, originator_version FROM runfold.log ORDER BY 1")
    ]


def test_positions_are_given_out_in_order_from_one(recorder, row) -> None:
    assert recorder.writer.append([row("run_a", 1), row("run_b", 1), row("run_a", 2)]).first_position == 1
    assert recorder.writer.append([row("run_b", 2)]).first_position == 4
    assert positions(recorder) == [(1, "run_a", 1), (2, "run_b", 1), (3, "run_a", 2), (4, "run_b", 2)]
    assert recorder.reader.head().position == 4


@pytest.mark.parametrize(
    ("versions", "actual"),
    [([1], 2), ([2], 2), ([4], 2), ([0], 2), ([3, 5], 2), ([4, 3], 2), ([3, 3], 2)],
    ids=["first again", "last again", "gap", "before the first", "gap in the call", "wrong order", "twice in the call"],
)
@pytest.mark.fault("C-1")
def test_versions_that_do_not_follow_on_are_a_conflict_and_write_nothing(recorder, row, versions, actual) -> None:
    recorder.writer.append([row("run_a", 1), row("run_a", 2)])
    before = positions(recorder)
    answer = recorder.writer.append([row("run_b", 1), *(row("run_a", version) for version in versions)])
    assert answer == {("default", "run_a"): actual}
    assert positions(recorder) == before
    assert recorder.reader.head().position == 2


@pytest.mark.fault("C-1")
def test_any_versions_are_stored_or_named_as_the_rule_says(recorder, row) -> None:
    """A stream's first version follows on what is stored, an empty stream takes 1 or 0, and then each follows the one before."""
    rng = random.Random(15)  # noqa: S311
    at: dict[str, int] = {}
    stored = refused = 0
    for _ in range(400):
        streams = [rng.choice("abcd") for _ in range(rng.choice((1, 1, 1, 2, 3, 5)))]
        versions = [max(at.get(stream, rng.choice((0, -1))) + rng.choice((1, 1, 1, 1, 0, 2, -1)), 0) for stream in streams]
        if rng.random() < 0.7:  # most are in order
            for stream in set(streams):
                places = [index for index, each in enumerate(streams) if each == stream]
                for index, place in enumerate(places):
                    versions[place] = versions[places[0]] + index
        looked_at = rng.sample("efabcd", rng.choice((0, 0, 0, 1, 2)))
        watched = {each: max(at.get(each, 0) + rng.choice((0, 0, 0, 1, -1)), 0) for each in looked_at if each not in streams}
        expected = in_the_way([*zip(streams, versions, strict=True)], watched, at)
        answer = recorder.writer.append(
            [row(f"run_{stream}", version) for stream, version in zip(streams, versions, strict=True)],
            {("default", f"run_{stream}"): version for stream, version in watched.items()},
        )
        if expected:
            assert answer == {("default", f"run_{stream}"): version for stream, version in expected.items()}
            refused += 1
        else:
            assert isinstance(answer, Placed)
            at.update(zip(streams, versions, strict=True))
            stored += len(streams)
            assert answer.first_position == stored - len(streams) + 1
    assert recorder.reader.head().position == stored
    assert min(stored, refused) > 100


def test_a_conflict_names_every_stream_in_the_way_and_its_version(recorder, row) -> None:
    recorder.writer.append([row("run_a", 1), row("run_b", 1), row("run_b", 2)])
    answer = recorder.writer.append([row("run_a", 1), row("run_b", 1), row("run_c", 2), row("run_d", 1)])
    assert answer == {("default", "run_a"): 1, ("default", "run_b"): 2, ("default", "run_c"): 0}


def test_a_watched_stream_must_be_where_it_was_seen(recorder, row) -> None:
    recorder.writer.append([row("thread_a", 1)])
    assert isinstance(recorder.writer.append([row("run_a", 1)], {("default", "thread_a"): 1}), Placed)
    recorder.writer.append([row("thread_a", 2)])
    assert recorder.writer.append([row("run_b", 1)], {("default", "thread_a"): 1}) == {("default", "thread_a"): 2}
    assert recorder.writer.append([row("run_b", 1)], {("default", "thread_b"): 1}) == {("default", "thread_b"): 0}
    assert [stream for _, stream, _ in positions(recorder)] == ["thread_a", "run_a", "thread_a"]


def test_a_rollback_gives_its_positions_back(recorder, row) -> None:
    recorder.writer.append([row("run_a", 1)])
    writer = Writer(recorder.store)
    with writer._connected().transaction(force_rollback=True):
        assert writer.append([row("run_a", 2), row("run_a", 3)]).first_position == 2
    writer.close()
    assert recorder.writer.append([row("run_b", 1)]).first_position == 2
    assert positions(recorder) == [(1, "run_a", 1), (2, "run_b", 1)]


def test_of_each_stream_an_append_reads_two_versions_at_most_in_a_log_that_grew_since_it_was_planned(
    database, recorder, row
) -> None:
    read = "SELECT seq_tup_read, coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relid = 'runfold.log'::regclass"

    def append(times: int) -> tuple[int, int]:
        """Rows that were read from end to end, and by an index, for one event alone and for three streams and a watched one."""
        before = rows_read()
        for _ in range(times):
            at["a"] += 1
            recorder.writer.append([row("run_a", at["a"])])
            for stream in "bcd":
                at[stream] += 1
            recorder.writer.append([row(f"run_{stream}", at[stream]) for stream in "bcd"], {("default", "run_a"): at["a"]})
        after = rows_read()
        return after[0] - before[0], after[1] - before[1]

    def rows_read() -> tuple[int, int]:
        recorder.writer._connected().execute("SELECT pg_stat_force_next_flush()")
        return admin.execute(read).fetchone() or (0, 0)

    at = dict.fromkeys("abcd", 0)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        append(10)  # planned while the log is all but empty
        other = Writer(recorder.store)
        other.append([row(f"run_{stream}", at[stream] + number) for number in range(1, 501) for stream in "abcd"])
        other.close()
        at = {stream: version + 500 for stream, version in at.items()}
        from_end_to_end, by_index = append(20)
    assert from_end_to_end == 0
    assert 20 * 5 <= by_index <= 20 * 5 * 2


@pytest.mark.fault("E1", "E2")
def test_recorded_time_never_goes_back_though_the_clock_does(database, recorder, row) -> None:
    future = datetime.now(UTC) + timedelta(days=365)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE runfold.head SET recorded_at = %s", [future])
    first = recorder.writer.append([row("run_a", 1)])
    second = recorder.writer.append([row("run_a", 2)])
    assert first.recorded_at == second.recorded_at == future
    times = recorder.reader.rows("SELECT recorded_at FROM runfold.log ORDER BY notification_id")
    assert times == [(future,), (future,)]


@pytest.mark.fault("C-2", "C-5")
def test_a_reader_that_keeps_up_sees_every_position_of_many_writers(recorder, row) -> None:
    writers = [Writer(recorder.store) for _ in range(8)]
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        for version in range(1, 41):
            stream, at = (f"run_{number}", version) if version % 7 else ("run_none", 5)  # some fail, and must burn no position
            writers[number].append([row(stream, at if stream == "run_none" else version - version // 7)])

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    while any(thread.is_alive() for thread in threads) or seen[-1:] != [recorder.reader.head().position]:
        after = seen[-1] if seen else 0
        seen += [found.position for found in recorder.reader.page(after=after, limit=20)]
    for writer in writers:
        writer.close()
    assert seen == list(range(1, 8 * 35 + 1))


@pytest.mark.fault("C-4")
def test_a_session_that_stalls_on_the_lock_makes_others_fail_with_what_to_do(database, recorder, row) -> None:
    writer = Writer(recorder.store)
    writer._connected().execute("SET lock_timeout = '100ms'")
    with psycopg.connect(database.admin_url) as stalled:
        stalled.execute("SELECT * FROM runfold.head FOR UPDATE")
        with pytest.raises(LedgerUnavailable, match="another session blocks all appends") as refused:
            writer.append([row("run_a", 1)])
    assert refused.value.retriable
    writer.close()
    assert recorder.writer.append([row("run_a", 1)]).first_position == 1


@pytest.mark.fault("C-7")
def test_an_interrupt_while_an_append_waits_takes_it_back_and_the_next_one_has_its_own_answer(database, recorder, row) -> None:
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    writer = Writer(recorder.store)
    assert writer.append([row("run_a", 1)]).first_position == 1
    with psycopg.connect(database.admin_url) as stalled, psycopg.connect(database.admin_url, autocommit=True) as looking:
        stalled.execute("SELECT * FROM runfold.head FOR UPDATE")

        def interrupt() -> None:
            until(lambda: looking.execute(waiting).fetchall())
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            writer.append([row("run_a", 2), row("run_a", 3)])
        interrupting.join()
        until(lambda: not looking.execute(waiting).fetchall())
    assert writer.append([row("run_a", 2)]).first_position == 2
    writer.close()
    assert positions(recorder) == [(1, "run_a", 1), (2, "run_a", 2)]


def test_the_lock_is_waited_for_at_most_five_seconds_and_a_stalled_holder_is_ended(recorder) -> None:
    with recorder.store.connect() as connection:
        shown = [
            connection.execute(f"SHOW {name}").fetchone()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
        ]
    assert shown == [("5s",), ("10s",), ("UTC",)]


def test_nothing_is_compressed_while_others_wait_to_append(recorder, row) -> None:
    """A long text in JSON would shrink to a tenth; it is stored as long as it is."""
    state = b'{"reason":"%s"}' % (b"the same words again " * 1_000)
    recorder.writer.append([row("run_a", 1, state)])
    assert list(recorder.reader.rows("SELECT pg_column_size(state), state FROM runfold.log")) == [(len(state), state)]


EVENTS = """SELECT * FROM runfold.append_events(
    ARRAY(SELECT ROW('run_' || i %% 10, i / 10 + 1, 'run.noted', 1, '{}', NULL, 'default', 'thread_1', gen_random_uuid(),
                     '{}', '{}')::runfold.new_event
            FROM generate_series(0, 299) AS i), %s)"""
GROUPS = """SELECT * FROM runfold.append_events_in_groups(
    ARRAY(SELECT 'run_' || i FROM generate_series(0, 9) AS i), array_fill('run.noted'::text, '{10}'),
    array_fill(1::smallint, '{10}'), NULL, array_fill('default'::text, '{10}'), array_fill('thread_1'::text, '{10}'),
    array_fill('{}'::jsonb, '{10}'), array_fill('{}'::jsonb, '{10}'),
    ARRAY(SELECT i %% 10 + 1 FROM generate_series(0, 299) AS i), ARRAY(SELECT i / 10 + 1 FROM generate_series(0, 299) AS i),
    array_fill('{}'::bytea, '{300}'), ARRAY(SELECT gen_random_uuid() FROM generate_series(0, 299)), %s)"""


@pytest.mark.parametrize("setting", ["work_mem = '64kB'", "enable_hashagg = off", "enable_sort = on"])
@pytest.mark.parametrize("asked", [EVENTS, GROUPS], ids=["events", "groups"])
def test_streams_in_turn_follow_each_other_whatever_the_settings_of_who_calls(database, asked, setting) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("SET runfold.tenant = '*'")
        connection.execute(f"SET {setting}")
        row = connection.execute(asked, [bytes(16 * 300)]).fetchone()
    assert row is not None
    assert (row[0], row[2]) == (1, None)
