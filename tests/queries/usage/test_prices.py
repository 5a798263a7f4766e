"""The prices behind a report: unit prices that add up to it, by the installed list or by another version of it."""

import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from runfold import Ledger, Run
from runfold.errors import UsageError
from runfold.projections.prices import wheels as price_wheels
from runfold.projections.prices.book import PRICE_SOURCE
from runfold.projections.prices.price_list import INSTALLED
from runfold.queries.usage.report import UsageReport

AUGUST = datetime(2026, 8, 1, 12, tzinfo=UTC)
OPUS = {"provider": "anthropic", "model": "claude-opus-4-8", "output_tokens": 0, "occurred_at": AUGUST}

OTHER = """
from decimal import Decimal
from .types import *
providers = [
    Provider(
        id='anthropic', name='Anthropic', api_pattern='x', provider_match=ClauseContains(contains='anthropic'),
        models=[ModelInfo(id='claude-opus-4-8', match=ClauseEquals(equals='claude-opus-4-8'),
                          prices=ModelPrice(input_mtok=Decimal('7'), output_mtok=Decimal('70')))],
    )
]
"""


@pytest.fixture
def used(ledger: Ledger):  # type: ignore[no-untyped-def]
    """Folds, and asks."""

    def ask(by: str = "", **asked: object) -> UsageReport:
        ledger.fold("usage", "thread_tree")
        return ledger.now.usage(by, **asked)  # type: ignore[arg-type]

    return ask


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where other versions of the list are looked for."""
    monkeypatch.setenv("RUNFOLD_PRICE_LISTS", str(tmp_path))
    yield tmp_path
    price_wheels._from_wheel.cache_clear()


def put(folder: Path, version: str, source: str) -> None:
    with zipfile.ZipFile(folder / f"genai_prices-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("genai_prices/data.py", source)


def spend(run: Run) -> None:
    hour = {"cache_creation_input_tokens": 1_000_000, "cache_creation_1h_input_tokens": 1_000_000}
    run.usage(**OPUS, input_tokens=0, **hour)
    run.usage(**OPUS, input_tokens=1_000, web_search_requests=3)
    run.usage(**{**OPUS, "model": "claude-opus-4-6"}, input_tokens=2_000)
    run.usage(**{**OPUS, "model": "our-own"}, input_tokens=5)
    run.usage(provider="openai", model="gpt-4o", input_tokens=5, occurred_at=AUGUST)
    told = run.usage(**OPUS, input_tokens=1_000_000)
    run.report_cost("0.5", source="provider", usage_id=told.id)
    run.report_cost("2", "EUR", source="provider", usage_id=told.id)
    run.report_cost("0.25", source="local")
    run.report_cost("0.125")


def test_a_report_is_explained_by_unit_prices(used, run: Run) -> None:
    spend(run)
    explained = used(explain=True).explanation
    assert (explained.source, explained.currency) == (PRICE_SOURCE, "USD")
    by_model = {price.model: price for price in explained.prices}
    opus = by_model["claude-opus-4-8"]
    assert (opus.provider, opus.listed_as, opus.calls, opus.cost) == (
        "anthropic",
        "anthropic claude-opus-4-8",
        2,
        Decimal("10.035"),
    )
    assert {part.kind: (part.quantity, part.unit_price, part.per, part.amount) for part in opus.parts} == {
        "cache_write_1h": (1_000_000, 10, 1_000_000, 10),
        "input": (1_000, 5, 1_000_000, Decimal("0.005")),
        "web_search": (3, 10, 1_000, Decimal("0.03")),
    }
    assert by_model["claude-opus-4-6"].valid_from == date(2026, 3, 13)
    assert [(none.model, none.calls, none.reason) for none in explained.not_priced] == [
        ("our-own", 1, f"our-own of anthropic is not in {PRICE_SOURCE}"),
        ("gpt-4o", 1, "output tokens were not reported"),
    ]


@pytest.mark.parametrize("by", ["", "model", "day,provider,model", "run"])
def test_an_explained_report_is_the_same_report_and_its_parts_add_up(used, run: Run, by: str) -> None:
    spend(run)
    plain, explained = used(by), used(by, explain=True)
    assert (explained.rows, explained.total) == (plain.rows, plain.total)
    assert plain.explanation is None
    parts = [part for price in explained.explanation.prices for part in price.parts]
    assert sum(part.amount for part in parts) == plain.total.costs["USD"].computed[PRICE_SOURCE]
    assert all(part.amount == part.unit_price * part.quantity / part.per for part in parts)
    assert sum(none.calls for none in explained.explanation.not_priced) == plain.total.calls_without_cost == 2


@pytest.mark.parametrize("scope", ["run", "path", "tree"])
def test_a_run_its_path_and_its_tree_are_explained_too(used, run: Run, scope: str) -> None:
    spend(run)
    report = used("model", run=run.id, scope=scope, explain=True)
    assert report.total == used("model", run=run.id, scope=scope).total


def test_the_past_is_explained_too(used, ledger: Ledger, run: Run) -> None:
    run.usage(**OPUS, input_tokens=1_000_000)
    before = ledger.position()
    run.usage(**OPUS, input_tokens=1_000_000)
    report = ledger.at(before).usage(run=run.id, explain=True)
    assert (report.total.cost, report.explanation.prices[0].calls) == (5, 1)


@pytest.mark.parametrize("version", [INSTALLED, f"genai-prices {INSTALLED}", f" genai-prices=={INSTALLED} "])
def test_the_installed_list_can_be_named(used, run: Run, version: str) -> None:
    spend(run)
    assert used("model", prices=version).rows == used("model").rows


def test_another_version_prices_what_it_lists_and_shows_itself(used, run: Run, folder: Path) -> None:
    put(folder, "0.0.9", OTHER)
    spend(run)
    report = used(prices="0.0.9", explain=True)
    assert report.explanation.source == "genai-prices 0.0.9"
    assert report.total.costs["USD"].computed == {"genai-prices 0.0.9": Decimal("7.00")}  # 1,000,000 written at the input's price
    assert report.total.costs["USD"].reported == used().total.costs["USD"].reported
    first, *_ = report.explanation.not_priced
    assert first.reason == "claude-opus-4-6 of anthropic is not in genai-prices 0.0.9"


def test_a_version_that_is_not_here_is_refused_with_what_is(used, run: Run, folder: Path) -> None:
    put(folder, "0.0.9", OTHER)
    with pytest.raises(
        UsageError, match=rf"0\.0\.8 is not here, only {INSTALLED}, 0\.0\.9; put its wheel into the folder that RUN"
    ):
        used(prices="0.0.8")


@pytest.mark.parametrize("version", ["", "latest", "../0.0.9", "0.0.9/..", "*", "litellm 1.0"])
def test_what_is_no_version_is_refused(used, run: Run, folder: Path, version: str) -> None:
    put(folder, "0.0.9", OTHER)
    with pytest.raises(UsageError, match="is no version of genai-prices; give one such as"):
        used(prices=version)


@pytest.mark.parametrize(
    "source", ["raise RuntimeError('no')", "providers =", "providers_ = []", "providers = [Provider(odd=1)]"]
)
def test_a_list_that_cannot_be_read_is_told(used, run: Run, folder: Path, source: str) -> None:
    put(folder, "0.0.7", f"from .types import *\n{source}")
    with pytest.raises(UsageError, match=r"0\.0\.7 cannot be read beside"):
        used(prices="0.0.7")
