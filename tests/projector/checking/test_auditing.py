"""`runfold check` proves from the receipts that every event was applied once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest

from runfold import Ledger
from runfold.projector.checking.auditing import receipt_findings

if TYPE_CHECKING:
    from tests.databases import TestDatabase

ORDINARY = 7


@pytest.fixture
def folded(ledger: Ledger) -> Ledger:
    """A ledger with a few runs, folded in two goes."""
    for number in range(ORDINARY):
        run = ledger.create_thread(agent_id="support").start_run()
        run.add_message("user", f"question {number}")
        run.usage(provider="openai", model="gpt-4o", input_tokens=number)
        run.complete()
        if number == 3:
            ledger.fold()
    ledger.fold()
    return ledger


@pytest.fixture
def admin(database: "TestDatabase") -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Somebody with all rights."""
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        yield connection


def found(ledger: Ledger) -> list[str]:
    return [finding.fact for finding in receipt_findings(ledger.recorder.store)]


def test_sound_read_models_have_no_findings(folded: Ledger):
    assert found(folded) == []


def test_a_ledger_without_read_models_has_none_either(ledger: Ledger):
    ledger.create_thread()
    assert found(ledger) == []


@pytest.mark.fault("G7")
@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ("UPDATE runfold.checkpoints SET position = position - 3 WHERE name = 'usage'", "usage is at position"),
        ("DELETE FROM runfold.receipts WHERE name = 'usage'", "its receipts are for nothing"),
        ("UPDATE runfold.receipts SET events = events + 1 WHERE name = 'usage'", "usage has a receipt for 8 events"),
        ("UPDATE runfold.receipts SET digest = digest + 1 WHERE name = 'usage'", "and the log has 7 other ones"),
        ("UPDATE runfold.checkpoints SET epoch = gen_random_uuid() WHERE name = 'usage'", "built from another log"),
        ("UPDATE runfold.checkpoints SET position = position + 3 WHERE name = 'usage'", "and the ledger ends at"),
    ],
)
def test_what_cannot_be_is_named(folded: Ledger, admin: psycopg.Connection[tuple[object, ...]], change: str, fact: str):
    admin.execute(change)
    facts = found(folded)
    assert facts
    assert any(fact in said for said in facts), facts
