"""hive's words for a run and what it holds, as views of what is recorded: its fields, its computed ones, its defaults.

hive has a zero where nobody measured, and an empty text where nobody said anything; so have these. What is not known stands
in the ledger's own views, `ledger.now.run(…)` and `ledger.now.summary(…)`, as null.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

UNKNOWN = "unknown"
FAILED_ON = 3
"""How many intents of failed decisions a narrative names."""
GOOD_QUALITY = 0.5
"""A judged decision is a good one where its outcome is better than this."""


class RunStatus(StrEnum):
    """How a run stands, in hive's five words."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STUCK = "stuck"
    CANCELLED = "cancelled"


class DecisionType(StrEnum):
    """What kind of decision it is."""

    TOOL_SELECTION = "tool_selection"
    PARAMETER_CHOICE = "parameter_choice"
    PATH_CHOICE = "path_choice"
    OUTPUT_FORMAT = "output_format"
    RETRY_STRATEGY = "retry_strategy"
    DELEGATION = "delegation"
    TERMINATION = "termination"
    CUSTOM = "custom"


class View(BaseModel):
    """What was recorded, in hive's words. It is no place to record anything: that is the tracker's."""

    model_config = ConfigDict(frozen=True)


class Option(View):
    """An option that was there to be chosen."""

    id: str
    description: str = ""
    action_type: str = UNKNOWN
    action_params: dict[str, Any] = Field(default_factory=dict)
    pros: list[str] = Field(default_factory=list)
    cons: list[str] = Field(default_factory=list)
    confidence: float = 0.5


class Outcome(View):
    """What came of a decision."""

    success: bool
    result: Any = None
    error: str | None = None
    state_changes: dict[str, Any] = Field(default_factory=dict)
    tokens_used: int = 0
    latency_ms: int = 0
    summary: str = ""
    timestamp: datetime


class DecisionEvaluation(View):
    """How somebody judged a decision afterwards."""

    goal_aligned: bool = True
    alignment_score: float = 1.0
    better_option_existed: bool = False
    better_option_id: str | None = None
    why_better: str | None = None
    outcome_quality: float = 1.0
    contributed_to_success: bool | None = None
    explanation: str = ""


class Decision(View):
    """A choice, with what came of it and how it was judged."""

    id: str
    timestamp: datetime
    node_id: str
    intent: str
    decision_type: DecisionType = DecisionType.CUSTOM
    options: list[Option] = Field(default_factory=list)
    chosen_option_id: str = ""
    reasoning: str = ""
    active_constraints: list[str] = Field(default_factory=list)
    input_context: dict[str, Any] = Field(default_factory=dict)
    outcome: Outcome | None = None
    evaluation: DecisionEvaluation | None = None

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way, which mypy does not know
    @property
    def chosen_option(self) -> Option | None:
        """The option that was chosen."""
        return next((option for option in self.options if option.id == self.chosen_option_id), None)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def was_successful(self) -> bool:
        """Whether its outcome is known and good."""
        return self.outcome is not None and self.outcome.success

    @computed_field  # type: ignore[prop-decorator]
    @property
    def was_good_decision(self) -> bool:
        """Whether it was judged good; where nobody judged it, whether it was successful."""
        if self.evaluation is None:
            return self.was_successful
        return self.evaluation.goal_aligned and self.evaluation.outcome_quality > GOOD_QUALITY

    def summary_for_builder(self) -> str:
        """The decision in one line: a tick or a cross, its node, what for, what was chosen, and how good it was."""
        quality = "" if self.evaluation is None else f" [quality: {self.evaluation.outcome_quality:.1f}]"
        chosen = self.chosen_option.description if self.chosen_option else "unknown action"
        return f"{'✓' if self.was_successful else '✗'} [{self.node_id}] {self.intent} → {chosen}{quality}"


class Problem(View):
    """Something that went wrong."""

    id: str
    severity: Literal["critical", "warning", "minor"]
    description: str
    root_cause: str | None = None
    decision_id: str | None = None
    timestamp: datetime
    suggested_fix: str | None = None


class RunMetrics(View):
    """What the decisions of a run add up to."""

    total_decisions: int = 0
    successful_decisions: int = 0
    failed_decisions: int = 0
    total_tokens: int = 0
    total_latency_ms: int = 0
    nodes_executed: list[str] = Field(default_factory=list)
    edges_traversed: list[str] = Field(default_factory=list)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def success_rate(self) -> float:
        """Successes among all decisions; 0 without any."""
        return self.successful_decisions / self.total_decisions if self.total_decisions else 0.0


class Run(View):
    """A run with all its decisions and problems."""

    id: str
    goal_id: str
    started_at: datetime
    status: RunStatus = RunStatus.RUNNING
    completed_at: datetime | None = None
    decisions: list[Decision] = Field(default_factory=list)
    problems: list[Problem] = Field(default_factory=list)
    metrics: RunMetrics = RunMetrics()
    narrative: str = ""
    """Its own, where it ended with one; else made from the rest once it has ended."""
    goal_description: str = ""
    input_data: dict[str, Any] = Field(default_factory=dict)
    output_data: dict[str, Any] = Field(default_factory=dict)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def duration_ms(self) -> int:
        """The time between its beginning and its end; 0 until it has ended."""
        if self.completed_at is None:
            return 0
        return max(0, round((self.completed_at - self.started_at).total_seconds() * 1000))

    def default_narrative(self) -> str:
        """How it stands, its decisions in numbers, its problems, and what it failed on."""
        ended = {"completed": "completed successfully", "cancelled": "was cancelled", "stuck": "is stuck", "running": "goes on"}
        counted = self.metrics
        outcomes = f"{counted.successful_decisions} succeeded, {counted.failed_decisions} failed"
        told = [f"Run {ended.get(self.status, 'failed')}.", f"Made {counted.total_decisions} decisions: {outcomes}."]
        for title, severity in (("Critical issues", "critical"), ("Warnings", "warning")):
            if found := [problem.description for problem in self.problems if problem.severity == severity]:
                told.append(f"{title}: {', '.join(found)}")
        if failed := [made.intent for made in self.decisions if not made.was_successful][:FAILED_ON]:
            told.append(f"Failed on: {', '.join(failed)}")
        return " ".join(told)
