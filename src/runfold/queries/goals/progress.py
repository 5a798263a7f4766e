"""How far a goal has come, by hive's rules: its criteria, held against the decisions that have to do with them.

A decision has to do with a criterion if one of its active constraints names the criterion's id, or if at least two of the
words of the criterion's description occur in what the decision was for and why. The criterion's progress is the share of
successes among the outcomes of such decisions. It is met at its target where that is a percentage (`95%`), else at 80 %.
Met criteria count whole towards the goal and others as far as they have come, each by its weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, Unpack

from runfold.domain.decision import DecisionMade
from runfold.domain.problem import ConstraintViolated
from runfold.domain.run_events import Constraint, Criterion, Goal, RunCreated
from runfold.history.views import View
from runfold.projections.goals import GoalRow
from runfold.queries.decisions import made_at
from runfold.queries.goals.patterns import GOAL, goal_row
from runfold.queries.lists.paging import OverThreads
from runfold.queries.page import Standing
from runfold.queries.question import question
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource
from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader

MODELS = ("goals", "decision_log", "run_summaries")
Recommendation = Literal["continue", "adjust", "complete"]

EVIDENCE, VIOLATIONS, RELATED_WORDS = 5, 20, 2
_MET, _COMPLETE, _POOR, _FEW_DECISIONS = Fraction(8, 10), 0.95, 0.3, 10

_QUERIES = named_queries("runfold.queries.goals", "progress.sql")


class Evidence(View):
    """A decision that speaks for or against a criterion."""

    run_id: str
    decision_id: str
    intent: str
    success: bool
    position: int
    """The event that holds the decision."""


class CriterionProgress(View):
    """How far one criterion has come."""

    id: str
    description: str
    metric: str
    target: Any
    weight: float
    decisions: int
    """How many decisions have to do with it."""
    outcomes: int
    """Of how many of those it is known how they came out."""
    successes: int
    progress: float
    """Successes among outcomes; 0 without any."""
    met: bool
    evidence: tuple[Evidence, ...]
    """Those of the first five decisions of which it is known how they came out."""


class Violation(View):
    """A time that a run broke a constraint."""

    run_id: str
    thread_id: str
    constraint_id: str
    kind: Literal["hard", "soft"]
    description: str
    details: dict[str, Any] | None
    decision_id: str | None
    happened_at: datetime
    position: int


class GoalProgress(View):
    """How far a goal has come, over all its runs, threads and agents."""

    goal_id: str
    description: str
    """As the last run said that said anything of it; empty where none did. So are `criteria` and `constraints`."""
    criteria: tuple[CriterionProgress, ...]
    constraints: tuple[Constraint, ...]
    overall_progress: float
    """0 to 1; 0 without criteria."""
    recommendation: Recommendation
    runs: int
    completed_runs: int
    total_decisions: int
    successful_outcomes: int
    failed_outcomes: int
    success_rate: float
    """Successes among the decisions whose outcome is known; 0 without any."""
    threads: int
    """In how many threads it was decided on; hive's streams."""
    deciding_runs: int
    """In how many runs; hive's executions."""
    hard_violations: int
    soft_violations: int
    violations: tuple[Violation, ...]
    """The last twenty, newest first."""
    standing: Standing


class Decided(NamedTuple):
    """What of a decision's row matters to its goal."""

    run_id: str
    decision_id: str
    success: bool | None
    position: int


class GoalRecord(NamedTuple):
    """What the read models hold of a goal."""

    goal: GoalRow
    decisions: list[Decided]
    reach: tuple[int, int]
    violations: list[int]
    standing: Standing


@question
def goal_progress(source: LocalSource, goal_id: Annotated[str, GOAL], **waiting: Unpack[OverThreads]) -> GoalProgress:
    """How far a goal has come, criterion by criterion, and what to do. Raises GoalNotFound, ReadModelBehind."""
    with source.snapshot(*MODELS, asked=waiting) as snapshot:
        record = goal_record(snapshot, goal_id)
    return progress_of(source.reader, record)


def goal_record(snapshot: Snapshot, goal_id: str) -> GoalRecord:
    """What there is to tell. Decisions are looked at only where there are criteria to hold them against. Raises GoalNotFound."""
    goal, asked = goal_row(snapshot, goal_id), [snapshot.tenant_id, goal_id]
    decisions = [Decided(*row) for row in snapshot.query(_QUERIES["decisions towards a goal"], asked)] if goal.criteria else []
    ((threads, runs),) = snapshot.query(_QUERIES["reach of a goal"], asked)
    violations: list[int] = []
    if goal.last_violation_position is not None:
        parameters = [snapshot.standing.position, VIOLATIONS, *asked, VIOLATIONS]
        violations = [at for (at,) in snapshot.query(_QUERIES["last violations"], parameters)]
    return GoalRecord(goal, decisions, (threads, runs), violations, snapshot.standing)


