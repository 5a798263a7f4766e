"""A worker folds what there is, once each, in order; and goes on as events come."""

import threading

import psycopg
import pytest

from runfold import Ledger
from runfold.errors import LedgerUnavailable
from runfold.projector import checkpoints, worker
from runfold.projector.folding.page import Page, Pages
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Work, running
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import TOYS, Ended, Tally, Tools
from tests.waiting import until


@pytest.mark.parametrize("size", [1, 2, 7, 100, 5000])
def test_any_page_size_gives_the_rows_of_the_fold(
    database: TestDatabase, fill: Fill, work: Work, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAGE", size)
    monkeypatch.setattr(worker, "LARGEST_PAGE", size)
    head = fill(complete=True) and fill()
    assert work().catch_up() == head
    require_sound(database.projector_url, TOYS.values())


def test_folding_again_changes_nothing(database: TestDatabase, fill: Fill, work: Work, books: Books) -> None:
    head = fill()
    for _ in range(3):
        assert work().catch_up() == head
    assert books.rows(Tally()) != {}
    require_sound(database.projector_url, TOYS.values())


def test_an_empty_ledger_gives_empty_read_models_at_position_0(work: Work, books: Books) -> None:
    assert work().catch_up() == 0
    assert [(model.name, model.state, model.position) for model in books.models()] == [(name, "live", 0) for name in sorted(TOYS)]
    assert books.rows(Tally()) == {}


def test_a_removed_row_is_removed_and_may_come_again(ledger: Ledger, work: Work, books: Books) -> None:
    thread = ledger.create_thread(agent_id="a")
    call = thread.start_run().call_tool("search", call_id="call_1")
    fold = work()
    fold.catch_up()
    assert [key for _, key in books.rows(TOYS["open_calls"])] == ["call_1"]
    call.succeed()
    fold.catch_up()
    assert books.rows(TOYS["open_calls"]) == {}
    thread.start_run(parent=None).call_tool("search", call_id="call_1")
    fold.catch_up()
    assert books.faults(TOYS["open_calls"]) == []
    assert len(books.rows(TOYS["open_calls"])) == 1


def test_the_checkpoint_moves_over_events_that_nobody_cares_for(fill: Fill, work: Work, books: Books) -> None:
    head = fill()
    work({"ended": Ended()}).catch_up()
    assert books.model("ended").position == head
    assert [(receipt.last, receipt.events) for receipt in books.receipts(books.model("ended"))] == [(head, 0)]


def test_a_new_projection_begins_at_the_beginning_beside_others_that_are_ahead(
    database: TestDatabase, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = fill(10)
    first = work({"tally": Tally()})
    first.catch_up()
    first.close()
    monkeypatch.setattr(worker, "FIRST_PAGE", 13)
    head = fill(2)
    assert (books.model("tally").position, head) == (ahead, head)
    work().catch_up()
    require_sound(database.projector_url, TOYS.values(), head)


def test_read_models_that_are_equally_far_share_one_reading_of_the_log(
    fill: Fill, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    pages: list[tuple[int, int, int]] = []

    def read(self: Pages, after: int, up_to: int, types: frozenset[str]) -> Page:
        pages.append((after, up_to, len(types)))
        return honest(self, after, up_to, types)

    honest = Pages.read
    monkeypatch.setattr(Pages, "read", read)
    head = work().catch_up()
    assert pages == [(0, head, len({event.type for toy in TOYS.values() for event in toy.events}))]


def test_it_keeps_up_while_events_come(database: TestDatabase, fill: Fill, work: Work, books: Books) -> None:
    with running(work()):
        for _ in range(20):
            fill(1)
        until(lambda: all(model.position == books.head() for model in books.models()))
    require_sound(database.projector_url, TOYS.values())


def test_the_hint_wakes_a_worker_that_would_sleep(fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BUSY_SECONDS", 3600.0)
    monkeypatch.setattr(worker, "QUIET_SECONDS", 3600.0)
    monkeypatch.setattr("runfold.projector.folding.team.BEAT_SECONDS", 3600.0)
    folding = work({"tally": Tally()})
    with running(folding):
        try:
            until(lambda: any(model.worker for model in books.models()))
            head = fill(1)
            until(lambda: books.model("tally").position == head)
        finally:
            folding._listener.wait = lambda _: None  # type: ignore[method-assign]  # else it waits an hour for its end
            books.connection.execute("NOTIFY runfold")  # it may have begun to wait before


@pytest.mark.fault("D4", "H9")
def test_a_worker_whose_listening_connection_is_killed_goes_on_by_itself(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    listening = "FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN runfold'"
    with running(work()), psycopg.connect(database.admin_url, autocommit=True) as admin:
        for _ in range(3):
            until(lambda: admin.execute(f"SELECT 1 {listening}").fetchone())
            killed = admin.execute(f"SELECT pg_terminate_backend(pid) {listening}").fetchall()
            assert killed
            head = fill(2)
            until(lambda: [model.position for model in books.models()] == [head] * len(TOYS))  # noqa: B023
    require_sound(database.projector_url, TOYS.values())


def test_a_lost_hint_costs_a_moment_and_no_event(
    database: TestDatabase, ledger: Ledger, fill: Fill, work: Work, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.store.hint.Hint.ring", lambda _: None)
    with running(work()):
        until(lambda: any(model.worker for model in books.models()))
        head = fill()
        until(lambda: all(model.position == head for model in books.models()))
    require_sound(database.projector_url, TOYS.values())


@pytest.mark.fault("D4")
def test_a_worker_outlives_the_loss_of_all_its_connections(database: TestDatabase, fill: Fill, work: Work, books: Books) -> None:
    with running(work()), psycopg.connect(database.admin_url, autocommit=True) as admin:
        for _ in range(5):
            fill(1)
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = 'runfold_projector' AND pid <> %s",
                [books.connection.info.backend_pid],
            )
        until(lambda: all(model.position == books.head() for model in books.models()) and books.models())
    require_sound(database.projector_url, TOYS.values())


def test_catching_up_ends_while_others_go_on_appending(database: TestDatabase, fill: Fill, work: Work) -> None:
    stop = threading.Event()
    fill(20)

    def append() -> None:
        while not stop.is_set():
            fill(1, 2)

    appending = threading.Thread(target=append)
    appending.start()
    try:
        reached = work().catch_up()
    finally:
        stop.set()
        appending.join()
    assert reached >= 20
    work().catch_up()
    require_sound(database.projector_url, TOYS.values())


def test_catching_up_says_how_far_it_is(fill: Fill, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "FIRST_PAGE", 10)
    monkeypatch.setattr(worker, "LARGEST_PAGE", 10)
    head = fill()
    said: list[tuple[int, int]] = []
    work({"tally": Tally()}).catch_up(lambda done, total: said.append((done, total)))
    assert said == [(done, head) for done in range(0, head, 10)]


def test_rows_at_hand_are_few_and_the_rest_is_read_again(
    database: TestDatabase, fill: Fill, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.projector.folding.shard.ROWS_AT_HAND", 3)
    monkeypatch.setattr(worker, "FIRST_PAGE", 5)
    monkeypatch.setattr(worker, "LARGEST_PAGE", 5)
    folding = work()
    for _ in range(2):
        fill(10)
        folding.catch_up()
    assert {len(shard._rows) for shard in folding._team.shards.values()} <= {0, 1, 2, 3}
    require_sound(database.projector_url, TOYS.values())


def test_another_tenants_rows_are_kept_apart(database: TestDatabase, fill: Fill, work: Work, books: Books) -> None:
    fill(1)
    with Ledger.open(database.url, tenant="other") as other:
        run = other.create_thread(agent_id="agent-0").start_run()
        run.call_tool("tool_0")
    work().catch_up()
    calls = {(tenant, tool): standing.row.calls for (tenant, tool, _), standing in books.rows(Tools()).items()}
    assert calls == {("default", "tool_0"): 2, ("default", "tool_1"): 1, ("default", "tool_2"): 1, ("other", "tool_0"): 1}
    require_sound(database.projector_url, TOYS.values())


def test_a_worker_that_may_not_fold_says_so(database: TestDatabase) -> None:
    folding = worker.Worker(Datastore(database.url), TOYS)
    with pytest.raises(LedgerUnavailable, match=r"may not build read models .*grant it runfold_projector"):
        folding.run(threading.Event())
    with pytest.raises(LedgerUnavailable, match=r"may not build read models .*grant it runfold_projector"):
        folding.catch_up()


def test_a_worker_that_ends_leaves_nothing_behind(fill: Fill, work: Work, books: Books) -> None:
    fill()
    folding = work()
    with running(folding):
        until(lambda: checkpoints.peers(books.connection) != [])
    assert checkpoints.peers(books.connection) == []
    assert {model.worker for model in books.models()} == {None}


@pytest.mark.fault("G1")
def test_what_is_too_much_for_the_database_at_once_is_taken_in_smaller_pages(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    """As where the role has a statement_timeout, or the server little memory."""
    fill(1)
    work().catch_up()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(
            """
            CREATE FUNCTION public.at_most_20() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF (SELECT count(*) FROM added) > 20 THEN
                    RAISE 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled';
                END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER at_most AFTER INSERT ON runfold_open_calls_1.open_calls
                REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.at_most_20()
            """
        )
    head = fill(40)
    with running(work()):
        until(lambda: {model.position for model in books.models()} == {head})
    require_sound(database.projector_url, TOYS.values())
