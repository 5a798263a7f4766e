"""What a run's stream says, in hive's words."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runfold.adapters.hive.schemas import (
    UNKNOWN,
    Decision,
    DecisionEvaluation,
    Option,
    Outcome,
    Problem,
    Run,
    RunMetrics,
    RunStatus,
)
from runfold.domain import decision as decisions
from runfold.domain.problem import ProblemReported
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunCompleted, RunCreated, RunFailed, RunOutputRecorded
from runfold.projections.run_summaries import RunSummaries
from runfold.projections.runs.summary import RunSummary
from runfold.queries.reading import Reading

_RUNS = RunSummaries()
_STATUS = {"created": RunStatus.RUNNING, "waiting": RunStatus.RUNNING}
"""hive has one word for what has not ended, but for what is stuck."""
NO_REASON = "the execution failed and gave no reason"
"""What a failure says of which hive was told no narrative."""


def run_view(reading: Reading, run_id: str) -> Run:
    """Return a run as hive shows it, now or as of the moment that is asked about. Raises RunNotFound."""
    return run_of(reading.run_events(run_id))


def run_of(events: Iterable[Recorded]) -> Run:
    """Return what the events of a run's stream say of it, the first of which creates it."""
    first, *others = events
    told = _Told(RunSummary(run_id=first.stream))
    for recorded in (first, *others):
        told.take_in(recorded)
    return told.view()


def decision_view(made: decisions.DecisionMade, at: datetime) -> Decision:
    """Return a decision as it was made."""
    return Decision(
        id=made.decision_id,
        timestamp=at,
        node_id=made.node_id or UNKNOWN,
        intent=made.intent,
        decision_type=made.decision_type,
        options=[_option(option) for option in made.options],
        chosen_option_id=made.chosen_option_id,
        reasoning=made.reasoning,
        active_constraints=list(made.active_constraints),
        input_context=made.input_context,
    )


def outcome_view(outcome: decisions.Outcome, at: datetime) -> Outcome:
    """Return what came of a decision."""
    known = {name: value for name, value in outcome.model_dump().items() if value is not None}
    return Outcome(timestamp=at, **known)


def _option(option: decisions.Option) -> Option:
    return Option(**{**option.model_dump(), "action_type": option.action_type or UNKNOWN})


def _evaluation(judged: decisions.DecisionEvaluated) -> DecisionEvaluation:
    return DecisionEvaluation(
        better_option_existed=judged.better_option_id is not None or judged.why_better is not None,
        **judged.model_dump(exclude={"decision_id"}),
    )


@dataclass
class _Told:
    """What is known of a run while its events are read. Its state and its numbers are those of the read model of runs."""

    row: RunSummary
    facts: dict[str, Any] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    narrative: str | None = None

    def take_in(self, recorded: Recorded) -> None:
        """One more event."""
        self.row = _RUNS.evolve(self.row, recorded)
        event, at = recorded.event, recorded.happened_at
        match event:
            case RunCreated():
                self._create(event)
            case RunOutputRecorded():
                self.facts["output_data"] = _as_object(event.output)
            case RunCompleted() | RunFailed() | RunCancelled():
                self._end(event)
            case ProblemReported():
                self.problems.append(Problem(id=event.problem_id, timestamp=at, **event.model_dump(exclude={"problem_id"})))
            case decisions.DecisionMade():
                self.decisions[event.decision_id] = decision_view(event, at)
            case decisions.OutcomeRecorded():
                self._change(event.decision_id, outcome=outcome_view(event.outcome, at))
            case decisions.OutcomeCorrected():
                self._change(event.decision_id, outcome=outcome_view(event.replacement, at))
            case decisions.DecisionEvaluated():
                self._change(event.decision_id, evaluation=_evaluation(event))
            case _:
                return

    def _create(self, created: RunCreated) -> None:
        goal = created.goal
        self.facts["input_data"] = _as_object(created.input)
        self.facts |= {"goal_id": goal.id if goal else "", "goal_description": goal.description if goal else ""}

    def _end(self, ending: RunCompleted | RunFailed | RunCancelled) -> None:
        match ending:
            case RunCompleted():
                self.narrative = ending.narrative
                if ending.output is not None:
                    self.facts["output_data"] = _as_object(ending.output)
            case RunFailed() if ending.error.message != NO_REASON:
                self.narrative = ending.error.message
            case RunCancelled():
                self.narrative = ending.reason

    def _change(self, decision_id: str, **changes: Any) -> None:
        self.decisions[decision_id] = self.decisions[decision_id].model_copy(update=changes)

    def view(self) -> Run:
        """The run."""
        row = self.row
        run = Run(
            id=row.run_id,
            started_at=row.started_at or row.created_at,
            status=_STATUS.get(row.status) or RunStatus(row.status),
            completed_at=row.finished_at,
            decisions=list(self.decisions.values()),
            problems=self.problems,
            metrics=_metrics(row),
            **self.facts,
        )
        if run.completed_at is None:
            return run
        return run.model_copy(update={"narrative": self.narrative or run.default_narrative()})


def _metrics(row: RunSummary) -> RunMetrics:
    return RunMetrics(
        total_decisions=row.decisions,
        successful_decisions=row.successful_decisions,
        failed_decisions=row.failed_decisions,
        total_tokens=row.decision_tokens or 0,
        total_latency_ms=row.decision_latency_ms or 0,
        nodes_executed=list(row.nodes_executed),
        edges_traversed=list(row.edges_traversed),
    )


def _as_object(value: Any) -> dict[str, Any]:
    """Inputs and outputs of hive are objects; anything else stands in one, as `value`."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"value": value}
