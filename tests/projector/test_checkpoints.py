"""A checkpoint that cannot be true is refused: nothing is skipped and nothing counts twice."""

from uuid import uuid4

import psycopg
import pytest

from runfold.projector import checkpoints
from runfold.projector.checkpoints import digest_of, require_whole
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Work, running
from tests.projector.soundness import Books, Receipt, require_sound
from tests.projector.toys import TOYS, Tally, Tools
from tests.waiting import until

NEXT = "; rebuild it with `runfold rebuild tally`"


@pytest.fixture
def head(fill: Fill, work: Work) -> int:
    """Where the toys were folded up to; some more has come since."""
    folding = work()
    position = fill()
    folding.catch_up()
    folding.close()
    fill()
    return position


TAMPERINGS = {
    "rewound": ("UPDATE runfold.checkpoints SET position = 10", "has a checkpoint at position 10, and receipts for 1 to {head}"),
    "rewound to 0": (
        "UPDATE runfold.checkpoints SET position = 0",
        "has a checkpoint at position 0, and receipts for 1 to {head}",
    ),
    "moved ahead": (
        "UPDATE runfold.checkpoints SET position = position + 5",
        "has a checkpoint at position {ahead}, and receipts for 1 to {head}",
    ),
    "beyond the log": (
        "UPDATE runfold.checkpoints SET position = 1000",
        "has a checkpoint at position 1000, and the log ends at {end}",
    ),
    "deleted": ("DELETE FROM runfold.checkpoints", "has lost its checkpoint"),
    "receipts deleted": ("DELETE FROM runfold.receipts", "has a checkpoint at position {head}, and receipts for nothing"),
    "a receipt too late": (
        "UPDATE runfold.receipts SET first_position = 3",
        "has a checkpoint at position {head}, and receipts for 3 to {head}",
    ),
    "a receipt twice": (
        "INSERT INTO runfold.receipts SELECT * FROM runfold.receipts",
        "has a checkpoint at position {head}, and receipts for 1 to {head}, 1 to {head}",
    ),
}


@pytest.mark.fault("G3", "G7")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_checkpoint_or_receipt_changed_by_hand_is_refused(
    database: TestDatabase, work: Work, books: Books, head: int, tampering: str
) -> None:
    statement, said = TAMPERINGS[tampering]
    rows = books.rows(Tally())
    books.connection.execute(f"{statement} WHERE name = 'tally'")
    end = books.head()
    first = work()
    first.catch_up()
    first.close()
    model = books.model("tally")
    assert (model.trouble, model.error) == ("stopped", "BrokenCheckpoint")
    assert model.message == f"tally {said.format(head=head, ahead=head + 5, end=end)}{NEXT}"
    assert books.rows(Tally()) == rows, "it was left as it is"
    assert [fault for name, toy in TOYS.items() if name != "tally" for fault in books.faults(toy, end)] == []
    checkpoints.end_trouble(books.connection, "tally", 1)
    work().catch_up()
    assert books.model("tally").error == "BrokenCheckpoint", "asking again does not mend it"


@pytest.mark.fault("G7")
def test_a_checkpoint_that_is_put_back_is_gone_on_from(database: TestDatabase, work: Work, books: Books, head: int) -> None:
    books.connection.execute("UPDATE runfold.checkpoints SET position = 3 WHERE name = 'tally'")
    first = work()
    first.catch_up()
    first.close()
    books.connection.execute("UPDATE runfold.checkpoints SET position = %s WHERE name = 'tally'", [head])
    checkpoints.end_trouble(books.connection, "tally", 1)
    work().catch_up()
    require_sound(database.projector_url, TOYS.values())


@pytest.mark.fault("G3", "G7")
@pytest.mark.parametrize("by", [-10, 5])
def test_a_checkpoint_that_is_moved_while_a_worker_holds_it_is_refused_at_the_next_event(
    fill: Fill, work: Work, books: Books, by: int
) -> None:
    with running(work()):
        head = fill()
        until(lambda: [model.position for model in books.models()] == [head] * len(TOYS))
        rows = books.rows(Tally())
        books.connection.execute("UPDATE runfold.checkpoints SET position = position + %s WHERE name = 'tally'", [by])
        end = fill()
        until(lambda: books.model("tally").trouble == "stopped" and books.model("tools").position == end)
    assert books.model("tally").message == f"tally has a checkpoint at position {head + by}, and receipts for 1 to {head}{NEXT}"
    assert books.rows(Tally()) == rows


