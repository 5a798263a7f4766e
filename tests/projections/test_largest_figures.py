"""What nobody used or waited for, but somebody may report, stops nothing: each figure ends at the largest that is taken."""

from datetime import UTC, datetime

from runfold import Ledger
from runfold.domain.values import INT_LIMIT

MOST = INT_LIMIT - 1
BEFORE_TIME = datetime(1, 1, 1, tzinfo=UTC)
"""The zero time of other languages."""


def test_no_sum_or_duration_that_can_be_recorded_stops_a_read_model(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="a", occurred_at=BEFORE_TIME).start_run(occurred_at=BEFORE_TIME)
    for _ in range(2):
        used = run.usage(input_tokens=MOST, output_tokens=MOST)
        decision = run.decide("which", options=[{"id": "a", "description": "a"}], chosen="a", occurred_at=BEFORE_TIME)
        decision.outcome(success=True, tokens_used=MOST, latency_ms=MOST)
        call = run.call_tool("t", {}, occurred_at=BEFORE_TIME)
        call.succeed(None)
        run.request_approval("go", arguments={}, occurred_at=BEFORE_TIME).grant(actor="human:ada")
    used.correct(reason="one less", input_tokens=MOST - 1, output_tokens=MOST)
    run.complete()
    told = [entry for event in run.ag_ui() for entry in event.get("usage", ())]
    assert max(count for entry in told for count in entry.values()) == 2**53 - 1, "all that AG-UI takes"
    ledger.fold()
    stopped = {each.name: each.error for each in ledger.projections() if each.position != ledger.position()}
    assert stopped == {}
    (said,) = ledger.now.runs().items
    assert said.input_tokens == MOST - 1  # corrected from a sum that ends at MOST
    assert said.output_tokens == said.decision_tokens == said.decision_latency_ms == said.duration_ns == MOST
