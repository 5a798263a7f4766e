"""The handles of a decision and of a problem."""

from typing import Any, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.domain.decision import DecisionEvaluated, Outcome
from runfold.handles.command import command, submitting
from runfold.handles.handle import Child
from runfold.handles.run_plan import run_plan


class Decision(Child):
    """A decision of a run."""

    @command
    def outcome(
        self,
        *,
        success: bool,
        result: Any = None,
        error: str | None = None,
        summary: str = "",
        state_changes: dict[str, Any] | None = None,
        tokens_used: int | None = None,
        latency_ms: int | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Record what came of it. Another outcome later is a correction."""
        outcome = _outcome(success, result, error, summary, state_changes, tokens_used, latency_ms)
        return run_plan(self.run_id, lambda run: run.decisions.record_outcome(self.id, outcome), envelope)

    @command
    def correct_outcome(
        self,
        *,
        success: bool,
        result: Any = None,
        error: str | None = None,
        summary: str = "",
        state_changes: dict[str, Any] | None = None,
        tokens_used: int | None = None,
        latency_ms: int | None = None,
        reason: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Replace the recorded outcome. Allowed after the run's end too."""
        outcome = _outcome(success, result, error, summary, state_changes, tokens_used, latency_ms)
        return run_plan(self.run_id, lambda run: run.decisions.correct_outcome(self.id, outcome, reason), envelope)

    @command
    def evaluate(
        self,
        *,
        goal_aligned: bool = True,
        alignment_score: float = 1.0,
        better_option_id: str | None = None,
        why_better: str | None = None,
        outcome_quality: float = 1.0,
        contributed_to_success: bool | None = None,
        explanation: str = "",
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Judge it. Allowed after the run's end too."""
        evaluation = DecisionEvaluated(
            decision_id=self.id,
            goal_aligned=goal_aligned,
            alignment_score=alignment_score,
            better_option_id=better_option_id,
            why_better=why_better,
            outcome_quality=outcome_quality,
            contributed_to_success=contributed_to_success,
            explanation=explanation,
        )
        return run_plan(self.run_id, lambda run: run.decisions.evaluate(evaluation), envelope)

    submit_outcome = submitting(outcome)
    submit_correct_outcome = submitting(correct_outcome)
    submit_evaluate = submitting(evaluate)


class Problem(Child):
    """A problem of a run."""

    @command
    def resolve(self, resolution: str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """It is mended. Allowed after the run's end too."""
        return run_plan(self.run_id, lambda run: run.problems.resolve(self.id, resolution), envelope)

    submit_resolve = submitting(resolve)


def _outcome(
    success: bool,
    result: Any,
    error: str | None,
    summary: str,
    state_changes: dict[str, Any] | None,
    tokens_used: int | None,
    latency_ms: int | None,
) -> Outcome:
    return Outcome(
        success=success,
        result=result,
        error=error,
        summary=summary,
        state_changes=state_changes or {},
        tokens_used=tokens_used,
        latency_ms=latency_ms,
    )
