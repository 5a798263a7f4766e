"""What model calls used and cost: given what was recorded, then these rows and these sums."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger, Run
from runfold.domain.usage import Tokens
from runfold.importers.importing import import_paths
from runfold.projections.prices import price_list
from runfold.projections.prices.book import PRICE_SOURCE
from runfold.projections.usage import Usage, UsageEntry
from runfold.projector.checking.purity import require_pure
from tests.projections.folded import rows_of

FEBRUARY = datetime(2026, 2, 17, 23, 30, tzinfo=UTC)


@pytest.fixture
def run(ledger: Ledger) -> Run:
    thread = ledger.create_thread(agent_id="support", user_id="u_1")
    return thread.start_run(goal={"id": "refund"})


@pytest.fixture
def entries(ledger: Ledger) -> Callable[[], list[UsageEntry]]:
    return lambda: list(rows_of(Usage(), ledger).values())


def costs(rows: list[UsageEntry]) -> dict[str, Decimal]:
    """The rule of the totals, as the module states it."""
    found: dict[str, Decimal] = {}

    def add(currency: str | None, amount: Decimal | None) -> None:
        if currency is not None and amount is not None:
            found[currency] = found.get(currency, Decimal(0)) + amount

    for row in rows:
        add(row.reported_currency, row.reported_cost)
        add("USD", row.computed_cost if row.reported_cost is None else None)
        for currency, amount in (row.other_costs or {}).items():
            add(currency, Decimal(amount))
    return found


COUNTS = Tokens.model_fields.keys() - {"reasoning_beside"}


def tokens(rows: list[UsageEntry]) -> dict[str, int]:
    """The sums of the counts that somebody reported."""
    found: Counter[str] = Counter()
    for row in rows:
        found.update({name: count for name in COUNTS if (count := getattr(row, name)) is not None})
    return dict(found)


@pytest.mark.row("CM-10")
def test_a_model_call_is_a_row_with_all_that_it_belongs_to(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    run.enter_node("triage")
    used = run.usage(
        provider="openai",
        model="gpt-4o",
        input_tokens=1000,
        output_tokens=100,
        cache_read_input_tokens=0,
        service_tier="default",
        occurred_at=FEBRUARY,
    )
    (row,) = entries()
    assert (row.run_id, row.entry_id, row.kind, row.usage_id) == (run.id, f"call:{used.id}", "call", used.id)
    assert (row.agent_id, row.user_id, row.goal_id, row.node_id) == ("support", "u_1", "refund", "triage")
    assert (row.provider, row.model, row.service_tier) == ("openai", "gpt-4o", "default")
    assert (row.happened_at, row.day) == (FEBRUARY, date(2026, 2, 17))
    assert (row.input_tokens, row.output_tokens, row.cache_read_input_tokens) == (1000, 100, 0)
    assert (row.total_tokens, row.cache_creation_input_tokens, row.reasoning_output_tokens) == (None, None, None)
    assert (row.computed_cost, row.price_source, row.reported_cost) == (Decimal("0.0035"), PRICE_SOURCE, None)


def test_a_day_is_that_of_utc(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    run.usage(input_tokens=1, occurred_at=datetime.fromisoformat("2026-02-17T23:30:00-05:00"))
    assert entries()[0].day == date(2026, 2, 18)


@pytest.mark.row("CV-33", "LT-60", "LT-62")
def test_calls_add_up_and_what_nobody_reported_stays_null(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    for _ in range(120):
        run.usage(input_tokens=10, output_tokens=1)
    run.usage(output_tokens=5)
    assert tokens(entries()) == {"input_tokens": 1200, "output_tokens": 125}
    assert sum(row.kind == "call" for row in entries()) == 121
    assert {row.computed_cost for row in entries()} == {None}


def test_an_unknown_model_costs_null_and_not_zero(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    run.usage(provider="ollama", model="llama-at-home", input_tokens=10, output_tokens=1)
    (row,) = entries()
    assert (row.computed_cost, row.price_source) == (None, None)


def test_pricing_asks_no_clock_not_even_the_first_time(ledger: Ledger, run: Run) -> None:
    run.usage(provider="openai", model="gpt-4o", input_tokens=10, output_tokens=1)
    price_list.installed.cache_clear()
    require_pure(Usage(), ledger.recorder.reader.events(), {})
    assert price_list.installed.cache_info().misses == 1


def test_a_correction_replaces_the_counts_and_the_cost_on_the_calls_own_day(
    run: Run, entries: Callable[[], list[UsageEntry]]
) -> None:
    used = run.usage(
        provider="openai", model="gpt-4o", input_tokens=9000, output_tokens=100, total_tokens=9100, occurred_at=FEBRUARY
    )
    run.complete()
    receipt = used.correct(input_tokens=1000, output_tokens=100, reason="counted twice")
    (row,) = entries()
    assert (row.day, row.happened_at, row.corrections) == (FEBRUARY.date(), FEBRUARY, 1)
    assert (row.input_tokens, row.output_tokens, row.total_tokens) == (1000, 100, None)
    assert (row.computed_cost, row.corrected_position) == (Decimal("0.0035"), receipt.position)
    used.correct(output_tokens=100, reason="nobody knows")
    (row,) = entries()
    assert (row.input_tokens, row.computed_cost, row.price_source, row.corrections) == (None, None, None, 2)


def test_a_reported_cost_stands_instead_of_the_computed_one(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    for amount in ("0.004", None):
        used = run.usage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=100, occurred_at=FEBRUARY)
        if amount is not None:
            run.report_cost(amount, usage_id=used.id)
    reported, computed = entries()
    assert (reported.reported_cost, reported.reported_currency, reported.reported_source) == (Decimal("0.004"), "USD", None)
    assert (reported.computed_cost, reported.model, reported.day) == (Decimal("0.0035"), "gpt-4o", FEBRUARY.date())
    assert computed.reported_cost is None
    assert costs(entries()) == {"USD": Decimal("0.0075")}


REPORTS: dict[Any, tuple[str, str]] = {"provider": ("1.10", "EUR"), "local": ("2", "USD"), None: ("3", "GBP")}


@pytest.mark.parametrize("sources", [order for count in (2, 3) for order in permutations(REPORTS, count)])
def test_the_providers_word_beats_the_applications_and_that_an_unstated_one_whichever_came_first(
    run: Run, entries: Callable[[], list[UsageEntry]], sources: tuple[Any, ...]
) -> None:
    used = run.usage(input_tokens=10)
    for source in sources:
        run.report_cost(*REPORTS[source], usage_id=used.id, source=source)
    heaviest = next(source for source in REPORTS if source in sources)
    amount, currency = REPORTS[heaviest]
    (row,) = entries()
    assert row.reported_source == heaviest
    assert costs([row]) == {currency: Decimal(amount)}


def test_reports_of_one_source_add_up_each_in_its_currency(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    used = run.usage(input_tokens=10)
    for amount, currency in (("1.000000000000000001", "USD"), ("0.5", "EUR"), ("2", "USD"), ("0.25", "EUR"), ("3", "GBP")):
        run.report_cost(amount, currency, usage_id=used.id)
    (row,) = entries()
    assert (row.reported_currency, row.other_costs) == ("USD", {"EUR": "0.75", "GBP": "3"})
    assert costs(entries()) == {"USD": Decimal("3.000000000000000001"), "EUR": Decimal("0.75"), "GBP": Decimal(3)}


def test_the_provider_takes_the_place_of_all_that_the_application_said(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    used = run.usage(input_tokens=10)
    run.report_cost("1", "USD", usage_id=used.id, source="local")
    run.report_cost("1", "EUR", usage_id=used.id, source="local")
    run.report_cost("7", "USD", usage_id=used.id, source="provider")
    assert (entries()[0].other_costs, costs(entries())) == (None, {"USD": Decimal(7)})


def test_a_cost_of_no_call_is_a_row_of_its_own(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    run.usage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=100, occurred_at=FEBRUARY)
    run.report_cost("5", "EUR", provider="acme", model="search", node_id="research", cost_id="cost_1")
    run.report_cost("5", "EUR", cost_id="cost_2")
    _, cost, other = entries()
    assert (cost.entry_id, cost.kind, cost.usage_id, cost.input_tokens) == ("cost:cost_1", "cost", None, None)
    assert (cost.provider, cost.model, cost.node_id, cost.goal_id) == ("acme", "search", "research", "refund")
    assert other.entry_id == "cost:cost_2"
    assert costs(entries()) == {"USD": Decimal("0.0035"), "EUR": Decimal(10)}


def test_a_cost_may_come_before_its_usage_and_after_the_end(run: Run, entries: Callable[[], list[UsageEntry]]) -> None:
    run.report_cost("1", usage_id="usage_1", model="guessed")
    (row,) = entries()
    assert (row.kind, row.entry_id, row.model) == ("cost", "call:usage_1", "guessed")
    run.usage(usage_id="usage_1", provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=100, occurred_at=FEBRUARY)
    run.complete()
    run.report_cost("2", usage_id="usage_1")
    (row,) = entries()
    assert (row.kind, row.model, row.day, row.input_tokens) == ("call", "gpt-4o", FEBRUARY.date(), 1000)
    assert (row.computed_cost, costs([row])) == (Decimal("0.0035"), {"USD": Decimal(3)})


def test_equal_ids_of_a_usage_and_a_cost_and_of_two_runs_do_not_meet(ledger: Ledger, run: Run) -> None:
    other = run.branch()
    other.start()
    for each in (run, other):
        each.usage(usage_id="same", input_tokens=1)
        each.report_cost("1", cost_id="same")
    assert rows_of(Usage(), ledger).keys() == {(each.id, f"{kind}:same") for each in (run, other) for kind in ("call", "cost")}


@pytest.mark.parametrize(
    ("folder", "kind", "calls", "input_tokens", "output_tokens"),
    [
        ("claude-code", "claude-code", 394, 13_592, 93_649),
        ("ag-ui-streams", "ag-ui", 17, 3_647, 4_885),
        ("tau2-human-agent", "tau2", 906, 606_899, 27_955),
        ("tau2-retail-gpt4o", "tau2", 8_195, 40_772_106, 415_393),
    ],
)
def test_the_tokens_of_real_runs_are_exact(
    ledger: Ledger, trajectories: Path, folder: str, kind: str, calls: int, input_tokens: int, output_tokens: int
) -> None:
    import_paths(ledger, kind, [trajectories / folder])
    rows = list(rows_of(Usage(), ledger).values())
    used = tokens(rows)
    assert sum(row.kind == "call" for row in rows) == calls
    assert (used["input_tokens"], used["output_tokens"]) == (input_tokens, output_tokens)
    CHECKS[folder](rows)


def _claude_code(rows: list[UsageEntry]) -> None:
    used = tokens(rows)
    assert (used["cache_read_input_tokens"], used["cache_creation_input_tokens"]) == (18_371_698, 1_194_508)
    assert not any(row.reported_cost for row in rows)
    assert not any(row.computed_cost is None for row in rows)
    assert round(costs(rows)["USD"], 2) == Decimal("17.47")  # 26 calls wrote to caches that are kept an hour


def _ag_ui(rows: list[UsageEntry]) -> None:
    used = tokens(rows)
    assert (used["total_tokens"], used["reasoning_output_tokens"]) == (8_532, 2_816)


def _tau2_human(rows: list[UsageEntry]) -> None:
    assert {row.computed_cost for row in rows} == {None}  # it does not say its models
    assert abs(costs(rows)["USD"] - Decimal("1.378494")) < Decimal("0.000001")


def _tau2_retail(rows: list[UsageEntry]) -> None:
    by_node = {node: [row for row in rows if row.node_id == node] for node in ("agent", "user_simulator")}
    assert abs(costs(by_node["agent"])["USD"] - Decimal("58.423027")) < Decimal("0.000001")
    assert abs(costs(by_node["user_simulator"])["USD"] - Decimal("4.897574")) < Decimal("0.000001")
    assert {row.model for row in rows} == {"gpt-4o", "gpt-4.1"}
    without_caches = sum((row.computed_cost or Decimal(0) for row in rows), Decimal(0))
    assert without_caches > sum(costs(rows).values())  # its counts do not say what was cached


CHECKS = {
    "claude-code": _claude_code,
    "ag-ui-streams": _ag_ui,
    "tau2-human-agent": _tau2_human,
    "tau2-retail-gpt4o": _tau2_retail,
}
