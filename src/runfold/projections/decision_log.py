"""Decisions: what was chosen, what came of it, how good it was. The words are in the events at the positions given here.

What two decisions have in common is kept as digests: of an intent its first 50 characters, by which hive groups choices
into patterns; of a choice the description of the chosen option, for option ids like `action` say little; of an error its
whole text, by which failures are counted.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from runfold.domain.decision import (
    DecisionEvaluated,
    DecisionMade,
    DecisionType,
    Outcome,
    OutcomeCorrected,
    OutcomeRecorded,
)
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded
from runfold.domain.values import digest
from runfold.projections.projection import Key, Projection, Row

INTENT_LENGTH = 50
"""Characters of an intent that make a pattern."""

Changes = dict[str, Any]


class DecisionRow(Row):
    """One decision."""

    run_id: str
    """The run that decided."""
    decision_id: str
    """The decision."""
    thread_id: str = ""
    """The thread of the run."""
    agent_id: str | None = None
    """Who runs."""
    goal_id: str | None = None
    """What the run is for."""
    node_id: str | None = None
    """The node of the run's graph; null where nobody said."""
    ordinal: int = 0
    """Its number among the decisions of the run, from 1."""
    decision_type: DecisionType = "custom"
    """What kind of decision it is."""
    made_at: datetime | None = None
    """When it was made, by the producer's clock where it gave one."""
    made_position: int = 0
    """The event that holds its intent, options and reasoning."""
    intent_digest: str = ""
    """SHA-256 of the first 50 characters of the intent: equal for the same pattern."""
    options: int = 0
    """How many options there were."""
    chosen_option_id: str = ""
    """The option that was chosen, or the first of several; the event has all of them."""
    choice_digest: str = ""
    """SHA-256 of the description of what was chosen."""
    first_alternative_option_id: str | None = None
    """The first option that was not chosen; null where there was no other."""
    active_constraints: int = 0
    """How many constraints were active."""
    has_input_context: bool = False
    """Whether it says what it was made from."""

    outcome_success: bool | None = None
    """Whether it came out well, by the last word; null while no outcome is known."""
    outcome_at: datetime | None = None
    """When that was said."""
    outcome_position: int | None = None
    """The event that holds the outcome that counts."""
    outcome_corrections: int = 0
    """How many times the outcome was corrected."""
    error_digest: str | None = None
    """SHA-256 of the outcome's error; null where it has none."""
    has_summary: bool = False
    """Whether the outcome has a summary."""
    tokens_used: int | None = None
    """Tokens that the outcome says; null where it does not."""
    latency_ms: int | None = None
    """Milliseconds that the outcome says; null where it does not."""

    evaluations: int = 0
    """How many times it was judged afterwards; what follows is the last judgement."""
    evaluation_position: int | None = None
    """The event that holds it."""
    goal_aligned: bool | None = None
    """Whether it served the goal; null while nobody judged."""
    alignment_score: float | None = None
    """How well it did, 0 to 1."""
    outcome_quality: float | None = None
    """How good its outcome was, 0 to 1."""
    better_option_id: str | None = None
    """The option that would have been better; null where the judge names none."""
    contributed_to_success: bool | None = None
    """Whether it helped; null where the judge does not say."""


class DecisionLog(Projection[DecisionRow]):
    """One row per decision: the choice, its outcome and its evaluation."""

    name, version = "decision_log", 3
    row = DecisionRow
    key = ("run_id", "decision_id")
    events = (DecisionMade, OutcomeRecorded, OutcomeCorrected, DecisionEvaluated)
    indexes = (
        ("made_position",),
        ("run_id", "ordinal"),
        ("run_id", "made_position"),
        ("thread_id", "made_position"),
        ("goal_id", "made_position"),
        ("node_id", "made_position"),
        ("agent_id", "made_position"),
        ("decision_id",),
        ("decision_type", "made_position"),
    )
    partition = "thread"

    def keys(self, recorded: Recorded) -> Iterable[Key]:
        """The decision it is about."""
        event: Any = recorded.event  # each class of event that it looks at names the decision
        return ((recorded.stream, event.decision_id),)

    def evolve(self, row: DecisionRow, recorded: Recorded) -> DecisionRow:
        """The decision after something happened to it."""
        return row.but(_CHANGE[type(recorded.event)](row, recorded, recorded.event))


def _made(_: DecisionRow, recorded: Recorded, event: DecisionMade) -> Changes:
    context, chosen = recorded.context, event.chosen_option_ids
    alternative = next((option.id for option in event.options if option.id not in chosen), None)
    return {
        "thread_id": recorded.thread_id,
        "agent_id": context.agent_id,
        "goal_id": context.goal_id,
        "node_id": event.node_id,
        "ordinal": event.ordinal,
        "decision_type": event.decision_type,
        "made_at": recorded.happened_at,
        "made_position": recorded.position,
        "intent_digest": digest(event.intent[:INTENT_LENGTH]),
        "options": len(event.options),
        "chosen_option_id": event.chosen_option_id,
        "choice_digest": digest(event.choice),
        "first_alternative_option_id": alternative,
        "active_constraints": len(event.active_constraints),
        "has_input_context": bool(event.input_context),
    }


def _outcome_recorded(_: DecisionRow, recorded: Recorded, event: OutcomeRecorded) -> Changes:
    return _outcome(recorded, event.outcome)


def _outcome_corrected(row: DecisionRow, recorded: Recorded, event: OutcomeCorrected) -> Changes:
    return {**_outcome(recorded, event.replacement), "outcome_corrections": row.outcome_corrections + 1}


def _outcome(recorded: Recorded, outcome: Outcome) -> Changes:
    return {
        "outcome_success": outcome.success,
        "outcome_at": recorded.happened_at,
        "outcome_position": recorded.position,
        "error_digest": None if outcome.error is None else digest(outcome.error),
        "has_summary": bool(outcome.summary),
        "tokens_used": outcome.tokens_used,
        "latency_ms": outcome.latency_ms,
    }


def _evaluated(row: DecisionRow, recorded: Recorded, event: DecisionEvaluated) -> Changes:
    return {
        "evaluations": row.evaluations + 1,
        "evaluation_position": recorded.position,
        "goal_aligned": event.goal_aligned,
        "alignment_score": event.alignment_score,
        "outcome_quality": event.outcome_quality,
        "better_option_id": event.better_option_id,
        "contributed_to_success": event.contributed_to_success,
    }


_CHANGE: dict[type[Event], Callable[[DecisionRow, Recorded, Any], Changes]] = {
    DecisionMade: _made,
    OutcomeRecorded: _outcome_recorded,
    OutcomeCorrected: _outcome_corrected,
    DecisionEvaluated: _evaluated,
}
