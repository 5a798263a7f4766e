"""What people make over a read model outlives its tables: their views go on, or the new table is refused by their names."""

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any, ClassVar

import psycopg
import pytest
from psycopg.rows import tuple_row
from pydantic import Field, create_model

from runfold import Ledger
from runfold.domain.run_events import RunStarted
from runfold.errors import DependentView, RebuildRefused
from runfold.projections.projection import Projection, Row
from runfold.projector.connection import connect
from runfold.projector.tables import generations, views
from runfold.projector.tables.schemas import creation
from runfold.projector.tables.table import READ_SCHEMA, Table
from runfold.store.datastore import Connection, Datastore
from tests.databases import TestDatabase
from tests.projector.conftest import Fill, Rebuilding
from tests.projector.rebuilding.rebuilds import leftovers
from tests.projector.soundness import Books, require_sound
from tests.projector.toys import Tally, WideTally

COLUMNS = [f"c{number}" for number in range(6)]
KINDS: tuple[Any, ...] = (str | None, int | None, tuple[str, ...] | None)
VALUES = {KINDS[0]: "text", KINDS[1]: 7, KINDS[2]: ("a", "b")}


class Shapes(Projection[Any]):
    """Rows that have other columns in each version."""

    name, row, key, events = "shapes", Row, ("id",), (RunStarted,)
    kinds: ClassVar[dict[str, Any]] = {}


def shaped(kinds: dict[str, Any]) -> Shapes:
    """One version: its columns, in their order."""
    fields: dict[str, Any] = {
        name: (kind, Field(None, description=f"What {name} holds")) for name, kind in kinds.items() if name != "id"
    }
    row = create_model("Shape", __base__=Row, id=(str, Field(description="The row")), **fields)
    return type("Shaped", (Shapes,), {"__doc__": Shapes.__doc__, "row": row, "kinds": kinds})()


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(database.admin_url, autocommit=True, row_factory=tuple_row) as connection:
        connection.execute("CREATE SCHEMA reports")
        yield connection


@pytest.fixture
def projector(database: TestDatabase) -> Iterator[Connection]:
    with closing(connect(Datastore(database.projector_url))) as connection:
        connection.execute(creation(READ_SCHEMA))
        yield connection


def stored(kind: Any) -> Any:
    """What a column of this kind holds, as the database takes and gives it."""
    return list(value) if isinstance(value := VALUES[kind], tuple) else value


def made(projector: Connection, projection: Shapes, generation: int) -> Table[Any]:
    """Its table, with one row."""
    table: Table[Any] = Table(projection, generation)
    table.create(projector)
    table.add_key(projector)
    table.create_indexes(projector)
    names = ["tenant_id", "position", "id", *projection.kinds]
    values = ["default", generation, "x", *(stored(kind) for kind in projection.kinds.values())]
    marks = ", ".join(["%s"] * len(names))
    projector.execute(f"INSERT INTO {table.schema}.shapes ({', '.join(names)}) VALUES ({marks})", values)
    return table


def columns_of(admin: psycopg.Connection[tuple[Any, ...]], view: str) -> list[str]:
    found = admin.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", [view])
    return [name for (name,) in found]


def changed(chance: random.Random, kinds: dict[str, Any]) -> dict[str, Any]:
    """A version later: columns are added, moved, taken away, or have another type."""
    names = chance.sample(COLUMNS, chance.randint(1, len(COLUMNS)))
    return {name: kinds[name] if name in kinds and chance.random() < 0.9 else chance.choice(KINDS) for name in names}


