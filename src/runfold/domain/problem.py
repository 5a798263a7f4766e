"""Problems of a run: what went wrong beside its decisions, and constraints that were broken."""

from dataclasses import dataclass
from typing import Literal, assert_never

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.life import Life
from runfold.domain.values import Id, JsonObject, Text

Severity = Literal["critical", "warning", "minor"]


class ProblemEvent(Event):
    """Something happened to a problem."""


class ProblemReported(ProblemEvent, type="problem.reported"):
    """Something is wrong."""

    problem_id: Id
    severity: Severity
    description: Text
    root_cause: Text | None = None
    decision_id: Id | None = None
    suggested_fix: Text | None = None


class ProblemResolved(ProblemEvent, type="problem.resolved"):
    """It is wrong no longer."""

    problem_id: Id
    resolution: Text


class ConstraintViolated(ProblemEvent, type="constraint.violated"):
    """The run broke a rule of its goal."""

    constraint_id: Id
    kind: Literal["hard", "soft"]
    description: Text
    decision_id: Id | None = None
    details: JsonObject | None = None


AnyProblemEvent = ProblemReported | ProblemResolved | ConstraintViolated


@dataclass(slots=True)
class ProblemState:
    """The state of one problem that the rules need."""

    reported_at: int
    severity: Severity
    resolved: bool = False


class Problems:
    """The problems of one run."""

    def __init__(self, run: Life) -> None:
        self.run = run
        self.by_id: dict[str, ProblemState] = {}

    def report(self, problem: ProblemReported) -> Events:
        """Report a problem. This is also allowed after the run has ended."""
        if known := self.by_id.get(problem.problem_id):
            raise AlreadyRecorded("problem", problem.problem_id, self.run.id, known.reported_at, problem)
        return [problem]

    def resolve(self, problem_id: str, resolution: str) -> Events:
        """Resolve a problem. Resolving it again changes nothing."""
        known = self.by_id.get(problem_id)
        if known is None:
            self.run.refuse("resolve_problem", f"this run has no problem {problem_id!r}")
        return [] if known.resolved else [ProblemResolved(problem_id=problem_id, resolution=resolution)]

    def violate(self, violation: ConstraintViolated) -> Events:
        """Record that a constraint was violated."""
        self.run.require_open("violate_constraint")
        return [violation]

    def evolve(self, event: AnyProblemEvent) -> None:
        """Update the state by one event."""
        match event:
            case ProblemReported():
                self.by_id[event.problem_id] = ProblemState(self.run.version, event.severity)
            case ProblemResolved():
                self.by_id[event.problem_id].resolved = True
            case ConstraintViolated():
                return
            case _:
                assert_never(event)
