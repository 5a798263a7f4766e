"""The handles of a decision and of a problem, and the commands of a run that record them."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.submitted import Receipt
from runfold.domain.decision import DecisionEvaluated, DecisionMade, DecisionType, Option, Outcome
from runfold.domain.event import Event
from runfold.domain.problem import ConstraintViolated, ProblemReported, Severity
from runfold.domain.run import Run as RunState
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.handle import Child, Handle
from runfold.handles.calling.run_plan import child_of, run_plan


class Decision(Child):
    """Names a decision of a run."""

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
    """Names a problem of a run."""

    @command
    def resolve(self, resolution: str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Say that it is mended. Allowed after the run's end too."""
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


@command
def decide(
    self: Handle,
    intent: str,
    *,
    options: Iterable[Option | Mapping[str, Any]],
    chosen: str,
    also_chosen: Iterable[str] = (),
    reasoning: str = "",
    decision_type: DecisionType = "custom",
    node_id: str | None = None,
    constraints: Iterable[str] = (),
    context: dict[str, Any] | None = None,
    decision_id: str | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[Decision]:
    """Record a choice among options, by the id of the chosen one. `also_chosen` names others that were chosen with it."""
    made_id = self.executor.new_id("dec") if decision_id is None else decision_id
    models = tuple(option if isinstance(option, Option) else Option.model_validate(option, strict=False) for option in options)

    def decide(run: RunState) -> list[Event]:
        made = DecisionMade(
            decision_id=made_id,
            ordinal=run.decisions.next_ordinal,
            decision_type=decision_type,
            node_id=run.steps.node_id if node_id is None else node_id,
            intent=intent,
            options=models,
            chosen_option_id=chosen,
            reasoning=reasoning,
            active_constraints=tuple(constraints),
            input_context=context or {},
            also_chosen_option_ids=tuple(also_chosen),
        )
        return run.decisions.make(made)

    return run_plan(self.id, decide, envelope, child_of(self, Decision, made_id))


@command
def report_problem(
    self: Handle,
    severity: Severity,
    description: str,
    *,
    root_cause: str | None = None,
    decision_id: str | None = None,
    suggested_fix: str | None = None,
    problem_id: str | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[Problem]:
    """Report something wrong. Allowed after the run's end too."""
    problem = ProblemReported(
        problem_id=self.executor.new_id("prob") if problem_id is None else problem_id,
        severity=severity,
        description=description,
        root_cause=root_cause,
        decision_id=decision_id,
        suggested_fix=suggested_fix,
    )
    return run_plan(self.id, lambda run: run.problems.report(problem), envelope, child_of(self, Problem, problem.problem_id))


@command
def violate_constraint(
    self: Handle,
    constraint_id: str,
    kind: Literal["hard", "soft"],
    description: str,
    *,
    decision_id: str | None = None,
    details: dict[str, Any] | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[Receipt]:
    """Record that a constraint of the goal was broken."""
    violation = ConstraintViolated(
        constraint_id=constraint_id, kind=kind, description=description, decision_id=decision_id, details=details
    )
    return run_plan(self.id, lambda run: run.problems.violate(violation), envelope)