class Analyst:
    """Makes views, grants and comments over what is there."""

    def __init__(self, admin: psycopg.Connection[tuple[Any, ...]], chance: random.Random) -> None:
        self.admin, self.chance = admin, chance
        self.views: dict[str, dict[str, Any]] = {}
        self.number = 0

    def make(self, kinds: dict[str, Any]) -> None:
        taken = self.chance.sample(list(kinds), self.chance.randint(1, min(2, len(kinds))))
        self.number += 1
        name = f"reports.own_{self.number}"
        kind = self.chance.choice(["VIEW", "VIEW", "MATERIALIZED VIEW"])
        self.admin.execute(f"CREATE {kind} {name} AS SELECT {', '.join(taken)}, position FROM runfold_read.shapes")
        self.admin.execute(f"GRANT SELECT ON {name} TO runfold_reader")
        self.admin.execute(f"COMMENT ON COLUMN {name}.{taken[0]} IS 'mine'")
        self.views[name] = {name: kinds[name] for name in taken}

    def drop(self, name: str) -> None:
        kind = "MATERIALIZED VIEW" if self.is_stored(name) else "VIEW"
        self.admin.execute(f"DROP {kind} {name}")
        del self.views[name]

    def is_stored(self, name: str) -> bool:
        return self.admin.execute("SELECT relkind = 'm' FROM pg_class WHERE oid = %s::regclass", [name]).fetchone() == (True,)

    def require_whole(self, generation: int) -> None:
        """Each gives what the table in use holds, with its grants and comments."""
        for name, taken in self.views.items():
            if self.is_stored(name):
                self.admin.execute(f"REFRESH MATERIALIZED VIEW {name}")
            values = [stored(kind) for kind in taken.values()]
            assert self.admin.execute(f"SELECT * FROM {name}").fetchall() == [(*values, generation)]
            assert self.admin.execute(
                "SELECT has_table_privilege('runfold_reader', %s, 'SELECT'), col_description(%s::regclass, 1)", [name, name]
            ).fetchone() == (True, "mine")


def next_table(projector: Connection, analyst: Analyst, kinds: dict[str, Any], generation: int) -> None:
    """Put a new version in use. What an analyst's view takes and it lacks must be named, and nothing be changed."""
    table = made(projector, shaped(kinds), generation)
    while True:
        lacking = {name for name, taken in analyst.views.items() if not taken.items() <= kinds.items()}
        try:
            with projector.transaction():
                views.show(projector, table)
        except DependentView as error:
            (named,) = (name for name in lacking if f"view {name} takes" in str(error))
            analyst.require_whole(generation - 1)
            analyst.drop(named)
        else:
            assert lacking == set()
            return


@pytest.mark.parametrize("seed", [1, 2, pytest.param(3, marks=pytest.mark.long), pytest.param(4, marks=pytest.mark.long)])
def test_whatever_becomes_of_its_columns_views_over_it_go_on_or_are_named(
    projector: Connection, admin: psycopg.Connection[tuple[Any, ...]], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    analyst = Analyst(admin, chance)
    kinds = changed(chance, {})
    for generation in range(1, 25):
        next_table(projector, analyst, kinds, generation)
        assert set(columns_of(admin, "runfold_read.shapes")) == {"tenant_id", "position", "id", *kinds}
        assert columns_of(admin, "runfold_read.shapes")[:2] == ["tenant_id", "position"]
        analyst.require_whole(generation)
        bare = admin.execute(
            "SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid WHERE attnum > 0"
            " AND relnamespace = 'runfold_read'::regnamespace AND col_description(attrelid, attnum) IS NULL"
        ).fetchall()
        assert bare == []
        if not analyst.views:
            assert [view.name for view in views.views_of(projector, "shapes")] == ["shapes"]
            assert columns_of(admin, "runfold_read.shapes") == ["tenant_id", "position", "id", *kinds]
        if chance.random() < 0.6:
            analyst.make(kinds)
        elif analyst.views:
            analyst.drop(chance.choice(list(analyst.views)))
        kinds = changed(chance, kinds)


def test_what_was_granted_on_the_view_itself_is_granted_on_the_next_one(
    projector: Connection, admin: psycopg.Connection[tuple[Any, ...]]
) -> None:
    with projector.transaction():
        views.show(projector, made(projector, shaped({"c0": KINDS[0], "c1": KINDS[1]}), 1))
    admin.execute('CREATE ROLE "an analyst\'s"')
    try:
        admin.execute('GRANT SELECT ON runfold_read.shapes TO "an analyst\'s" WITH GRANT OPTION')
        admin.execute("GRANT SELECT (c1) ON runfold_read.shapes TO PUBLIC")
        with projector.transaction():
            views.show(projector, made(projector, shaped({"c1": KINDS[1]}), 2))
        found = admin.execute("SELECT relacl::text FROM pg_class WHERE oid = 'runfold_read.shapes'::regclass").fetchone()
        assert found is not None
        assert "an analyst's\\\"=r*/runfold_projector" in found[0]
        assert admin.execute(
            "SELECT attacl::text FROM pg_attribute WHERE attrelid = 'runfold_read.shapes'::regclass AND attname = 'c1'"
        ).fetchone() == ("{=r/runfold_projector}",)
    finally:
        admin.execute('DROP OWNED BY "an analyst\'s"')
        admin.execute('DROP ROLE "an analyst\'s"')


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW reports.rows AS SELECT s FROM runfold_read.shapes AS s",
        "CREATE FUNCTION reports.total() RETURNS bigint BEGIN ATOMIC SELECT sum(c1) FROM runfold_read.shapes; END",
        "CREATE FUNCTION reports.first(runfold_read.shapes) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$",
    ],
    ids=["whole rows", "a function", "the type of a row"],
)
def test_whatever_else_takes_a_column_that_goes_is_named(
    projector: Connection, admin: psycopg.Connection[tuple[Any, ...]], statement: str
) -> None:
    with projector.transaction():
        views.show(projector, made(projector, shaped({"c0": KINDS[0], "c1": KINDS[1]}), 1))
    admin.execute(statement)
    with pytest.raises(DependentView, match=r"^shapes no longer has c1, which (view|function) reports\.\S+ takes from it, so"):
        views.show(projector, made(projector, shaped({"c0": KINDS[0]}), 2))
    with pytest.raises(DependentView, match=r"^shapes has another type for c1, which"):
        views.show(projector, made(projector, shaped({"c0": KINDS[0], "c1": KINDS[0]}), 3))
    with projector.transaction():
        views.show(projector, made(projector, shaped({"c2": KINDS[0], "c1": KINDS[1], "c0": KINDS[0]}), 4))