def progress_of(reader: Reader, record: GoalRecord) -> GoalProgress:
    """How far it has come. Raises UnreadableEvent."""
    row, goal = record.goal, _described(reader, record.goal)
    criteria = tuple(held.progress() for held in _held_against(goal.criteria, record.decisions, reader))
    overall = _overall(criteria)
    return GoalProgress(
        goal_id=row.goal_id,
        description=goal.description,
        criteria=criteria,
        constraints=goal.constraints,
        overall_progress=overall,
        recommendation=_recommendation(row, overall),
        runs=row.runs,
        completed_runs=row.completed_runs,
        total_decisions=row.decisions,
        successful_outcomes=row.successes,
        failed_outcomes=row.failures,
        success_rate=row.successes / row.outcomes if row.outcomes else 0.0,
        threads=record.reach[0],
        deciding_runs=record.reach[1],
        hard_violations=row.hard_violations,
        soft_violations=row.soft_violations,
        violations=_violations(reader, record.violations),
        standing=record.standing,
    )


def _described(reader: Reader, row: GoalRow) -> Goal:
    """The goal's own words."""
    position = row.described_position
    created = reader.at_positions([position])[position].event if position is not None else None
    return created.goal if isinstance(created, RunCreated) and created.goal else Goal(id=row.goal_id)


@dataclass
class _Held:
    """One criterion, and the decisions that have to do with it."""

    criterion: Criterion
    decisions: int = 0
    outcomes: int = 0
    successes: int = 0
    evidence: list[Evidence] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = self.criterion.description.lower().split()

    def concerns(self, made: DecisionMade, text: str) -> bool:
        """`text` is what the decision was for and why, in small letters."""
        if any(self.criterion.id in constraint for constraint in made.active_constraints):
            return True
        return sum(word in text for word in self.words) >= RELATED_WORDS

    def add(self, decided: Decided, made: DecisionMade) -> None:
        """One more decision that has to do with it."""
        self.decisions += 1
        if decided.success is None:
            return
        self.outcomes += 1
        self.successes += decided.success
        if self.decisions <= EVIDENCE:
            self.evidence.append(
                Evidence(
                    run_id=decided.run_id,
                    decision_id=decided.decision_id,
                    intent=made.intent,
                    success=decided.success,
                    position=decided.position,
                )
            )

    def progress(self) -> CriterionProgress:
        """How far it has come. Without any decision that has to do with it, it is not met, whatever its target."""
        criterion = self.criterion
        share = Fraction(self.successes, self.outcomes) if self.outcomes else Fraction(0)
        return CriterionProgress(
            id=criterion.id,
            description=criterion.description,
            metric=criterion.metric,
            target=criterion.target,
            weight=criterion.weight,
            decisions=self.decisions,
            outcomes=self.outcomes,
            successes=self.successes,
            progress=float(share),
            met=self.decisions > 0 and share >= _target(criterion.target),
            evidence=tuple(self.evidence),
        )


def _held_against(criteria: Sequence[Criterion], decisions: Sequence[Decided], reader: Reader) -> list[_Held]:
    held = [_Held(criterion) for criterion in criteria]
    for decided, made in zip(decisions, made_at(reader, [each.position for each in decisions]), strict=True):
        text = f"{made.intent} {made.reasoning}".lower()
        for criterion in held:
            if criterion.concerns(made, text):
                criterion.add(decided, made)
    return held


def _target(target: Any) -> Fraction:
    if isinstance(target, str) and target.endswith("%"):
        try:
            share = Decimal(target.rstrip("%"))
        except InvalidOperation:
            return _MET
        return Fraction(share) / 100 if share.is_finite() else _MET
    return _MET


def _overall(criteria: Sequence[CriterionProgress]) -> float:
    weight = sum(criterion.weight for criterion in criteria)
    reached = sum(criterion.weight * (1.0 if criterion.met else criterion.progress) for criterion in criteria)
    return reached / weight if weight else 0.0


def _recommendation(row: GoalRow, progress: float) -> Recommendation:
    if row.hard_violations:
        return "adjust"
    if progress >= _COMPLETE:
        return "complete"
    return "adjust" if progress < _POOR and row.decisions > _FEW_DECISIONS else "continue"


def _violations(reader: Reader, positions: Sequence[int]) -> tuple[Violation, ...]:
    events = reader.at_positions(positions)
    return tuple(
        Violation(
            run_id=recorded.stream,
            thread_id=recorded.thread_id,
            constraint_id=event.constraint_id,
            kind=event.kind,
            description=event.description,
            details=event.details,
            decision_id=event.decision_id,
            happened_at=recorded.happened_at,
            position=recorded.position,
        )
        for recorded in (events[position] for position in positions)
        if isinstance(event := recorded.event, ConstraintViolated)
    )
