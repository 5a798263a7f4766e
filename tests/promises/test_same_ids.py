"""Two tenants may have the same ids: each has the rows that it would have had alone, in every read model."""

import random

import psycopg
import pytest
from psycopg import sql

from runfold import Ledger
from runfold.projections.fold import Standing, fold_all
from runfold.projections.projection import Key
from runfold.projections.registry import known
from runfold.projector import filling
from runfold.projector.past.as_of import make
from runfold.projector.rebuilding.rebuild import Rebuild
from runfold.store.datastore import Datastore
from tests.domain.steady import STEADY
from tests.projections.histories import History
from tests.projector.soundness import Books, differences
from tests.projector.toys import TOYS
from tests.projector.ways import Site, in_pieces, new_site, rebuilt

ONE, OTHER = "acme", "globex"
HISTORIES = STEADY.max_examples // 16
EVERY = {**known(), **TOYS}
"""Those of a user among them, who need not think of tenants."""

# Position by position beside each other: what either tenant's fold does between two events of the other must not show.
_TWIN = {
    ONE: {"notification_id": "notification_id * 2 - 1"},
    OTHER: {"notification_id": "notification_id * 2", "tenant_id": f"'{OTHER}'", "event_id": "gen_random_uuid()"},
}


def record_twice(source: Site, target: Site) -> None:
    """Two tenants' events whose ids are the same, of streams, threads and all that they name."""
    with psycopg.connect(source.database.admin_url) as read, psycopg.connect(target.database.admin_url) as write:
        columns = [
            name
            for (name,) in read.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'runfold.log'::regclass AND attnum > 0 AND NOT attisdropped"
            )
        ]
        into = sql.SQL("COPY runfold.log ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, columns)))
        for differing in _TWIN.values():
            values = ", ".join(differing.get(name, name) for name in columns)
            with (
                read.cursor().copy(f"COPY (SELECT {values} FROM runfold.log) TO STDOUT") as rows,
                write.cursor().copy(into) as copy,
            ):
                for data in rows:
                    copy.write(data)
        write.execute("UPDATE runfold.head SET position = (SELECT max(notification_id) FROM runfold.log)")


@pytest.fixture(scope="module")
def twins(admin_url: str, template: str) -> Site:
    """A ledger in which two tenants recorded the same, under the same ids, at the same time."""
    alone, both = new_site(admin_url, template, "alone"), new_site(admin_url, template, "twins")
    with Ledger.open(alone.database.url, tenant=ONE) as ledger:
        for seed in range(HISTORIES):
            History(random.Random(seed)).go_on(ledger, 120)  # noqa: S311
    record_twice(alone, both)
    return both


def due(site: Site, name: str, up_to: int) -> dict[Key, Standing]:
    """What a read model must hold: what the fold of either tenant's events alone comes to."""
    found: dict[Key, Standing] = {}
    with Books(site.url) as books:
        events = books.events(EVERY[name], up_to)
    for tenant in (ONE, OTHER):
        found |= fold_all(EVERY[name], [recorded for recorded in events if recorded.tenant_id == tenant])
    return found


@pytest.fixture(scope="module", params=[in_pieces, rebuilt])
def made(request: pytest.FixtureRequest, twins: Site) -> Site:
    """The read models, made in one of the ways; more than one shard of threads is taken in by each process."""
    twins.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filling, "THREADS_A_LANE", 2)
        for _ in request.param(twins, EVERY, random.Random(3)):  # noqa: S311
            pass
    return twins


@pytest.mark.parametrize("name", sorted(EVERY))
def test_each_tenant_has_the_rows_that_it_would_have_had_alone(made: Site, name: str) -> None:
    wanted = due(made, name, made.length())
    assert {key[0] for key in wanted} == {ONE, OTHER}
    with Books(made.url) as books:
        assert differences(wanted, books.rows(EVERY[name])) == []


@pytest.fixture(scope="module")
def past(twins: Site) -> int:
    """A position in the middle, as of which a schema was made."""
    position = twins.length() // 2
    make(Datastore(twins.url), EVERY, "by_then", position, processes=2)
    return position


@pytest.mark.parametrize("name", sorted(EVERY))
def test_so_it_had_at_a_moment_of_the_past(twins: Site, past: int, name: str) -> None:
    with Books(twins.url) as books:
        assert differences(due(twins, name, past), books.rows(EVERY[name], "by_then")) == []


def test_along_a_branch_are_the_rows_of_one_tenant_alone(twins: Site) -> None:
    settings = twins.database.settings
    for tenant in (ONE, OTHER):
        with Ledger.open(settings=settings.model_copy(update={"tenant": tenant})) as ledger:
            run_id = ledger.events(types=["run.created"])[-1].stream
            ledger.make_schema(f"of_{tenant}", branch=run_id, processes=1)
        with Books(twins.url) as books:
            rows = {name: books.rows(projection, f"of_{tenant}") for name, projection in known().items()}
        assert {key[0] for found in rows.values() for key in found} == {tenant}
        assert (tenant, run_id) in rows["run_summaries"]


def test_a_wrong_row_is_explained_by_the_events_of_its_own_tenant(twins: Site) -> None:
    twins.clear()
    for _ in rebuilt(twins, {"tally": TOYS["tally"]}, random.Random(1)):  # noqa: S311
        pass
    with psycopg.connect(twins.url, autocommit=True) as connection:
        connection.execute("UPDATE runfold_read.tally SET calls = calls + 1 WHERE tenant_id = %s", [OTHER])
    (found,) = Rebuild(Datastore(twins.url), {"tally": TOYS["tally"]}, processes=1, keep=True).run()
    assert found.compared is not None
    assert found.compared.different == found.compared.rows // 2
    for example in found.compared.examples:
        assert example.key[0] == OTHER
        assert example.events
        assert all(position % 2 == 0 for position, _ in example.events), "the other tenant's are at even positions"
