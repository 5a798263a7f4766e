"""No event that can be recorded, however long what it says, is too long for the indexes of a read model that comes with Runfold.

PostgreSQL refuses an entry of more than 2,704 bytes, which would stop a read model for every tenant.
"""

import pytest

from runfold.domain.recorded import Recorded
from runfold.projections.fold import fold_all
from runfold.projections.registry import known
from runfold.projector.connection import connect
from runfold.projector.tables.table import Table
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.promises.longest import longest_events


@pytest.fixture(scope="module")
def events() -> list[Recorded]:
    return longest_events(seed=1)


@pytest.mark.parametrize("name", sorted(known()))
def test_its_indexes_take_the_longest_of_everything(name: str, events: list[Recorded], database: TestDatabase) -> None:
    projection = known()[name]
    rows = fold_all(projection, events)
    assert rows, "nothing was tried"
    with connect(Datastore(database.projector_url)) as connection:
        for generation, are_there_before in ((1, False), (2, True)):
            table = Table(projection, generation)
            table.create(connection)
            if are_there_before:
                table.fill(connection, table.packed(rows))
            table.add_key(connection)
            table.create_indexes(connection)
            table.write(connection, rows)
            table.require_kept(connection, rows)
