"""The price book: list prices of the day, exact, and null for what it does not know."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage as LibraryUsage
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from runfold import Ledger
from runfold.domain.usage import Tokens, UsageRecorded
from runfold.importers.importing import import_paths
from runfold.projections.prices import price_list
from runfold.projections.prices.book import PRICE_SOURCE, Priced, Unpriced, computed_cost, priced

FEBRUARY = datetime(2026, 2, 17, tzinfo=UTC)
APRIL = datetime(2026, 4, 17, tzinfo=UTC)


def _millionths(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.scaleb(6)


@pytest.fixture
def anew() -> Iterator[Callable[[], None]]:
    """Forgets what the price book has looked up."""

    def forget() -> None:
        price_list.installed.cache_clear()

    forget()
    yield forget
    forget()


def test_a_call_costs_its_tokens_at_the_list_price() -> None:
    tokens = Tokens(input_tokens=1000, output_tokens=100)
    assert computed_cost("openai", "gpt-4o", tokens, FEBRUARY) == Decimal("0.0035")
    assert computed_cost(None, "gpt-4o-2024-08-06", tokens, FEBRUARY) == Decimal("0.0035")
    assert PRICE_SOURCE.startswith("genai-prices 0.")


def test_what_is_not_known_costs_null_and_what_was_not_used_nothing() -> None:
    tokens = Tokens(input_tokens=1000, output_tokens=100)
    assert computed_cost("openai", "gpt-of-another-world", tokens, FEBRUARY) is None
    assert computed_cost("my-own-proxy", "gpt-4o", tokens, FEBRUARY) is None
    assert computed_cost("openai", None, tokens, FEBRUARY) is None
    assert computed_cost("groq", "whisper-large-v3", tokens, FEBRUARY) is None  # paid by the hour
    assert computed_cost("openai", "gpt-4o", Tokens(), FEBRUARY) is None
    assert computed_cost("openai", "gpt-4o", Tokens(input_tokens=1000), FEBRUARY) is None
    assert computed_cost("openai", "gpt-4o", Tokens(total_tokens=1000), FEBRUARY) is None
    assert computed_cost("openai", "gpt-4o", Tokens(input_tokens=0, output_tokens=0), FEBRUARY) == 0


def test_what_the_list_does_not_charge_for_need_not_be_reported() -> None:
    assert _millionths(computed_cost("openai", "text-embedding-3-small", Tokens(input_tokens=1000), FEBRUARY)) == 20


def test_caches_are_part_of_the_input_to_one_provider_and_beside_it_to_another() -> None:
    openai = Tokens(input_tokens=1000, output_tokens=0, cache_read_input_tokens=400)
    assert _millionths(computed_cost("openai", "gpt-4o", openai, FEBRUARY)) == 600 * Decimal("2.5") + 400 * Decimal("1.25")
    counts = {"output_tokens": 5, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 100}
    expected = 1400 * 3 + 1000 * Decimal("0.3") + 100 * Decimal("3.75") + 5 * 15
    anthropic = Tokens(input_tokens=1400, **counts)
    for provider, model in (
        ("anthropic", "claude-sonnet-4-20250514"),
        ("vertex_ai", "claude-sonnet-4@20250514"),
        ("aws.bedrock", "anthropic.claude-sonnet-4-20250514-v1:0"),
    ):
        assert _millionths(computed_cost(provider, model, anthropic, FEBRUARY)) == expected


def test_a_total_without_room_for_caches_says_that_they_are_in_the_input() -> None:
    counts = {"output_tokens": 5, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 100}
    beside = computed_cost("anthropic", "claude-sonnet-4-0", Tokens(input_tokens=1400, **counts), FEBRUARY)
    with_sum = Tokens(input_tokens=2500, total_tokens=2505, **counts)
    assert computed_cost("anthropic", "claude-sonnet-4-0", with_sum, FEBRUARY) == beside


def test_a_total_that_is_the_sum_with_the_caches_says_that_they_stand_beside_the_input() -> None:
    inside = Tokens(input_tokens=120, output_tokens=10, total_tokens=130, cache_read_input_tokens=20)
    beside = Tokens(input_tokens=100, output_tokens=10, total_tokens=130, cache_read_input_tokens=20)
    assert computed_cost("openai", "gpt-4o", beside, FEBRUARY) == computed_cost("openai", "gpt-4o", inside, FEBRUARY)


def test_a_part_that_exceeds_its_whole_stands_beside_it() -> None:
    tokens = Tokens(input_tokens=10, output_tokens=0, cache_read_input_tokens=400)
    assert _millionths(computed_cost("openai", "gpt-4o", tokens, FEBRUARY)) == 10 * Decimal("2.5") + 400 * Decimal("1.25")


def test_the_price_is_that_of_the_day() -> None:
    long = Tokens(input_tokens=300_000, output_tokens=0)  # which cost twice as much until March 2026
    assert computed_cost("anthropic", "claude-opus-4-6", long, FEBRUARY) == 3
    assert computed_cost("anthropic", "claude-opus-4-6", long, APRIL) == Decimal("1.5")


def test_the_price_is_that_of_the_hour_where_it_changes_by_the_hour() -> None:
    tokens = Tokens(input_tokens=1_000_000, output_tokens=0)
    day, night = (datetime(2025, 6, 1, hour, tzinfo=UTC) for hour in (10, 20))
    by_day, by_night = (computed_cost("deepseek", "deepseek-chat", tokens, at) for at in (day, night))
    assert by_day is not None
    assert by_night is not None
    assert by_night < by_day


HOUR = {"cache_creation_input_tokens": 1_000_000, "cache_creation_1h_input_tokens": 1_000_000}
OPUS = "claude-opus-4-8"  # 5 in, 25 out, 0.50 read, 6.25 written for five minutes, 10 for an hour; a search 0.01


@pytest.mark.parametrize(
    ("provider", "model", "counts", "dollars"),
    [
        ("anthropic", OPUS, HOUR, "10"),  # 1,000,000 x 10 / 1,000,000
        ("anthropic", OPUS, {**HOUR, "cache_creation_1h_input_tokens": 0}, "6.25"),
        ("anthropic", OPUS, {"cache_creation_input_tokens": 1_000_000}, "6.25"),
        ("anthropic", OPUS, {**HOUR, "cache_creation_1h_input_tokens": 400_000}, "7.75"),  # 0.4 x 10 + 0.6 x 6.25
        ("anthropic", OPUS, {"cache_creation_1h_input_tokens": 1_000_000}, "10"),
        ("anthropic", OPUS, {"input_tokens": 1_000_000, "web_search_requests": 3}, "5.03"),  # 5 + 3 x 10 / 1,000
        ("anthropic", f"{OPUS}[1m]", HOUR, "10"),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", HOUR, "6.6"),
        ("aws.bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", HOUR, "6"),
        # through Anthropic's client: its way of counting, the model's price (at night: 0.135 in, 0.035 read)
        ("anthropic", "deepseek-chat", {"input_tokens": 1_000_000, "cache_read_input_tokens": 1_000_000}, "0.17"),
        ("anthropic", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"input_tokens": 1_000_000}, "3.3"),
        ("anthropic", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", {"input_tokens": 1_000_000}, "3"),
        ("anthropic", "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0", HOUR, "6.6"),
        ("anthropic", "claude-opus-4-5@20251101", {"input_tokens": 1_000_000, "cache_read_input_tokens": 1_000_000}, "5.5"),
        ("anthropic", "anthropic/claude-opus-4.8", {"input_tokens": 1_000_000, "cache_read_input_tokens": 1_000_000}, "5.5"),
        # an OpenRouter or a LiteLLM: caches are in the input, whosever the model is
        ("openrouter", "anthropic/claude-opus-4.8", {"input_tokens": 1_000_000, "cache_read_input_tokens": 1_000_000}, "0.5"),
        ("openrouter", "claude-opus-4-8", {"input_tokens": 1_000_000, "cache_read_input_tokens": 400_000}, "3.2"),
        ("litellm", "anthropic/claude-opus-4-8", {"input_tokens": 1_000_000, "cache_read_input_tokens": 400_000}, "3.2"),
        ("litellm", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"input_tokens": 1_000_000}, "3.3"),
        ("litellm", "vertex_ai/claude-opus-4-5@20251101", {"input_tokens": 1_000_000}, "5"),
        (None, "anthropic/claude-opus-4-8", {"input_tokens": 1_000_000, "cache_read_input_tokens": 400_000}, "3.2"),
        (None, "claude-opus-4-8", {"input_tokens": 1_000_000, "cache_read_input_tokens": 400_000}, "5.2"),
        # what was thought beside the output is paid as output
        ("openai", "gpt-4o", {"reasoning_output_tokens": 1_000_000, "reasoning_beside": True}, "10"),
    ],
)
def test_money_is_tokens_times_prices(provider: str | None, model: str, counts: dict[str, Any], dollars: str) -> None:
    tokens = Tokens(**{"input_tokens": 0, "output_tokens": 0, **counts})
    assert computed_cost(provider, model, tokens, datetime(2026, 8, 1, tzinfo=UTC)) == Decimal(dollars)


@pytest.mark.parametrize(
    ("provider", "model", "counts", "why"),
    [
        ("openai", "deepseek-r1:7b", {}, "not in genai-prices"),
        (None, "deepseek-r1:7b", {}, "not in genai-prices"),
        ("openai", "llama3", {}, "not in genai-prices"),
        ("together", "deepseek-ai/deepseek-of-tomorrow", {}, "not in genai-prices"),
        ("my-own-proxy", "anthropic/claude-opus-4-8", {}, "not in genai-prices"),
        ("openrouter", "anthropic/claude-opus-4.8", HOUR, "no price for writes to a cache that is kept an hour"),
        ("deepseek", "deepseek-chat", {"web_search_requests": 1}, "no price for searches of the web"),
        ("openai", "gpt-4o", {"output_tokens": None}, "output tokens were not reported"),
        ("openai", None, {}, "the model is not known"),
    ],
)
def test_what_has_no_price_of_its_own_is_not_known_and_says_why(
    provider: str | None, model: str | None, counts: dict[str, Any], why: str
) -> None:
    tokens = Tokens(**{"input_tokens": 1_000, "output_tokens": 10, **counts})
    found = priced(provider, model, tokens, APRIL)
    assert isinstance(found, Unpriced)
    assert why in found.reason


def test_a_price_is_explained_part_by_part() -> None:
    tokens = Tokens(
        input_tokens=300_000,
        output_tokens=1_000,
        cache_read_input_tokens=10_000,
        cache_creation_input_tokens=500,
        cache_creation_1h_input_tokens=200,
        web_search_requests=2,
    )
    found = priced("anthropic", "claude-opus-4-6", tokens, APRIL)
    assert isinstance(found, Priced)
    assert (found.source, found.listed_as, found.valid_from) == (PRICE_SOURCE, "anthropic claude-opus-4-6", date(2026, 3, 13))
    assert [(part.kind, part.quantity, str(part.unit_price), part.per) for part in found.parts] == [
        ("input", 300_000, "5", 1_000_000),
        ("output", 1_000, "25", 1_000_000),
        ("cache_read", 10_000, "0.5", 1_000_000),
        ("cache_write_5m", 300, "6.25", 1_000_000),
        ("cache_write_1h", 200, "10", 1_000_000),
        ("web_search", 2, "10", 1_000),
    ]
    before = priced("anthropic", "claude-opus-4-6", tokens, FEBRUARY)
    assert isinstance(before, Priced)
    assert (before.valid_from, before.parts[0].unit_price) == (None, 10)  # long prompts cost twice as much then


@given(
    counts=st.fixed_dictionaries(
        {}, optional={name: st.integers(0, 2**53) for name in Tokens.model_fields if name != "reasoning_beside"}
    ),
    beside=st.booleans(),
    sold=st.sampled_from(
        [("anthropic", OPUS), ("openai", "gpt-5"), ("openrouter", "anthropic/claude-opus-4.8"), ("x-ai", "grok-4"), (None, "o3")]
    ),
)
def test_the_parts_of_a_price_add_up_to_it(counts: dict[str, int], beside: bool, sold: tuple[str | None, str]) -> None:
    try:
        tokens = Tokens(**counts, reasoning_beside=beside)
    except ValidationError:
        assume(False)
    found = priced(*sold, tokens, APRIL)
    if isinstance(found, Priced):
        assert found.cost == computed_cost(*sold, tokens, APRIL)
        assert found.cost == sum(Fraction(part.unit_price) * part.quantity / part.per for part in found.parts)
        assert all(part.quantity > 0 for part in found.parts)
        whole = sum(part.quantity for part in found.parts if part.kind not in {"output", "reasoning", "web_search", "request"})
        said = tokens.input_tokens or 0
        written = max(tokens.cache_creation_input_tokens or 0, tokens.cache_creation_1h_input_tokens or 0)
        assert whole in {said, said + (tokens.cache_read_input_tokens or 0) + written}


def test_a_service_tier_has_its_own_price_if_the_list_has_one() -> None:
    tokens = Tokens(input_tokens=1_000_000, output_tokens=0)
    november = datetime(2026, 11, 1, tzinfo=UTC)
    said = [
        _millionths(computed_cost("openai", "gpt-5", tokens, november, tier)) for tier in (None, "flex", "priority", "unheard of")
    ]
    assert said == [1_250_000, 625_000, 2_500_000, 1_250_000]
    short = Tokens(input_tokens=1000, output_tokens=0)
    assert computed_cost("anthropic", OPUS, short, november, "fast") == Decimal("0.01")
    batch, standard = (
        _millionths(computed_cost("anthropic", "claude-opus-4-5", short, november, tier)) for tier in ("batch", None)
    )
    assert (batch, standard) == (2500, 5000)


def test_the_callers_precision_changes_nothing() -> None:
    tokens = Tokens(input_tokens=123_456_789_012_345, output_tokens=987_654_321)
    with localcontext(prec=3):
        cost = computed_cost("openai", "gpt-4o", tokens, FEBRUARY)
    assert str(_millionths(cost)) == "308651849074072.5"  # 308641972530862.5 for the input, 9876543210 for the output


def test_every_model_of_the_list_costs_what_the_list_itself_says() -> None:
    tokens = Tokens(
        input_tokens=250_011,
        output_tokens=1_013,
        total_tokens=251_024,
        cache_read_input_tokens=10_007,
        cache_creation_input_tokens=503,
        reasoning_output_tokens=101,
    )
    usage = LibraryUsage(
        input_tokens=250_011,
        output_tokens=1_013,
        cache_read_tokens=10_007,
        cache_write_tokens=503,
        output_reasoning_tokens=101,
    )
    listed, compared = DataSnapshot(providers=providers, from_auto_update=False), 0
    for provider in providers:
        for model in provider.models:
            ours = computed_cost(provider.id, model.id, tokens, APRIL)
            if ours is not None:
                theirs = listed.calc(usage, model.id, provider.id, None, APRIL)
                assert (model.id, ours) == (model.id, theirs.total_price)
                compared += 1
    assert compared > 2000


def test_real_calls_cost_what_the_library_makes_of_their_providers_own_reports(ledger: Ledger, trajectories: Path) -> None:
    import_paths(ledger, "claude-code", [trajectories / "claude-code"])
    listed, kept_an_hour = DataSnapshot(providers=providers, from_auto_update=False), 0
    for recorded in ledger.subscribe(types=["usage.recorded"], follow=False):
        used = recorded.event
        assert isinstance(used, UsageRecorded)
        ours = computed_cost(used.provider, used.model, used.tokens, recorded.happened_at, used.service_tier)
        found = listed.extract_usage({"model": used.model, "usage": used.raw}, "anthropic")
        assert ours == found.calc_price(genai_request_timestamp=recorded.happened_at).total_price
        kept_an_hour += bool(used.tokens.cache_creation_1h_input_tokens)
    assert kept_an_hour == 26


def test_nothing_is_fetched_and_prices_that_others_fetch_are_not_used(
    anew: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the price book used the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    tokens = Tokens(input_tokens=1000, output_tokens=100)
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert computed_cost("openai", "gpt-4o", tokens, FEBRUARY) == Decimal("0.0035")
    finally:
        set_custom_snapshot(None)
