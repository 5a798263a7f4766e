"""The real runs: what `usage` answers is the counts that come with them."""

from decimal import Decimal

import pytest

from runfold.queries.reading import Reading
from tests.importers.conftest import Imported


@pytest.fixture(scope="module")
def reading(imported: Imported) -> Reading:
    """The real runs, folded."""
    imported.ledger.fold("usage")
    return imported.ledger.now


AGENTS = {
    "claude-code": ("claude-code", "claude-code:general-purpose"),
    "tau2-retail-gpt4o": ("gpt-4o",),
    "tau2-human-agent": ("agent",),
    "ag-ui-streams": ("ag-ui",),
}
EXPECTED = {
    "claude-code": (13_592, 93_649),
    "tau2-retail-gpt4o": (40_772_106, 415_393),
    "tau2-human-agent": (606_899, 27_955),
    "ag-ui-streams": (3_647, 4_885),
}


@pytest.mark.row("LT-60", "LT-62", "CV-33")
@pytest.mark.parametrize("source", EXPECTED)
def test_the_tokens_of_a_real_source_are_exact(reading: Reading, source: str) -> None:
    report = reading.usage("thread", agent=AGENTS[source])
    assert (report.total.input_tokens, report.total.output_tokens) == EXPECTED[source]
    assert sum(row.input_tokens or 0 for row in report.rows) == EXPECTED[source][0]
    assert sum(row.output_tokens or 0 for row in report.rows) == EXPECTED[source][1]


def test_all_of_them_together_are_all_there_is(reading: Reading) -> None:
    assert {row.agent for row in reading.usage("agent").rows} == {name for names in AGENTS.values() for name in names}
    total = reading.usage().total
    assert (total.input_tokens, total.output_tokens) == tuple(map(sum, zip(*EXPECTED.values(), strict=True)))


@pytest.mark.row("LT-61")
def test_caches_of_claude_code_are_exact(reading: Reading, imported: Imported) -> None:
    said = imported.counts()["claude-code"]["all"]["tokens_deduplicated_by_message_id (last usage wins)"]
    total = reading.usage(agent=AGENTS["claude-code"]).total
    assert {name: getattr(total, name) for name in said} == said


def test_what_the_two_sides_of_a_conversation_used_and_cost_is_told_apart(reading: Reading, imported: Imported) -> None:
    counts = imported.counts()["tau2-retail-gpt4o"]["all"]
    used, said = counts["usage_tokens"], counts["message_cost_usd"]
    sides = {row.node: row for row in reading.usage("node", agent="gpt-4o").rows}
    for node, side in (("agent", "assistant"), ("user_simulator", "user")):
        assert sides[node].input_tokens == used[f"{side}.prompt_tokens"]
        cost = sides[node].cost
        assert cost is not None
        assert abs(cost - Decimal(str(said[side]))) < Decimal("0.000001")
        assert list(sides[node].costs["USD"].reported) == ["local"]
    total = reading.usage(agent="gpt-4o").total
    assert total.cost == sum(row.cost for row in sides.values() if row.cost is not None)
    assert total.calls_without_cost == 0
