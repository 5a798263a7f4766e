"""The one SQL function that writes: positions, versions, conflicts, time."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from runfold import LedgerUnavailable
from runfold.store.recorder import Recorder
from runfold.store.writer import Placed, Writer


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
    connection = writer._connected()
    connection.autocommit = False  # so that the append is part of a transaction
    assert writer.append([row("run_a", 2), row("run_a", 3)]).first_position == 2
    connection.rollback()
    writer.close()
    assert recorder.writer.append([row("run_b", 1)]).first_position == 2
    assert positions(recorder) == [(1, "run_a", 1), (2, "run_b", 1)]


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


def test_the_lock_is_waited_for_at_most_five_seconds_and_a_stalled_holder_is_ended(recorder) -> None:
    with recorder.store.connect() as connection:
        shown = [
            connection.execute(f"SHOW {name}").fetchone()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
        ]
    assert shown == [("5s",), ("10s",), ("UTC",)]
