"""A read model's table: its columns hold what its rows hold, and people may read it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from runfold.domain.tool_call import ToolCalled
from runfold.projections.columns import columns_of
from runfold.projections.fold import Standing
from runfold.projections.projection import Projection, Row
from runfold.projections.registry import checked
from runfold.projector.connection import connect
from runfold.projector.tables import views
from runfold.projector.tables.invalid_rows import InvalidRow
from runfold.projector.tables.schemas import creation
from runfold.projector.tables.table import READ_SCHEMA, Table
from runfold.store.datastore import Connection, Datastore
from tests.databases import TestDatabase
from tests.domain.steady import STEADY
from tests.projector.conftest import Fill, Work
from tests.projector.soundness import Books
from tests.projector.toys import Everything, EveryType, OpenCalls, Tally
from tests.projector.ways import new_site
from tests.promises.any_event import AMOUNTS, TEXT

INTS = st.integers(-(2**63), 2**63 - 1)
MOMENTS = st.datetimes(datetime(1, 1, 2), timezones=st.just(UTC))  # the zone is the other parameter
DAYS = st.dates()
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | INTS | st.floats(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
FACTS = st.dictionaries(TEXT, JSON, max_size=3)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "number": INTS,
    "flag": st.booleans(),
    "ratio": FLOATS,
    "amount": AMOUNTS,
    "moment": MOMENTS,
    "day": DAYS,
    "choice": st.sampled_from(["a", "b"]),
    "texts": st.lists(TEXT, max_size=3).map(tuple),
    "numbers": st.lists(INTS, max_size=3).map(tuple),
    "facts": FACTS,
    "places": st.dictionaries(TEXT, st.fixed_dictionaries({"at": st.none() | INTS, "said": st.none() | TEXT}), max_size=2),
}
ROWS = st.fixed_dictionaries(
    {"text_key": TEXT, "number_key": INTS, "day_key": DAYS},
    optional={**MEMBERS, **{f"{name}_or_none": st.none() | values for name, values in MEMBERS.items()}},
).map(lambda fields: EveryType(**fields))


@pytest.fixture(scope="module")
def url(admin_url: str, template: str) -> str:
    """A database with the table of rows with every type."""
    site = new_site(admin_url, template, "tables")
    with closing(connect(Datastore(site.url))) as connection:
        made = Table(Everything(), 1)
        connection.execute(creation(READ_SCHEMA))
        made.create(connection)
        made.add_key(connection)
        made.create_indexes(connection)
        views.show(connection, made)
    return site.url


@pytest.fixture
def projector(url: str) -> Iterator[Connection]:
    with closing(connect(Datastore(url))) as connection:
        yield connection


@pytest.fixture
def table(projector: Connection) -> Table[EveryType]:
    """The table, with nothing in it."""
    projector.execute("TRUNCATE runfold_everything_1.everything")
    return Table(Everything(), 1)


def key_of(row: EveryType) -> tuple[Any, ...]:
    return ("default", row.text_key, row.number_key, row.day_key)


def test_any_row_comes_back_as_it_was_written(table: Table[EveryType], projector: Connection) -> None:
    @settings(STEADY, max_examples=STEADY.max_examples)
    @given(st.lists(ROWS, min_size=1, max_size=3, unique_by=key_of))
    def come_back(rows: list[EveryType]) -> None:
        changed = {key_of(row): Standing(row, 7) for row in rows}
        table.write(projector, changed)
        found = table.load(projector, changed)
        assert found == {key: standing.row for key, standing in changed.items()}
        table.require_kept(projector, changed)

    come_back()


def test_amounts_keep_every_digit_and_times_every_microsecond(table: Table[EveryType], projector: Connection) -> None:
    exact = {
        "amount": Decimal("12345678901234567890.123456789012345678901234567890"),
        "amount_or_none": Decimal("1.10"),
        "moment": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "moment_or_none": datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        "ratio": 0.1 + 0.2,
    }
    row = EveryType(text_key="a", number_key=1, day_key=date(2026, 1, 1), **exact)
    table.write(projector, {key_of(row): Standing(row, 1)})
    (found,) = table.load(projector, [key_of(row)]).values()
    assert {name: getattr(found, name) for name in exact} == exact
    assert (str(found.amount), str(found.amount_or_none)) == (str(exact["amount"]), "1.10")
    shown = projector.execute("SELECT amount::text, moment_or_none AT TIME ZONE 'UTC' AS at FROM runfold_read.everything")
    assert list((shown.fetchone() or {}).values()) == [str(exact["amount"]), datetime(2026, 6, 1, 6, 30)]


def test_a_row_is_replaced_and_removed_by_its_whole_key(table: Table[EveryType], projector: Connection) -> None:
    rows = [EveryType(text_key=text, number_key=1, day_key=date(2026, 1, day)) for text in "ab" for day in (1, 2)]
    keys = [key_of(row) for row in rows]
    table.write(projector, {key: Standing(row, 1) for key, row in zip(keys, rows, strict=True)})
    table.write(projector, {keys[0]: Standing(rows[0].but(text="new"), 2), keys[1]: Standing(None, 2)})
    assert table.load(projector, keys) == {keys[0]: rows[0].but(text="new"), keys[2]: rows[2], keys[3]: rows[3]}
    other = {("other", *key[1:]): Standing(row, 3) for key, row in zip(keys, rows, strict=True)}
    table.write(projector, other)
    table.write(projector, {key: Standing(None, 4) for key in keys})
    assert table.load(projector, [*keys, *other]).keys() == other.keys(), "another tenant's rows stay"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"number": "1"}, r"the row \('a', 1, .* has number = '1': Input should be a valid integer"),
        ({"flag": 1}, "has flag = 1: Input should be a valid boolean"),
        ({"choice": "c"}, "has choice = 'c': Input should be 'a' or 'b'"),
        ({"texts": ["a"]}, r"has texts = \['a'\]: Input should be a valid tuple"),
        ({"texts": ("a", 1)}, r"has texts.1 = 1: Input should be a valid string"),
        ({"ratio": float("nan")}, "has ratio = nan: Input should be a finite number"),
        ({"amount": Decimal("NaN")}, r"has amount = Decimal\('NaN'\): Input should be a finite number"),
        ({"day": datetime(2026, 1, 1, tzinfo=UTC)}, "has day = .*: Input should be a valid date"),
        ({"text": "\ud800"}, "a row holds what JSON cannot: .*surrogates not allowed"),
        ({"facts": {"a": object()}}, "a row holds what JSON cannot: .*Unable to serialize unknown type"),
        ({"facts": {1: "a"}}, r"has facts.1.\[key\] = 1: Input should be a valid string"),
        ({"text_key": "b"}, r"evolve changed the key of the row \('a', 1, .*; a row keeps its key for ever"),
        ({"unknown": 1}, "has unknown = 1: Extra inputs are not permitted"),
    ],
)
def test_a_row_that_its_class_refuses_is_not_written(
    table: Table[EveryType], projector: Connection, fields: dict[str, Any], said: str
) -> None:
    row = EveryType(text_key="a", number_key=1, day_key=date(2026, 1, 1))
    with pytest.raises(InvalidRow, match=said):
        table.write(projector, {key_of(row): Standing(row.but(**fields), 1)})
    assert table.load(projector, [key_of(row)]) == {}


@pytest.mark.parametrize(
    "fields", [{"number": 2**63}, {"text": "a\0b"}, {"amount": Decimal("1E+200000")}], ids=["bigint", "nul", "numeric"]
)
def test_a_value_that_its_column_cannot_hold_is_a_fault_of_the_data(
    table: Table[EveryType], projector: Connection, fields: dict[str, Any]
) -> None:
    row = EveryType(text_key="a", number_key=1, day_key=date(2026, 1, 1))
    with pytest.raises(psycopg.DataError):
        table.write(projector, {key_of(row): Standing(row.but(**fields), 1)})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"moment": datetime(2026, 1, 1)}, r"has moment = datetime.*, which its column gives back as .*utc"),
        ({"facts": {"at": (1, 2)}}, r"has facts = {'at': \(1, 2\)}, which its column gives back as {'at': \[1, 2\]}"),
        ({"facts": {"at": Decimal("1.5")}}, r"which its column gives back as {'at': '1.5'}"),
        ({"facts": {"at": float("nan")}}, "which its column gives back as {'at': None}"),
        ({"facts": {"at": 3**200}}, "which its column gives back as"),
    ],
)
def test_a_value_that_comes_back_as_another_is_noticed(
    table: Table[EveryType], projector: Connection, fields: dict[str, Any], said: str
) -> None:
    row = EveryType(text_key="a", number_key=1, day_key=date(2026, 1, 1)).but(**fields)
    changed = {key_of(row): Standing(row, 1)}
    table.write(projector, changed)
    with pytest.raises(InvalidRow, match=said):
        table.require_kept(projector, changed)


def test_columns_say_their_types_and_what_they_mean(database: TestDatabase, fill: Fill, work: Work, books: Books) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    columns = books.connection.execute(
        "SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS never_null,"
        " col_description(a.attrelid, a.attnum) AS comment FROM pg_attribute AS a"
        " WHERE a.attrelid = 'runfold_tally_1.tally'::regclass AND a.attnum > 0 ORDER BY a.attnum"
    ).fetchall()
    assert [tuple(column.values()) for column in columns] == [
        ("tenant_id", "text", True, "Whose it is"),
        ("run_id", "text", True, "The run."),
        ("calls", "bigint", True, "Tool calls asked for."),
        ("messages", "bigint", True, "Messages added."),
        ("seen", "bigint[]", True, "The positions of its events, in the order in which they came."),
        ("position", "bigint", True, "Position of the last event that changed the row"),
    ]
    said = books.connection.execute(
        "SELECT obj_description('runfold_tally_1.tally'::regclass) AS table,"
        " obj_description('runfold_read.tally'::regclass) AS view"
    ).fetchone()
    assert set((said or {}).values()) == {"One row per run: what it did, and the positions of it."}


def test_every_type_has_a_column_that_is_null_only_where_the_field_may_be_none(table: Table[EveryType]) -> None:
    types = {column.name: (column.type, column.nullable) for column in table.columns}
    assert {name: kind for name, (kind, _) in types.items() if not name.endswith(("_key", "_or_none"))} == {
        "tenant_id": "text",
        "text": "text",
        "number": "bigint",
        "flag": "boolean",
        "ratio": "double precision",
        "amount": "numeric",
        "moment": "timestamptz",
        "day": "date",
        "choice": "text",
        "texts": "text[]",
        "numbers": "bigint[]",
        "facts": "jsonb",
        "places": "jsonb",
        "position": "bigint",
    }
    assert all(nullable == name.endswith("_or_none") for name, (_, nullable) in types.items())
    assert all(types[name] == (types[f"{name}_or_none"][0], False) for name in MEMBERS)


def test_indexes_begin_with_the_tenant_end_with_the_key_and_ids_sort_by_their_bytes(
    table: Table[EveryType], projector: Connection
) -> None:
    found = projector.execute(
        "SELECT replace(indexdef, 'runfold_everything_1.everything ', '') AS is FROM pg_indexes"
        " WHERE schemaname = 'runfold_everything_1' ORDER BY indexname"
    )
    definitions = [row["is"].partition(" ON ")[2] for row in found]
    assert sorted(definitions) == [
        "USING btree (tenant_id, facts, text_key, number_key, day_key)",
        "USING btree (tenant_id, moment, text, text_key, number_key, day_key)",
        "USING btree (tenant_id, text_key, number_key, day_key)",
        "USING btree (tenant_id, texts, text_key, number_key, day_key)",
    ]
    rows = [EveryType(text_key=text, number_key=1, day_key=date(2026, 1, 1)) for text in ("b", "a", "Z", "é", "_")]
    table.write(projector, {key_of(row): Standing(row, 1) for row in rows})
    texts = [row["text_key"] for row in projector.execute("SELECT text_key FROM runfold_read.everything ORDER BY text_key")]
    assert texts == ["Z", "_", "a", "b", "é"]


@pytest.mark.parametrize("role", ["runfold_app", "runfold_reader"])
def test_people_and_programs_may_read_a_read_model_and_not_write_it(
    database: TestDatabase, fill: Fill, work: Work, role: str
) -> None:
    fill()
    work({"tally": Tally()}).catch_up()
    with psycopg.connect(make_conninfo(database.url, user=role), autocommit=True, options="-c runfold.tenant=*") as connection:
        for relation in ("runfold_read.tally", "runfold_tally_1.tally"):
            assert connection.execute(f"SELECT count(*) FROM {relation}").fetchone() == (3,)
            for statement in (
                f"INSERT INTO {relation} SELECT * FROM {relation}",
                f"UPDATE {relation} SET calls = 0",
                f"DELETE FROM {relation}",
                f"DROP VIEW {relation}",
                "DELETE FROM runfold.checkpoints",
                "UPDATE runfold.receipts SET events = 0",
                "DELETE FROM runfold.troubles",
                "CREATE VIEW runfold_read.mine AS SELECT 1",
            ):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType)):
                    connection.execute(statement)
        assert connection.execute("SELECT name, position FROM runfold.read_positions").fetchall() == [("tally", 33)]


def test_the_projector_writes_read_models_and_never_the_log(database: TestDatabase, fill: Fill) -> None:
    fill()
    with psycopg.connect(database.projector_url, autocommit=True) as connection:
        for statement in ("DELETE FROM runfold.log", "UPDATE runfold.head SET position = 0", "SELECT runfold.append()"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction)):
                connection.execute(statement)


@pytest.mark.parametrize("name", ["user", "order", "group", "x" * 39, "a__1"])
def test_any_name_that_is_allowed_makes_a_table(projector: Connection, name: str) -> None:
    odd = type("Odd", (OpenCalls,), {"name": name, "__doc__": 'It\'s 100 % "odd".'})()
    made = Table(odd, 12)
    made.create(projector)
    made.add_key(projector)
    made.create_indexes(projector)
    views.show(projector, made)
    row = OpenCalls.row(call_id="c")  # type: ignore[attr-defined]  # said in the class
    made.write(projector, {("default", "c"): Standing(row, 1)})
    assert projector.execute(f'SELECT call_id FROM runfold_read."{name}"').fetchall() == [{"call_id": "c"}]
    made.drop(projector)
    assert projector.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'runfold%%12'").fetchall() == []


class NamesRow(Row):
    """Columns of all kinds of names."""

    t: str
    k: int
    run: int = 0
    id: int = 0
    run_id: str = ""
    Run_id: str = ""
    old: str = ""
    select: str = ""
    tenant: str = ""
    größe: float = 0.0  # noqa: PLC2401  a name of an analyst's
    a_name_as_long_as_a_column_of_a_table_in_postgresql_can_be_: str = ""
    a_name_as_long_as_a_column_of_a_table_in_postgresql_can_be1: str = ""


class Names(Projection[NamesRow]):
    """Rows of columns of all kinds of names, with indexes whose columns joined give the same name, and one twice."""

    name, row, key, events = "names", NamesRow, ("t", "k"), (ToolCalled,)
    indexes = (("run", "id"), ("run_id",), ("run_id",), ("Run_id",), *((name,) for name in NamesRow.model_fields))


def test_any_names_of_columns_that_are_allowed_make_a_table_with_each_of_its_indexes_once(projector: Connection) -> None:
    made = Table(checked(Names()), 12)
    made.create(projector)
    made.add_key(projector)
    made.create_indexes(projector)
    views.show(projector, made)
    row = NamesRow(t="a", k=1)
    changed = {("default", "a", 1): Standing(row.but(select="b", größe=0.5), 1)}
    made.write(projector, changed)
    made.require_kept(projector, changed)
    (found,) = projector.execute("SELECT count(*) AS indexes FROM pg_indexes WHERE schemaname = 'runfold_names_12'").fetchall()
    assert found["indexes"] == 1 + made.index_count == 1 + len({*Names.indexes})
    made.drop(projector)


def test_a_field_that_no_column_can_hold_is_named() -> None:
    class Odd(Row):
        pairs: tuple[str, int]

    with pytest.raises(TypeError, match=r"Odd.pairs is tuple\[str, int\], for which there is no column type; use str, int"):
        columns_of(Odd)
