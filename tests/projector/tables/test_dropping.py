"""A read model that is needed no more is dropped, with all that is kept of it."""

import psycopg
import pytest

from runfold import Ledger
from runfold.errors import DropRefused, ProjectionNotFound
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Work, running
from tests.projector.soundness import Books
from tests.projector.toys import Tally
from tests.waiting import until

TALLY = "tests.projector.toys:Tally"
_LEFT = """
SELECT (SELECT count(*) FROM runfold.read_models WHERE name = 'tally')
     + (SELECT count(*) FROM runfold.checkpoints WHERE name = 'tally')
     + (SELECT count(*) FROM runfold.receipts WHERE name = 'tally')
     + (SELECT count(*) FROM runfold.troubles WHERE name = 'tally')
     + (SELECT count(*) FROM pg_class WHERE relname = 'tally')
     + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'runfold%tally%')
"""


def left(database: TestDatabase) -> int:
    """What the database still has of it."""
    with psycopg.connect(database.admin_url) as connection:
        return int((connection.execute(_LEFT).fetchone() or (0,))[0])


def test_nothing_of_it_is_left_and_it_can_be_folded_again(ledger: Ledger, fill: Fill, database: TestDatabase) -> None:
    head = fill(2)
    ledger.fold(TALLY)
    ledger.rebuild(TALLY, processes=1)  # so that there is a generation before this one
    assert left(database) > 0
    ledger.drop_projection("tally")
    assert left(database) == 0
    with pytest.raises(ProjectionNotFound):
        ledger.drop_projection("tally")
    assert ledger.fold(TALLY) == head
    assert len(ledger.now.rows(TALLY).items) == 2


def test_what_comes_with_runfold_is_not_dropped(ledger: Ledger) -> None:
    ledger.fold("usage")
    with pytest.raises(DropRefused, match=r"usage comes with Runfold.*`runfold rebuild usage`"):
        ledger.drop_projection("usage")


def test_what_a_worker_folds_is_not_dropped_until_it_ends(ledger: Ledger, fill: Fill, books: Books, work: Work) -> None:
    fill(1)
    worker = work({"tally": Tally()})
    with running(worker):
        until(lambda: any(model.worker for model in books.models()))
        with pytest.raises(DropRefused, match=r"tally is folded by the worker .*; stop it"):
            ledger.drop_projection("tally")
    ledger.drop_projection("tally")


def test_a_view_of_somebodys_keeps_it_and_is_named(ledger: Ledger, fill: Fill, database: TestDatabase) -> None:
    fill(1)
    ledger.fold(TALLY)
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("CREATE VIEW public.busy AS SELECT run_id FROM runfold_read.tally WHERE calls > 3")
        with pytest.raises(DropRefused, match=r"tally is what .*busy is made over; drop that first"):
            ledger.drop_projection("tally")
        assert len(ledger.now.rows(TALLY).items) == 1
        connection.execute("DROP VIEW public.busy")
    ledger.drop_projection("tally")
    assert left(database) == 0
