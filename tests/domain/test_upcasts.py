"""What was stored in a former shape, read in today's."""

import json
from typing import Any

import pytest

from runfold.domain.catalogue import event_types
from runfold.domain.usage import CostReported, Tokens, UsageRecorded


def usage_of_version_1(raw: Any, **tokens: int) -> UsageRecorded:
    """As it was stored before its report was read for one-hour cache writes and web searches."""
    event = event_types.read("usage.recorded", 1, json.dumps({"usage_id": "usage_1", "tokens": tokens, "raw": raw}).encode())
    assert isinstance(event, UsageRecorded)
    return event


REPORT = {
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 900},
    "server_tool_use": {"web_search_requests": 3},
}


def test_a_usage_of_before_says_what_its_report_says() -> None:
    usage = usage_of_version_1(REPORT, input_tokens=5, cache_creation_input_tokens=1000)
    assert usage.tokens == Tokens(
        input_tokens=5, cache_creation_input_tokens=1000, cache_creation_1h_input_tokens=900, web_search_requests=3
    )
    assert usage.raw == REPORT


def test_a_report_that_says_nothing_of_them_leaves_them_unknown() -> None:
    for raw in (None, {}, {"cache_creation": None, "server_tool_use": []}):
        assert usage_of_version_1(raw, input_tokens=5).tokens == Tokens(input_tokens=5)


@pytest.mark.parametrize("count", [-1, 2**63, 1.5, "7", True, None, [], 1001])
def test_a_count_that_could_not_be_recorded_stays_in_the_report(count: Any) -> None:
    raw = {"cache_creation": {"ephemeral_1h_input_tokens": count}, "server_tool_use": {"web_search_requests": -1}}
    usage = usage_of_version_1(raw, cache_creation_input_tokens=1000)
    assert usage.tokens == Tokens(cache_creation_input_tokens=1000)
    assert usage.raw == raw


def test_a_usage_that_stated_them_is_not_asked_its_report() -> None:
    stored = {"usage_id": "usage_1", "tokens": {"input_tokens": 5, "web_search_requests": 1}, "raw": REPORT}
    event = event_types.read("usage.recorded", 2, json.dumps(stored).encode())
    assert isinstance(event, UsageRecorded)
    assert event.tokens == Tokens(input_tokens=5, web_search_requests=1)


def test_a_cost_of_before_keeps_the_source_that_it_was_recorded_with() -> None:
    stored = {"cost_id": "cost_1", "amount": "0.5", "currency": "USD", "source": "provider"}
    event = event_types.read("usage.cost_reported", 1, json.dumps(stored).encode())
    assert isinstance(event, CostReported)
    assert event.source == "provider"