def test_a_rebuild_is_refused_before_it_begins_and_the_view_named(
    database: TestDatabase, rebuild: Rebuilding, fill: Fill, books: Books, admin: psycopg.Connection[tuple[Any, ...]]
) -> None:
    fill(2)
    rebuild(WideTally())
    admin.execute("CREATE VIEW reports.troubled AS SELECT run_id FROM runfold_read.tally WHERE errors > 0")
    with pytest.raises(DependentView, match=r"tally no longer has errors, which view reports.troubled takes from it, so the tab"):
        rebuild(Tally())
    assert leftovers(books) == []
    require_sound(books.url, [WideTally()])
    admin.execute("CREATE OR REPLACE VIEW reports.troubled AS SELECT run_id FROM runfold_read.tally WHERE calls > 0")
    rebuild(Tally())
    require_sound(books.url, [Tally()])
    assert admin.execute("SELECT count(*) FROM reports.troubled").fetchone() == (2,)


def test_a_view_over_a_table_instead_of_the_read_model_is_not_dropped_with_it(
    rebuild: Rebuilding, fill: Fill, books: Books, admin: psycopg.Connection[tuple[Any, ...]]
) -> None:
    fill(2)
    rebuild(Tally())
    admin.execute("CREATE VIEW reports.low AS SELECT run_id FROM runfold_tally_1.tally")
    rebuild(Tally())
    with pytest.raises(DependentView, match=r"tally stays as it is: view reports.low is made over runfold_tally_1.tally, which"):
        rebuild(Tally())
    assert admin.execute("SELECT count(*) FROM reports.low").fetchone() == (2,)
    assert books.model("tally").generation == 2
    admin.execute("DROP VIEW reports.low")
    assert generations.is_being_rebuilt(books.connection, "tally") is False


def test_a_schema_of_the_past_is_not_dropped_under_somebodys_view(
    ledger: Ledger, fill: Fill, admin: psycopg.Connection[tuple[Any, ...]]
) -> None:
    fill(1)
    ledger.make_schema("before", "threads")
    admin.execute("CREATE VIEW reports.later AS SELECT thread_id FROM before.threads")
    with pytest.raises(RebuildRefused, match=r"before stays as it is: view reports.later is made over before.threads, whi"):
        ledger.drop_schema("before")
    assert admin.execute("SELECT count(*) FROM reports.later").fetchone() == (1,)
    admin.execute("DROP VIEW reports.later")
    ledger.drop_schema("before")
