"""Usage: once per model call, parts never exceed totals, and null is not zero."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from runfold.domain.event import refusal
from runfold.domain.usage import CostReported, Tokens, UsageCorrected

from .samples import COST, RUNNING, used
from .story import given

FEWER = Tokens(input_tokens=800)
corrected = UsageCorrected(usage_id="usage_1", corrected=used.tokens, replacement=FEWER, reason="counted twice")


def test_what_was_not_reported_is_null_and_not_zero() -> None:
    assert Tokens().model_dump() == {**dict.fromkeys(Tokens.model_fields), "reasoning_beside": False}
    assert Tokens(input_tokens=0) != Tokens()
    assert Tokens(reasoning_output_tokens=0).output_tokens is None


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"output_tokens": 5, "reasoning_output_tokens": 6}, "reasoning_output_tokens exceed output_tokens"),
        ({"input_tokens": 5, "output_tokens": 6, "total_tokens": 10}, "exceed total_tokens"),
        ({"input_tokens": 11, "total_tokens": 10}, "exceed total_tokens"),
        ({"reasoning_output_tokens": 11, "total_tokens": 10}, "exceed total_tokens"),
        ({"input_tokens": 5, "reasoning_output_tokens": 6, "total_tokens": 10}, "exceed total_tokens"),
        ({"cache_creation_input_tokens": 5, "cache_creation_1h_input_tokens": 6}, "exceed cache_creation_input_tokens"),
    ],
)
def test_parts_never_exceed_their_total(counts: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Tokens(**counts)


def test_parts_may_fill_their_total_or_be_unknown() -> None:
    assert Tokens(input_tokens=4, output_tokens=6, reasoning_output_tokens=6, total_tokens=10).total_tokens == 10
    assert Tokens(input_tokens=4, cache_read_input_tokens=90, total_tokens=10).cache_read_input_tokens == 90
    assert Tokens(total_tokens=10).output_tokens is None
    assert Tokens(cache_creation_1h_input_tokens=6).cache_creation_input_tokens is None


def test_reasoning_may_stand_beside_the_output() -> None:
    beside = Tokens(input_tokens=4, output_tokens=6, reasoning_output_tokens=90, total_tokens=10, reasoning_beside=True)
    assert (beside.output_tokens, beside.reasoning_output_tokens) == (6, 90)


@pytest.mark.parametrize("count", [-1, 2**63, 1.5, "7", True])
def test_a_count_is_a_whole_number_that_can_be_kept(count: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Tokens.model_validate({"input_tokens": count})
    assert refusal(caught.value).path == "input_tokens"


def test_a_model_call_has_its_usage_once() -> None:
    given(*RUNNING).when(lambda run: run.usages.record(used)).then(used)
    given(*RUNNING, used).when(lambda run: run.usages.record(used)).known("usage", version=3)
    again = used.model_copy(update={"usage_id": "usage_2"})
    given(*RUNNING, used).when(lambda run: run.usages.record(again)).refused("mcall_1 has its usage already; `correct` usage_1")


def test_usage_without_a_model_call_is_never_taken_for_anothers() -> None:
    first, second = (used.model_copy(update={"usage_id": name, "model_call_id": None}) for name in ("usage_1", "usage_2"))
    given(*RUNNING, first).when(lambda run: run.usages.record(second)).then(second)


def test_a_correction_carries_the_old_counts_whole() -> None:
    run = given(*RUNNING, used).when(lambda run: run.usages.correct("usage_1", FEWER, "counted twice")).then(corrected)
    assert run.usages.by_id["usage_1"].tokens == FEWER
    given(*RUNNING, used, corrected).when(lambda run: run.usages.correct("usage_1", FEWER, "again")).then()
    back = UsageCorrected(usage_id="usage_1", corrected=FEWER, replacement=used.tokens, reason="no, once")
    given(*RUNNING, used, corrected).when(lambda run: run.usages.correct("usage_1", used.tokens, "no, once")).then(back)
    given(*RUNNING).when(lambda run: run.usages.correct("usage_9", FEWER, "?")).refused("has no usage 'usage_9'")


def test_a_cost_is_reported_once_under_an_id() -> None:
    given(*RUNNING).when(lambda run: run.usages.report_cost(COST)).then(COST)
    given(*RUNNING, COST).when(lambda run: run.usages.report_cost(COST)).known("cost", version=3)


def test_a_cost_whose_source_nobody_stated_has_none() -> None:
    unstated = CostReported(cost_id="cost_2", amount=Decimal(1), currency="USD")
    assert unstated.source is None
    given(*RUNNING).when(lambda run: run.usages.report_cost(unstated)).then(unstated)


@pytest.mark.parametrize("first", ["provider", "local", None])
def test_a_cost_that_is_repeated_without_its_source_is_the_same(first: Any) -> None:
    before, again = (COST.model_copy(update={"source": source}) for source in (first, None))
    known = given(*RUNNING, before).when(lambda run: run.usages.report_cost(again)).known("cost", version=3)
    assert known.proposed == before
    other = COST.model_copy(update={"source": "local" if first == "provider" else "provider"})
    assert given(*RUNNING, before).when(lambda run: run.usages.report_cost(other)).known("cost", version=3).proposed == other


def cost(amount: object, currency: str = "USD") -> CostReported:
    return CostReported.model_validate({"cost_id": "c", "amount": amount, "currency": currency, "source": "local"})


@pytest.mark.parametrize("amount", [0.1, "0.1", Decimal("NaN"), Decimal("Infinity"), Decimal("1E-19"), Decimal("1E+38")])
def test_money_is_an_exact_decimal(amount: object) -> None:
    with pytest.raises(ValidationError, match="amount"):
        cost(amount)


def test_money_is_written_out_and_keeps_its_digits() -> None:
    assert str(cost(Decimal("19.90")).amount) == "19.90"
    assert '"amount":"1000"' in cost(Decimal("1E+3")).model_dump_json()
    assert '"amount":"0.00000015"' in cost(Decimal("1.5E-7")).model_dump_json()


@pytest.mark.parametrize("currency", ["usd", "US", "USD\n", "", "€"])
def test_a_currency_is_three_capital_letters(currency: str) -> None:
    with pytest.raises(ValidationError, match="currency"):
        cost(Decimal(1), currency)
