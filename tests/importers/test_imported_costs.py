"""What imported answers cost, from a line of a session to a sum of money."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runfold import Ledger
from runfold.importers.importing import import_paths
from runfold.queries.usage.report import UsageReport

FIELD = Path(__file__).parent / "field"
SONNET, OPUS = "claude-sonnet-4-5", "claude-opus-4-8"
MILLION = 1_000_000


def session(path: Path, usage: dict[str, Any], model: str, message_id: str) -> Path:
    """A session with one question and its answer."""
    line = {"isSidechain": False, "sessionId": "s", "timestamp": "2026-08-01T10:00:00.000Z"}
    answer = {"id": message_id, "type": "message", "role": "assistant", "model": model, "usage": usage}
    answer |= {"content": [{"type": "text", "text": "A."}], "stop_reason": "end_turn"}
    lines = [
        {**line, "type": "user", "uuid": "u1", "parentUuid": None, "message": {"role": "user", "content": "Q?"}},
        {**line, "type": "assistant", "uuid": "u2", "parentUuid": "u1", "requestId": "req_1", "message": answer},
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def asked(ledger: Ledger, path: Path) -> UsageReport:
    tally = import_paths(ledger, "claude-code", [path])
    assert tally.problems == []
    assert import_paths(ledger, "claude-code", [path]).events == 0
    ledger.fold("usage")
    return ledger.now.usage("model", explain=True)


def test_a_million_tokens_kept_an_hour_are_ten_dollars(ledger: Ledger) -> None:
    assert asked(ledger, FIELD / "cache-one-hour").total.cost == Decimal("10.00")


@pytest.mark.parametrize(
    ("usage", "model", "message_id", "costs"),
    [
        (  # 1 million of input at 3; the advisor's 100,000 at 5 and 10,000 of output at 25
            {
                "input_tokens": 100_000,
                "output_tokens": 0,
                "iterations": [
                    {"type": "message", "input_tokens": 100_000, "output_tokens": 0},
                    {"type": "advisor_message", "model": OPUS, "input_tokens": 100_000, "output_tokens": 10_000},
                ],
            },
            SONNET,
            "msg_1",
            {SONNET: "0.3", OPUS: "0.75"},
        ),
        ({"input_tokens": 0, "output_tokens": 0, "server_tool_use": {"web_search_requests": 5}}, OPUS, "msg_1", {OPUS: "0.05"}),
        ({"input_tokens": MILLION, "output_tokens": 0, "speed": "fast"}, OPUS, "msg_1", {OPUS: "10"}),
        ({"input_tokens": MILLION, "output_tokens": 0}, "deepseek-chat", "msg_1", {"deepseek-chat": "0.27"}),
        (  # caches beside the input with Bedrock, in it with OpenRouter
            {"input_tokens": MILLION, "output_tokens": 0, "cache_read_input_tokens": 400_000},
            OPUS,
            "msg_bdrk_1",
            {OPUS: "5.72"},
        ),
        (
            {"input_tokens": MILLION, "output_tokens": 0, "cache_read_input_tokens": 400_000},
            "anthropic/claude-opus-4.8",
            "gen-1-a",
            {"anthropic/claude-opus-4.8": "3.2"},
        ),
        ({"input_tokens": MILLION, "output_tokens": 0}, "our-own-model", "msg_1", {"our-own-model": None}),
    ],
)
def test_an_answer_costs_what_its_models_list_prices_make_of_it(
    ledger: Ledger, tmp_path: Path, usage: dict[str, Any], model: str, message_id: str, costs: dict[str, str | None]
) -> None:
    report = asked(ledger, session(tmp_path / "s.jsonl", usage, model, message_id))
    assert {row.model: row.cost for row in report.rows} == {
        name: None if cost is None else Decimal(cost) for name, cost in costs.items()
    }
    assert report.total.calls_without_cost == sum(cost is None for cost in costs.values())
    assert report.explanation is not None
    assert sum(price.cost for price in report.explanation.prices) == (report.total.cost or 0)