def test_a_log_of_another_epoch_is_refused(database: TestDatabase, work: Work, books: Books, head: int) -> None:
    """As after restoring another database under read models that stayed."""
    before = books.model("tally")
    now = uuid4()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE runfold.head SET epoch = %s", [now])
    work().catch_up()
    for model in books.models():
        assert (model.trouble, model.error, model.position) == ("stopped", "BrokenCheckpoint", head)
        assert model.message == (
            f"{model.name} was folded from the log {before.epoch}, and this is the log {now} (a restored or replaced"
            f" database); rebuild it with `runfold rebuild {model.name}`"
        )
        assert model.worker is None, "nobody has claimed it"


def test_an_epoch_that_changes_under_a_worker_is_refused_at_the_next_event(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    with running(work()), psycopg.connect(database.admin_url, autocommit=True) as admin:
        head = fill()
        until(lambda: [model.position for model in books.models()] == [head] * len(TOYS))
        admin.execute("UPDATE runfold.head SET epoch = gen_random_uuid()")
        fill()
        until(lambda: {model.trouble for model in books.models()} == {"stopped"})
    assert {(model.error, model.position) for model in books.models()} == {("BrokenCheckpoint", head)}


@pytest.mark.fault("G7")
def test_receipts_deleted_under_a_worker_are_missed_when_the_read_model_is_next_claimed(
    fill: Fill, work: Work, books: Books
) -> None:
    folding = work({"tally": Tally()})
    head = fill()
    folding.catch_up()
    books.connection.execute("DELETE FROM runfold.receipts")
    end = fill()
    folding.catch_up()
    folding.close()
    work({"tally": Tally()}).catch_up()
    assert books.model("tally").message == (
        f"tally has a checkpoint at position {end}, and receipts for {head + 1} to {end}{NEXT}"
    )


def test_receipts_of_many_pages_are_one(fill: Fill, work: Work, books: Books) -> None:
    folding = work({"tools": Tools()})
    for _ in range(5):
        fill(1)
        folding.catch_up()
    events = books.events(Tools(), books.head())
    assert books.receipts(books.model("tools")) == [Receipt(1, books.head(), 20, digest_of(events))]
    require_whole(books.connection, "tools", 1, books.head())


def test_a_digest_is_of_the_ids_in_any_grouping_and_tells_one_event_from_two(fill: Fill, books: Books) -> None:
    fill()
    events = books.events(Tools(), books.head())
    whole = digest_of(events)
    assert whole == sum(int.from_bytes(event.event_id.bytes[8:]) for event in events) % 2**64
    assert whole == (digest_of(events[:3]) + digest_of(events[3:])) % 2**64
    assert whole not in {digest_of(events[1:]), digest_of([*events, events[0]]), digest_of(events[:-1] + events[:1])}
    assert digest_of([]) == 0


def test_trouble_is_noted_and_ended(fill: Fill, work: Work, books: Books) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    assert not checkpoints.end_trouble(books.connection, "tally", 1), "there was none"


@pytest.mark.fault("K8", "B9")
def test_a_worker_goes_on_in_a_new_history_that_holds_all_it_has_folded(
    database: TestDatabase, fill: Fill, work: Work, books: Books
) -> None:
    with running(work()), psycopg.connect(database.admin_url, autocommit=True) as admin:
        head = fill()
        until(lambda: [model.position for model in books.models()] == [head] * len(TOYS))
        admin.execute("SELECT runfold.begin_epoch('restored', %s, NULL)", [head])
        end = fill()
        until(lambda: [model.position for model in books.models()] == [end] * len(TOYS))
    present = admin_epoch(database)
    assert {(model.trouble, model.epoch) for model in books.models()} == {(None, present)}
    require_sound(database.admin_url, TOYS.values())


@pytest.mark.fault("K8", "B9")
def test_a_worker_that_has_folded_what_was_lost_stops_with_a_plan(
    database: TestDatabase, fill: Fill, work: Work, books: Books, head: int
) -> None:
    before = books.model("tally").epoch
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("SELECT runfold.begin_epoch('restored', %s, %s)", [head - 2, head])
    work().catch_up()
    for model in books.models():
        assert (model.trouble, model.error, model.position, model.epoch) == ("stopped", "BrokenCheckpoint", head, before)
        assert f": both are the same up to position {head - 2}, and it is at {head}; rebuild it with" in (model.message or "")


def admin_epoch(database: TestDatabase) -> object:
    """The present history."""
    with psycopg.connect(database.admin_url) as connection:
        row = connection.execute("SELECT epoch FROM runfold.head").fetchone()
    return row and row[0]
