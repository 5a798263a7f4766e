"""Answers as tables and data frames: every column has its type, nothing is lost, and what is missing is missing."""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_origin

import pytest

from runfold import Ledger
from runfold.api.table import QUESTIONS
from runfold.errors import UsageError
from runfold.history.items import ThreadItems
from runfold.history.views import View
from runfold.queries.page import Page, Standing, page_of
from runfold.queries.usage.report import UsageReport
from tests.databases import fresh_database
from tests.extras import require_analytics
from tests.frames import require_frame
from tests.queries.every_column import DAYS, NUMBERS, VALUES, EveryRow
from tests.queries.listed import tell

pytestmark = pytest.mark.usefixtures("analytics")
STANDING = Standing(position=7, head=9)


class Figures(View):
    """Numbers of any size."""

    name: str = "-"
    count: int | None = None
    amount: Decimal | None = None
    said: Any = None


@pytest.fixture(scope="module")
def analytics() -> None:
    """Where the extra is missing, nothing here is run."""
    require_analytics()


@pytest.fixture(scope="module")
def told(admin_url: str, template: str) -> Iterator[Ledger]:
    """Made-up runs in every state, folded. Only to be read."""
    with fresh_database(admin_url, template, "frames") as made, Ledger.open(settings=made.settings) as ledger:
        tell(ledger, seed=3, threads=4)
        ledger.fold()
        yield ledger


def test_every_answer_that_is_a_page_or_a_report_is_a_table_too() -> None:
    answers = {route.answer for route in QUESTIONS}
    pages = [answer for answer in answers if isinstance(answer, type) and issubclass(answer, Page)]
    assert len(pages) >= 9
    assert all(page.__pydantic_generic_metadata__["args"] for page in pages)
    assert UsageReport in answers
    others = {answer for answer in answers if "items" in getattr(answer, "model_fields", {})} - {*pages, UsageReport}
    assert others == {ThreadItems}, "a window of a conversation is read, and its items are of several shapes"
    assert not [answer for answer in answers if get_origin(answer) is Page]


def test_every_type_of_column_of_a_read_model_is_a_type_of_column_here() -> None:
    rows = []
    for place in range(60):
        key = {"day": DAYS[place % len(DAYS)], "number": NUMBERS[place % len(NUMBERS)], "thread_id": f"thread_{place}"}
        rows.append(EveryRow.model_validate({**key, **{name: values[place % len(values)] for name, values in VALUES.items()}}))
    page = page_of(EveryRow, rows, None, STANDING)
    require_frame(page)
    assert {name: str(kind) for name, kind in zip(page.to_arrow().column_names, page.to_arrow().schema.types, strict=True)} == {
        "status": "string",
        "day": "date32[day]",
        "number": "int64",
        "thread_id": "string",
        "name": "string",
        "limit": "int64",
        "share": "double",
        "price": str(page.to_arrow().schema.field("price").type),
        "at": "timestamp[us, tz=UTC]",
        "is_done": "bool",
        "on": "date32[day]",
        "extra": "string",
        "tags": "list<item: string>",
        "counts": "list<item: int64>",
    }


def test_a_list_of_nothing_has_the_columns_and_types_of_a_full_one(told: Ledger) -> None:
    full, none = told.now.runs(limit=5), told.now.runs(agent_id="nobody at all")
    assert (len(full.items), len(none.items)) == (5, 0)
    assert none.to_arrow().schema.equals(full.to_arrow().schema)
    assert none.to_pandas().dtypes.astype(str).to_dict() == full.to_pandas().dtypes.astype(str).to_dict()


def test_times_are_in_utc_and_counts_may_be_missing(told: Ledger) -> None:
    frame = told.now.runs(limit=50).to_pandas()
    assert str(frame["created_at"].dtype) == "datetime64[us, UTC]"
    assert str(frame["duration_ns"].dtype) == "Int64"
    assert frame["duration_ns"].isna().any()
    assert frame["duration_ns"].notna().any()


def test_a_report_has_a_column_for_each_dimension_that_was_asked_for(told: Ledger) -> None:
    report = told.now.usage(["model", "day"])
    require_frame(report)
    frame = report.to_pandas()
    assert list(frame.columns)[:2] == ["day", "model"]
    assert "agent" not in frame
    assert frame["calls"].sum() == report.total.calls
    assert sum(frame["cost"].dropna(), Decimal(0)) == sum((row.cost for row in report.items if row.cost), Decimal(0))


def test_the_items_of_a_report_are_its_lines_and_calling_them_still_works(told: Ledger) -> None:
    report = told.now.usage("model")
    assert report.items == report.rows
    with pytest.warns(DeprecationWarning, match="line_items"):
        assert report.items() == report.line_items()


@pytest.mark.parametrize(
    ("items", "types"),
    [
        ([Figures(count=2**63 - 1, amount=Decimal("0.000000000000000001"))], ("int64", "decimal128(38, 18)")),
        ([Figures(count=2**70), Figures()], ("decimal256(76, 0)", "decimal128(38, 18)")),
        ([Figures(amount=Decimal("1" * 25 + ".5")), Figures(count=1)], ("int64", "decimal256(76, 38)")),
        ([Figures(said={"a": [1, None]}), Figures(said="1"), Figures(said=1)], ("int64", "decimal128(38, 18)")),
    ],
)
def test_a_number_of_any_size_is_kept(items: list[Figures], types: tuple[str, str]) -> None:
    table = page_of(Figures, items, None, STANDING).to_arrow()
    assert (str(table.schema.field("count").type), str(table.schema.field("amount").type)) == types
    assert table["count"].to_pylist() == [item.count for item in items]
    assert table["amount"].to_pylist() == [item.amount for item in items]
    assert len(set(table["said"].to_pylist())) == len({str(type(item.said)) for item in items})


@pytest.mark.parametrize("number", ["1E+38", "-1.5E+40", "1E-39", "9" * 60, "1E+999999"])
def test_a_number_that_arrow_has_no_room_for_is_named_with_its_column(number: str) -> None:
    page = page_of(Figures, [Figures(count=1), Figures(amount=Decimal(number))], None, STANDING)
    for frame in (page.to_arrow, page.to_pandas):
        with pytest.raises(UsageError, match=r"the column amount holds .*more digits than Arrow has room for; take `items`"):
            frame()
    widest = [Decimal("9" * 38 + "." + "9" * 38), Decimal("-1E-38"), Decimal("1E+37")]
    table = page_of(Figures, [Figures(amount=each) for each in widest], None, STANDING).to_arrow()
    assert table["amount"].to_pylist() == widest


def test_json_keeps_whole_numbers_of_any_size() -> None:
    page = page_of(Figures, [Figures(said={"a": 2**70}), Figures(said=-(2**64))], None, STANDING)
    assert [json.loads(said) for said in page.to_arrow()["said"].to_pylist()] == [{"a": 2**70}, -(2**64)]


def test_objects_of_no_known_kind_are_a_table_too() -> None:
    page: Page[Any] = Page(items=({"a": 1, "b": {"c": 2}}, {"a": None, "b": {}}), next_cursor=None, standing=STANDING)
    assert page.to_arrow().to_pylist() == [{"a": 1, "b": '{"c":2}'}, {"a": None, "b": "{}"}]


@pytest.mark.parametrize("library", ["pyarrow", "pandas"])
def test_without_the_extra_it_is_said_what_to_install(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf"need {library}, .*pip install 'runfold\[analytics\]'"):
        page_of(Figures, [Figures()], None, STANDING).to_pandas()
