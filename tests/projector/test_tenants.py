"""The second wall between tenants, around read models: what the database itself shows to whom."""

import random

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from runfold import Ledger, Settings
from runfold.projections.registry import known
from runfold.projector.connection import connect
from runfold.projector.tables import generations
from runfold.queries.sources.read_models import ReadModels
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase
from tests.projections.histories import History
from tests.projector.conftest import Fill, Work
from tests.projector.soundness import Books
from tests.projector.toys import SecondTally, Tally

MINE, THEIRS = "acme", "globex"


class Shared:
    """A ledger of two tenants, with all read models folded, and two schemas of the past."""

    def __init__(self, database: TestDatabase, run_id: str) -> None:
        self.database, self.run_id = database, run_id

    def shown(self, relation: str, tenant: str | None, role: str = "runfold_app") -> dict[str, int]:
        """Whose rows a query sees that asks for nobody's in particular, and how many."""
        options = {} if tenant is None else {"options": f"-c runfold.tenant={tenant}"}
        with psycopg.connect(make_conninfo(self.database.url, user=role, **options)) as connection:
            query = sql.SQL("SELECT tenant_id, count(*) FROM {} GROUP BY 1").format(sql.Identifier(*relation.split(".")))
            return dict(connection.execute(query).fetchall())


@pytest.fixture
def shared(database: TestDatabase, settings: Settings) -> Shared:
    """A ledger of two tenants."""
    runs = []
    for seed, tenant in enumerate((MINE, THEIRS)):
        with Ledger.open(settings=settings.model_copy(update={"tenant": tenant})) as ledger:
            history = History(random.Random(seed))  # noqa: S311
            history.go_on(ledger, 500)
            runs.append(history.runs[0])
            if tenant == THEIRS:
                ledger.fold()
                ledger.make_schema("by_then", processes=1)
                ledger.make_schema("along", branch=runs[-1], processes=1)
    return Shared(database, runs[0])


@pytest.mark.fault("I8")
def test_a_query_that_forgets_the_tenant_is_shown_that_tenants_rows_of_every_read_model(shared: Shared) -> None:
    relations = [f"{schema}.{name}" for name in known() for schema in ("runfold_read", f"runfold_{name}_1", "by_then")]
    assert len(relations) >= 33
    for relation in relations:
        everything = shared.shown(relation, "*")
        assert everything.keys() == {MINE, THEIRS}, relation
        for tenant in (MINE, THEIRS):
            assert shared.shown(relation, tenant) == {tenant: everything[tenant]}, relation
            assert shared.shown(relation, tenant, "runfold_reader") == {tenant: everything[tenant]}, relation
        assert shared.shown(relation, "nobody") == {}, relation
        assert shared.shown(relation, None, "runfold_reader") == everything, relation
        assert shared.shown(relation, None, "runfold_projector") == everything, relation
        with pytest.raises(errors.UndefinedObject, match=r"runfold\.tenant"):
            shared.shown(relation, None)


@pytest.mark.fault("I8")
def test_a_schema_along_a_branch_is_shown_to_the_tenant_of_the_branch_alone(shared: Shared) -> None:
    filled = [name for name in known() if shared.shown(f"along.{name}", "*")]
    assert len(filled) > 5
    for name in filled:
        assert shared.shown(f"along.{name}", THEIRS) == shared.shown(f"along.{name}", "*"), name
        assert shared.shown(f"along.{name}", MINE) == {}, name
        with pytest.raises(errors.UndefinedObject):
            shared.shown(f"along.{name}", None)


def test_a_view_of_ones_own_on_top_shows_what_its_owner_may_see(shared: Shared) -> None:
    with psycopg.connect(shared.database.admin_url, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA reports AUTHORIZATION runfold_reader")
        admin.execute("SET ROLE runfold_reader")
        admin.execute("CREATE VIEW reports.runs AS SELECT * FROM runfold_read.run_summaries")
    assert shared.shown("reports.runs", None, "runfold_reader").keys() == {MINE, THEIRS}
    assert shared.shown("reports.runs", MINE, "runfold_reader").keys() == {MINE}


def tear_down(database: TestDatabase) -> None:
    """Make the read models as they were before there was a wall."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        tables = admin.execute(
            "SELECT c.oid::regclass::text, c.relkind = 'v' FROM pg_class AS c WHERE c.relkind IN ('r', 'v')"
            " AND pg_get_userbyid(c.relowner) = 'runfold_projector'"
        ).fetchall()
        for name, is_view in tables:
            if is_view:
                admin.execute(f"ALTER VIEW {name} RESET (security_invoker)")
                continue
            for policy in ("known_roles", "tenant_of_app", "tenant_of_reader"):
                admin.execute(f"DROP POLICY {policy} ON {name}")
            admin.execute(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY")


def unwalled(database: TestDatabase) -> int:
    with psycopg.connect(database.projector_url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM runfold.unwalled").fetchone() or (0,)
        return int(count)


@pytest.mark.fault("I8")
def test_what_was_made_before_there_was_a_wall_gets_it_from_the_next_worker_without_a_rebuild(
    shared: Shared, settings: Settings
) -> None:
    assert unwalled(shared.database) == 0
    tear_down(shared.database)
    assert unwalled(shared.database) == 4 * sum(1 + len(projection.totals) for projection in known().values())
    assert shared.shown("runfold_read.run_summaries", MINE).keys() == {MINE, THEIRS}
    with Books(shared.database.projector_url) as books:
        before = [(model.name, model.generation, model.position) for model in books.models()]
        with Ledger.open(settings=settings) as ledger:
            ledger.fold("run_summaries")
        assert [(model.name, model.generation, model.position) for model in books.models()] == before
    assert unwalled(shared.database) == 0
    for schema in ("runfold_read", "runfold_run_summaries_1", "by_then"):
        assert shared.shown(f"{schema}.run_summaries", MINE).keys() == {MINE}


def test_a_table_that_is_read_just_now_gets_its_wall_later_and_holds_up_nobody(
    database: TestDatabase, fill: Fill, work: Work
) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    tear_down(database)
    projector = connect(Datastore(database.projector_url))
    with psycopg.connect(database.projector_url) as report:
        report.execute("SELECT count(*) FROM runfold_tally_1.tally")
        assert generations.bring_up_to_date(projector) is False
        assert unwalled(database) > 0
        work({"tally": Tally()}).catch_up()
    assert generations.bring_up_to_date(projector) is True
    assert unwalled(database) == 0
    projector.close()


def test_the_next_generation_has_its_wall_when_people_see_it(
    database: TestDatabase, fill: Fill, work: Work, settings: Settings
) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    work({"tally": SecondTally()}).catch_up()
    assert unwalled(database) == 0
    store = Datastore(database.url)
    with ReadModels(store, "stranger").reading("tally") as snapshot:
        assert snapshot.query("SELECT count(*) FROM {tally}") == [(0,)]
    with ReadModels(store, settings.tenant).reading("tally") as snapshot:
        assert snapshot.query("SELECT count(*) > 0 FROM {tally}") == [(True,)]
    store.close()
