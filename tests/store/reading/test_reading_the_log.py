"""Reading the log: the view for people, moments, filters, pages."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.rows import dict_row

from runfold import Ledger
from runfold.errors import UnreadableTime
from runfold.store.reading import filter as filtering
from runfold.store.reading.filter import Filter
from runfold.store.recorder import Recorder
from tests.damaged import damage
from tests.databases import TestDatabase


def test_the_view_shows_an_event_in_our_own_words(database, ledger: Ledger) -> None:
    occurred_at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    thread = ledger.create_thread(agent_id="support", user_id="u_1", title="Größe", actor="human:ada", occurred_at=occurred_at)
    with psycopg.connect(database.url, row_factory=dict_row, options="-c runfold.tenant=*") as connection:
        (seen,) = connection.execute("SELECT * FROM runfold.events").fetchall()
    (recorded,) = ledger.events()
    assert (seen["position"], seen["stream"], seen["version"], seen["type"]) == (1, thread.id, 1, "thread.created")
    assert (seen["event_id"], seen["recorded_at"]) == (recorded.event_id, recorded.recorded_at)
    assert (seen["occurred_at"], seen["tenant_id"], seen["thread_id"]) == (occurred_at, "default", thread.id)
    assert (seen["schema_version"], seen["key_id"]) == (1, None)
    assert seen["data"] == {"agent_id": "support", "user_id": "u_1", "title": "Größe", "metadata": {}}
    assert seen["context"] == {"agent_id": "support", "user_id": "u_1"}
    assert seen["metadata"]["actor"] == {"kind": "human", "id": "ada"}


def test_a_moment_names_the_last_position_not_after_it(recorder: Recorder, row) -> None:
    assert recorder.reader.position_at(datetime.now(UTC)) == 0
    times = [recorder.writer.append([row("run_a", version)]).recorded_at for version in range(1, 6)]
    assert times == sorted(times)
    assert [recorder.reader.position_at(moment) for moment in times] == [1, 2, 3, 4, 5]
    tick = timedelta(microseconds=1)
    assert [recorder.reader.position_at(moment - tick) for moment in times] == [0, 1, 2, 3, 4]
    assert recorder.reader.position_at(datetime.max.replace(tzinfo=UTC)) == 5


def test_events_of_one_transaction_share_a_moment_which_names_the_last_of_them(recorder: Recorder, row) -> None:
    placed = recorder.writer.append([row("run_a", version) for version in range(1, 6)])
    assert recorder.reader.position_at(placed.recorded_at) == 5


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        (Filter(), [1, 2, 3, 4, 5, 6, 7]),
        (Filter(types=("run.*",)), [2, 3, 5, 6]),
        (Filter(types=("run.created", "message.*")), [2, 4, 5]),
        (Filter(types=("r_n.*",)), []),
        (Filter(types=("%",)), []),
        (Filter(stream="run_a"), [2, 3, 4]),
        (Filter(run_id="run_a"), [2, 3, 4]),
        (Filter(thread_id="thread_b"), [7]),
        (Filter(thread_id="thread_a", run_id="run_b", types=("run.started",)), [6]),
        (Filter(agent_ids=("support",), run_id="run_a"), [2, 3, 4]),
        (Filter(tenant_id="default", thread_id="thread_b"), [7]),
        (Filter(tenant_id="other"), []),
    ],
)
def test_a_filter_narrows_by_what_is_set_alone(ledger: Ledger, wanted: Filter, positions: list[int]) -> None:
    thread = ledger.create_thread(agent_id="support", thread_id="thread_a")
    thread.start_run(run_id="run_a").add_message("user", "hello")
    thread.start_run(run_id="run_b", parent=None)
    ledger.create_thread(thread_id="thread_b")
    assert [found.position for found in ledger.recorder.reader.page(wanted)] == positions


def test_pages_join_without_a_gap_in_both_directions(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    for number in range(6):
        run.add_message("user", str(number))
    reader = ledger.recorder.reader
    forth = [[found.position for found in reader.page(after=after, up_to=8, limit=3)] for after in (0, 3, 6, 8)]
    assert forth == [[1, 2, 3], [4, 5, 6], [7, 8], []]
    assert [found.position for found in reader.page(up_to=8, limit=3, descending=True)] == [8, 7, 6]


def test_long_streams_are_read_page_by_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAGE", "STRETCH"):
        monkeypatch.setattr(f"runfold.store.reading.reader.{name}", 3)
    run = ledger.create_thread(agent_id="support").start_run()
    for number in range(9):
        run.add_message("user", str(number))
    reader = ledger.now.reader
    assert [found.version for found in reader.stream(run.id)] == list(range(1, 12))
    assert [found.version for found in reader.stream(run.id, after_version=2, up_to_version=8)] == [3, 4, 5, 6, 7, 8]
    assert len(run.messages()) == 9
    assert len(list(reader.events())) == 12


@pytest.mark.parametrize("position", [2, 3, 5, 8, 9, 11])
def test_of_an_event_that_cannot_be_read_they_are_told_wherever_it_stands(
    ledger: Ledger, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, position: int
) -> None:
    monkeypatch.setattr("runfold.store.reading.reader.STRETCH", 3)
    run = ledger.create_thread(agent_id="support").start_run()
    for number in range(9):
        run.add_message("user", str(number))
    stream, taken = damage(database, position, "recorded at infinity"), list[int]()
    with pytest.raises(UnreadableTime, match=f"position {position}.*{stream}"):
        taken.extend(recorded.position for recorded in ledger.recorder.reader.events())
    assert taken == list(range(1, position - (position - 1) % 3)), "those of the stretches before"


@pytest.mark.parametrize("bytes_a_page", [1, 300, 700, 5_000, 100_000])
def test_no_stretch_holds_much_more_payload_than_it_may_and_together_they_hold_all(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, bytes_a_page: int
) -> None:
    monkeypatch.setattr(filtering, "PAGE_BYTES", bytes_a_page)
    run = ledger.create_thread(agent_id="support").start_run()
    sizes = [10, 4_000, 1, 1, 200, 90_000, 3, 500, 500, 7]
    for size in sizes:
        run.add_message("user", "x" * size)
    reader, stretches, position = ledger.now.reader, [], 0
    while position < 13:
        stretches.append(reader.stretch(Filter(types=("message.*",)), after=position, up_to=13, limit=4))
        position = stretches[-1].position
    found = [recorded for stretch in stretches for recorded in stretch.events]
    assert [len(recorded.event.content[0].text) for recorded in found] == sizes
    for stretch in stretches:
        assert 1 <= len(stretch.events) <= 4
        last = len(stretch.events[-1].event.model_dump_json(exclude_none=True))
        assert stretch.size - last < bytes_a_page, "with the last it may be more"
    assert [recorded.position for recorded in reader.events()] == list(range(1, 14))
    assert [recorded.version for recorded in reader.stream(run.id)] == list(range(1, 13))
    assert [recorded.version for recorded in reader.stream(run.id, types=("message.*",))] == list(range(3, 13))


@pytest.mark.parametrize("bytes_a_page", [1, 300, 5_000, 100_000])
def test_where_all_is_wanted_no_stretch_holds_more_either(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, bytes_a_page: int
) -> None:
    monkeypatch.setattr(filtering, "PAGE_BYTES", bytes_a_page)
    thread = ledger.create_thread(agent_id="support")
    run = thread.start_run()
    for size in [10, 4_000, 1, 1, 200, 90_000, 3, 500, 500, 7]:
        run.add_message("user", "x" * size)
    sizes = {recorded.position: recorded.payload_bytes for recorded in ledger.events()}
    for reader, wanted in ((ledger.recorder.reader, None), (ledger.now.reader, Filter(thread_id=thread.id))):
        found, position, back, before = [], 0, [], 13
        while position < 13:
            found.append(reader.stretch(wanted, after=position, up_to=13, limit=4))
            position = found[-1].position
        while before > 0:
            back.append(reader.stretch_back(wanted, up_to=before, limit=4))
            before = back[-1].position
        for stretches, positions in ((found, range(1, 14)), (back, range(13, 0, -1))):
            assert [recorded.position for stretch in stretches for recorded in stretch.events] == list(positions)
            for stretch in stretches:
                assert 1 <= len(stretch.events) <= 4
                assert stretch.size - sizes[stretch.events[-1].position] < bytes_a_page, "with the last it may be more"


def test_a_stretch_without_what_is_wanted_says_how_far_it_looked(ledger: Ledger) -> None:
    ledger.create_thread()
    reader = ledger.recorder.reader
    assert reader.stretch(Filter(types=("message.*",)), after=0, up_to=1) == ([], 1, 0)
    assert reader.stretch(after=1, up_to=1) == ([], 1, 0)


def test_the_head_says_how_far_the_ledger_is_and_which_ledger_it_is(ledger: Ledger) -> None:
    before = ledger.recorder.reader.head()
    assert (before.position, before.recorded_at) == (0, None)
    ledger.create_thread()
    head = ledger.recorder.reader.head()
    assert head.position == ledger.position() == 1
    assert head.recorded_at == ledger.events()[0].recorded_at
    assert head.epoch == before.epoch


def test_the_reads_that_must_be_quick_use_an_index(database, ledger: Ledger) -> None:
    """Without rows the planner would choose a scan; without scans it shows whether an index serves the query at all."""
    queries = {
        "log_tenant_thread": "SELECT 1 FROM runfold.log WHERE thread_id = 'thread_a' AND tenant_id = 'default'"
        " AND notification_id > 5 ORDER BY notification_id",
        "log_tenant_stream_version": "SELECT 1 FROM runfold.log WHERE originator_id = 'run_a' AND tenant_id = 'default'"
        " AND originator_version > 5 ORDER BY originator_version",
        "log_tenant_tree": "SELECT 1 FROM runfold.log WHERE thread_id = 'thread_a' AND tenant_id = 'default'"
        " AND notification_id > 5"
        " AND topic IN ('run.created', 'thread.head_named', 'thread.head_moved') ORDER BY notification_id",
        "log_threads_created": "SELECT 1 FROM runfold.log WHERE tenant_id = 'default' AND topic = 'thread.created'"
        " AND notification_id <= 5 ORDER BY notification_id DESC",
        "log_pkey": "SELECT 1 FROM runfold.log WHERE notification_id > 5 ORDER BY notification_id",
    }
    with psycopg.connect(database.url, autocommit=True, options="-c runfold.tenant=default") as connection:
        connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
        for index, query in queries.items():
            plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}"))
            assert index in plan, plan
            assert "InitPlan" in plan, f"whose rows it shows is worked out once and not for each row: {plan}"
            assert "SubPlan" not in plan, plan
