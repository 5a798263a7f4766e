"""`runfold usage`."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from runfold import Ledger, Run
from runfold.projections.prices.book import PRICE_SOURCE
from tests.cli.conftest import Command


def on(day: int) -> datetime:
    return datetime(2026, 2, day, 12, tzinfo=UTC)


@pytest.fixture
def spent(ledger: Ledger) -> Run:
    """Two models, two days; one call that nobody knows the cost of."""
    run = ledger.create_thread(agent_id="support").start_run(goal={"id": "refund"})
    run.usage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=100, occurred_at=on(1))
    run.usage(provider="openai", model="gpt-4o", input_tokens=2000, output_tokens=200, occurred_at=on(2), usage_id="u2")
    run.report_cost("0.5", usage_id="u2")
    run.usage(model="our-own", input_tokens=5, occurred_at=on(2))
    return run


@pytest.mark.row("CM-10", "LT-60")
def test_usage_is_added_up_for_machines_exactly(runfold: Command, spent: Run) -> None:
    answer = runfold("usage", "--by", "model", "--fold", "--json").json
    assert (answer["as_of"], answer["behind_events"], answer["next_cursor"]) == (7, 0, None)
    assert answer["by"] == ["model"]
    first, second = answer["items"]
    assert (first["model"], first["calls"], first["input_tokens"], first["cost"], first["currency"]) == (
        "gpt-4o",
        2,
        3000,
        "0.5035",
        "USD",
    )
    assert first["costs"] == {"USD": {"total": "0.5035", "reported": {"unstated": "0.50"}, "computed": {PRICE_SOURCE: "0.0035"}}}
    assert (second["model"], second["output_tokens"], second["cost"], second["calls_without_cost"]) == ("our-own", None, None, 1)
    assert answer["total"]["input_tokens"] == 3005
    assert Decimal(answer["total"]["cost"]) == Decimal("0.5035")


def test_usage_for_people_ends_with_the_total_and_says_what_the_cost_is_worth(runfold: Command, spent: Run) -> None:
    lines = runfold("usage", "--by", "day,model", "--fold").out.splitlines()
    assert lines[0].split() == [
        "day",
        "model",
        "calls",
        "input",
        "output",
        "cache",
        "read",
        "cache",
        "written",
        "cost",
        "without",
        "cost",
    ]
    assert [line.split() for line in lines[1:5]] == [
        ["2026-02-01", "gpt-4o", "1", "1,000", "100", "0.0035", "USD"],
        ["2026-02-02", "gpt-4o", "1", "2,000", "200", "0.5000", "USD"],
        ["2026-02-02", "our-own", "1", "5", "1"],
        ["total", "3", "3,005", "300", "0.5035", "USD", "1"],
    ]
    assert lines[5:] == [
        f"includes 0.0035 USD that was not reported but computed from {PRICE_SOURCE}",
        "the cost of 1 call is not known and not included; the same with --without-cost --by run,call,model lists them",
        "3 model calls as of position 7",
    ]


def test_usage_narrows_to_days_models_and_goals(runfold: Command, spent: Run) -> None:
    def calls(*arguments: str) -> int:
        return int(runfold("usage", *arguments, "--json").json["total"]["calls"])

    assert calls("--fold", "--from", "2026-02-02") == 2
    assert calls("--to", "2026-02-01") == 1
    assert calls("--model", "gpt-4o", "--model", "our-own", "--from", "2026-02-02") == 2
    assert calls("--goal", "refund", "--agent", "support", "--run", spent.id) == 3
    assert calls("--provider", "openai", "--user", "nobody") == calls("--node", "n") == 0


def test_usage_of_a_run_its_path_and_its_tree(runfold: Command, ledger: Ledger) -> None:
    def inputs(*arguments: str) -> int:
        return int(runfold("usage", *arguments, "--json").json["total"]["input_tokens"] or 0)

    thread = ledger.create_thread(agent_id="a")
    root = thread.start_run()
    root.usage(input_tokens=1)
    child = thread.start_run(parent=root)
    root.usage(input_tokens=10)
    child.usage(input_tokens=100)
    assert inputs("--run", child.id, "--fold") == 100
    assert inputs("--run", child.id, "--scope", "path") == 101
    assert inputs("--run", root.id, "--scope", "tree", "--fold") == 111
    assert inputs("--thread", thread.id, "--scope", "tree") == 111


def test_a_word_that_usage_does_not_know_is_named(runfold: Command, ledger: Ledger) -> None:
    ledger.fold("usage")
    for arguments, said in (
        (("--by", "colour"), "unknown by 'colour'; expected one of day, thread, run"),
        (("--scope", "forest"), "unknown scope 'forest'; expected one of run, path, tree"),
        (("--scope", "path"), "name the run"),
        (("--from", "yesterday"), "--from takes a UTC day such as 2026-01-31, not 'yesterday'"),
        (("--to", "2026-W05"), "--to takes a UTC day such as 2026-01-31, not '2026-W05'"),
    ):
        answer = runfold("usage", *arguments)
        assert answer.code == 2
        assert said in answer.err
    assert runfold("usage", "--run", "run_none").code == 3


@pytest.mark.usefixtures("left_to_workers")
def test_usage_that_nobody_has_folded_says_how_to(runfold: Command, spent: Run) -> None:
    answer = runfold("usage")
    assert answer.code == 1
    assert "--fold" in answer.err
    runfold("usage", "--fold")
    spent.usage(input_tokens=1)
    stale = runfold("usage")
    assert (stale.code, stale.out.splitlines()[-1]) == (0, "3 model calls as of position 7")
    assert "1 events" in stale.err


def test_prices_are_explained_to_people_and_machines(runfold: Command, spent: Run) -> None:
    shown = runfold("usage", "--explain", "--fold").out.splitlines()
    at = shown.index(f"prices of {PRICE_SOURCE}, in USD")
    assert [line.split() for line in shown[at + 2 : at + 4]] == [
        ["openai", "gpt-4o", "openai", "gpt-4o", "-", "input", "1,000", "2.5", "/", "1,000,000", "0.0025"],
        ["openai", "gpt-4o", "openai", "gpt-4o", "-", "output", "100", "10", "/", "1,000,000", "0.0010"],
    ]
    assert f"the cost of 1 call is not known: our-own is not in {PRICE_SOURCE}" in shown
    answer = runfold("usage", "--explain", "--json").json
    assert answer["explanation"]["source"] == PRICE_SOURCE
    assert [(part["kind"], part["unit_price"], part["amount"]) for part in answer["explanation"]["prices"][0]["parts"]] == [
        ("input", "2.5", "0.0025"),
        ("output", "10", "0.001"),
    ]
    assert "explanation" not in runfold("usage", "--json").json


def test_a_price_list_that_is_not_here_is_refused_with_how_to_get_it(runfold: Command, spent: Run) -> None:
    version = PRICE_SOURCE.rpartition(" ")[2]
    assert runfold("usage", "--prices", version, "--fold", "--json").json["total"]["cost"] == "0.5035"
    answer = runfold("usage", "--prices", "0.0.1")
    assert (answer.code, "pip download --no-deps genai-prices==0.0.1" in answer.err) == (2, True)
