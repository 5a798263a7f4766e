"""Read models as files: the whole table, as of one position."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from runfold import Ledger, Projection, Row
from runfold.domain.tool_call import ToolCalled
from runfold.errors import ExportRefused, ProjectionNotFound, ReadModelBehind, UsageError
from runfold.export.exporting import export
from runfold.projections.registry import known
from tests.databases import TestDatabase
from tests.export.conftest import record
from tests.export.reading import Rows, rows_of, said_by, types_of


class Exact(Row):
    """A number that Parquet cannot keep."""

    tool: str
    share: Decimal = Decimal(0)


class Shares(Projection[Exact]):
    """Divides by seven."""

    name, row, key, events = "shares", Exact, ("tool",), (ToolCalled,)

    def keys(self, recorded: Any) -> Iterator[tuple[str]]:
        yield (recorded.event.name,)

    def evolve(self, row: Exact, recorded: Any) -> Exact:
        return row.but(share=row.share + Decimal(1) / 7)


@pytest.fixture
def folded(recorded: Ledger) -> Ledger:
    recorded.fold()
    return recorded


def stored(database: TestDatabase, table: str) -> Rows:
    """The rows of a read model, in the order of keys."""
    key = ", ".join(f'"{name}"' for name in ("tenant_id", *known()[table].key))
    with psycopg.connect(database.url, row_factory=dict_row, options="-c runfold.tenant=*") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT * FROM runfold_read.{table} ORDER BY {key}").fetchall()


def test_parquet_holds_every_row_of_every_read_model_with_its_values(folded: Ledger, database: TestDatabase, to: Path) -> None:
    for table, projection in known().items():
        export(folded, table, "parquet", to, rows_per_part=2)
        rows, said = rows_of(to / table), said_by(to / table)
        json_columns = [column.name for column in said.columns if column.type == "jsonb"]
        for row in rows:
            row.update({name: row[name] and json.loads(row[name]) for name in json_columns})
        assert rows == stored(database, table)
        assert (said.as_of, said.first_position, said.last_position) == (folded.position(), 1, folded.position())
        assert (said.table, said.schema_version, said.rows) == (table, projection.version, len(rows))


def test_costs_are_exact_in_each_format(folded: Ledger, database: TestDatabase, to: Path) -> None:
    expected = [(row["reported_cost"], row["other_costs"], row["day"]) for row in stored(database, "usage")]
    assert Decimal("0.000000000000000001") in {cost for cost, _, _ in expected}, "with all the digits that a cost may have"
    for kind in ("parquet", "jsonl", "csv"):
        export(folded, "usage", kind, to / kind)
    read = {kind: rows_of(to / kind / "usage") for kind in ("parquet", "jsonl", "csv")}
    assert [row["reported_cost"] for row in read["parquet"]] == [cost for cost, _, _ in expected]
    for kind in ("jsonl", "csv"):
        assert [Decimal(row["reported_cost"]) for row in read[kind]] == [cost for cost, _, _ in expected]
    assert [row["other_costs"] for row in read["jsonl"]] == [other for _, other, _ in expected]
    assert [row["day"] for row in read["csv"]] == [day.isoformat() for _, _, day in expected]
    assert types_of(to / "parquet" / "usage")["reported_cost"] == "DECIMAL(38,18)"


def test_lists_stay_lists(folded: Ledger, database: TestDatabase, to: Path) -> None:
    expected = [row["tools_used"] for row in stored(database, "run_summaries")]
    assert ["look_up"] in expected
    for kind in ("parquet", "jsonl"):
        export(folded, "run_summaries", kind, to / kind)
        assert [row["tools_used"] for row in rows_of(to / kind / "run_summaries")] == expected
    export(folded, "run_summaries", "csv", to / "csv")
    assert [json.loads(row["tools_used"]) for row in rows_of(to / "csv" / "run_summaries")] == expected


def test_a_table_takes_the_place_of_the_one_before_as_a_whole(folded: Ledger, database: TestDatabase, to: Path) -> None:
    first = export(folded, "messages", "jsonl", to, rows_per_part=10)
    again = export(folded, "messages", "jsonl", to, rows_per_part=10)
    assert (again.manifest, again.new_parts, again.new_rows) == (first.manifest, 0, 0)
    record(folded, 2)
    assert export(folded, "messages", "jsonl", to, rows_per_part=10).new_parts == 0, "the read model is where it was"
    folded.fold()
    more = export(folded, "messages", "jsonl", to, rows_per_part=10)
    assert more.new_rows == more.manifest.rows == len(stored(database, "messages"))
    assert [row["message_id"] for row in rows_of(to / "messages")] == [row["message_id"] for row in stored(database, "messages")]
    assert {path.name for path in to.iterdir()} == {"messages", ".messages.lock"}


def test_other_parts_are_made_where_they_are_asked_for(folded: Ledger, to: Path) -> None:
    export(folded, "messages", "jsonl", to, rows_per_part=10)
    assert {part.rows for part in export(folded, "messages", "jsonl", to, rows_per_part=5).manifest.parts} == {5}


def test_an_empty_read_model_is_an_empty_export(ledger: Ledger, to: Path) -> None:
    ledger.fold("usage")
    assert export(ledger, "usage", "parquet", to).manifest.rows == 0
    assert said_by(to / "usage").parts == ()


def test_rows_of_other_tenants_are_left_out_unless_asked_for(folded: Ledger, neighbour: Ledger, to: Path) -> None:
    record(neighbour, 1)
    folded.fold()
    export(folded, "usage", "jsonl", to)
    assert {row["tenant_id"] for row in rows_of(to / "usage")} == {"default"}
    export(folded, "usage", "jsonl", to / "all", all_tenants=True)
    assert {row["tenant_id"] for row in rows_of(to / "all" / "usage")} == {"default", "neighbour"}


def test_a_projection_of_ones_own_is_exported_by_its_name(recorded: Ledger, to: Path) -> None:
    recorded.fold("tests.export.test_tables:Shares")
    assert export(recorded, "shares", "csv", to).new_rows == 1
    assert export(recorded, "tests.export.test_tables:Shares", "csv", to).new_rows == 0
    assert [row["tool"] for row in rows_of(to / "shares")] == ["look_up"]


def test_parquet_refuses_to_cut_digits(recorded: Ledger, to: Path) -> None:
    recorded.fold("tests.export.test_tables:Shares")
    with pytest.raises(ExportRefused, match=r"holds 0\.42857142857142857142\d+ in share.*jsonl or csv"):
        export(recorded, "shares", "parquet", to)
    assert not (to / "shares").exists()
    export(recorded, "shares", "jsonl", to)
    assert len(rows_of(to / "shares")[0]["share"]) > 25


def test_what_is_no_read_model_is_not_found(recorded: Ledger, to: Path) -> None:
    for name in ("nothing", "../usage", "", "shares"):
        with pytest.raises(ProjectionNotFound):
            export(recorded, name, "jsonl", to)
    with pytest.raises(ReadModelBehind, match=r"usage has not been built yet.*`runfold work`.*--fold"):
        export(recorded, "usage", "jsonl", to)
    assert not to.exists()


def test_a_table_takes_no_positions(folded: Ledger, to: Path) -> None:
    with pytest.raises(UsageError, match="only events take positions"):
        export(folded, "usage", "jsonl", to, up_to=3)
