"""A ledger whose words are hard to write down, and its read models."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from runfold import Ledger, Settings
from runfold.domain.values import digest
from tests.databases import TestDatabase

HARD = ["", ",", '"', '""', "a\nb", "c\r\nd", "\\.", "\\N", "\t", "NULL", "{x}", "ä\u2028🦉", " 'q' ", "\x01\x02", "%s"]
"""Texts that files of one kind or another have been known to spoil."""

HAPPENED_AT = datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=2)))


def record(ledger: Ledger, runs: int) -> None:
    """Runs with messages, tool calls, decisions, usage and costs."""
    with ledger.batch() as batch:
        for number in range(runs):
            run = batch.create_thread(agent_id="support").start_run(goal={"id": f"goal-{number % 2}"})
            for text in HARD:
                run.add_message("user", f"{text}!", actor="human:ada:x", occurred_at=HAPPENED_AT, correlation_id="c-1")
            run.call_tool("look_up", {"order": number, "exact": 0.1, "large": 2**60, "texts": HARD}).succeed({"sent": None})
            used = run.usage(provider="openai", model="gpt-4o", input_tokens=812, output_tokens=64)
            run.report_cost(f"0.{number + 1:018}", "EUR", usage_id=used.id)
            run.report_cost("12345678901234567890.5", "USD", usage_id=used.id)
            run.decide("answer", options=[{"id": "a", "description": "say"}], chosen="a").outcome(success=True, summary="said")
            run.complete(output={"done": True})


@pytest.fixture
def recorded(ledger: Ledger) -> Ledger:
    """This test's ledger, with three runs in it."""
    record(ledger, 3)
    caller = ledger.caller._replace(key="asked once", request=digest("what was asked"))
    ledger.on_behalf(caller).create_thread(agent_id="support")
    return ledger


@pytest.fixture
def neighbour(database: TestDatabase) -> Iterator[Ledger]:
    """The ledger of another tenant in the same database."""
    with Ledger.open(settings=Settings(database_url=database.url, tenant="neighbour")) as opened:
        yield opened


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Where exports go, in a folder with a name that is hard to write down too."""
    return tmp_path / "a [b]*? 'c'"
