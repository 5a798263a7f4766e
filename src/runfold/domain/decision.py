"""Decisions of a run: what was chosen among what, what came of it, and how good it was."""

from dataclasses import dataclass
from typing import Literal, assert_never

from pydantic import Field

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.life import Life
from runfold.domain.values import Count, Id, Json, JsonObject, Label, Share, Text, Value, same

DecisionType = Literal[
    "tool_selection",
    "parameter_choice",
    "path_choice",
    "output_format",
    "retry_strategy",
    "delegation",
    "termination",
    "custom",
]


class Option(Value):
    """An option that the agent could have chosen."""

    id: Id
    description: Text
    action_type: Label | None = None
    action_params: JsonObject = Field(default_factory=dict)
    pros: tuple[Text, ...] = ()
    cons: tuple[Text, ...] = ()
    confidence: Share = 0.5


class Outcome(Value):
    """The outcome of a decision. `tokens_used` and `latency_ms` are null where nobody measured."""

    success: bool
    result: Json = None
    error: Text | None = None
    summary: Text = ""
    state_changes: JsonObject = Field(default_factory=dict)
    tokens_used: Count | None = None
    latency_ms: Count | None = None


class DecisionEvent(Event):
    """Something happened to a decision."""


class DecisionMade(DecisionEvent, type="decision.made"):
    """The agent chose. `ordinal` counts the decisions of the run, from 1.

    `chosen_option_id` is the option that was chosen, and `also_chosen_option_ids` the others where several were chosen at
    once.
    """

    derived = frozenset({"ordinal"})

    decision_id: Id
    ordinal: Count
    decision_type: DecisionType
    node_id: Label | None = None
    intent: Text
    options: tuple[Option, ...]
    chosen_option_id: Id
    reasoning: Text = ""
    active_constraints: tuple[Text, ...] = ()
    input_context: JsonObject = Field(default_factory=dict)
    also_chosen_option_ids: tuple[Id, ...] = ()

    @property
    def chosen_option_ids(self) -> tuple[str, ...]:
        """Return every option that was chosen."""
        return (self.chosen_option_id, *self.also_chosen_option_ids)

    @property
    def choice(self) -> str:
        """Return what was chosen, in words; empty where the options have none."""
        described = {option.id: option.description for option in self.options}
        return "; ".join(words for chosen in self.chosen_option_ids if (words := described.get(chosen)))


class OutcomeRecorded(DecisionEvent, type="decision.outcome_recorded"):
    """The outcome of a decision is known."""

    decision_id: Id
    outcome: Outcome


class OutcomeCorrected(DecisionEvent, type="decision.outcome_corrected"):
    """The outcome of a decision was corrected. The new outcome replaces the first and is never counted beside it."""

    decision_id: Id
    previous: Outcome
    replacement: Outcome
    reason: Text | None = None


class DecisionEvaluated(DecisionEvent, type="decision.evaluated"):
    """Somebody judged a decision afterwards."""

    decision_id: Id
    goal_aligned: bool = True
    alignment_score: Share = 1.0
    better_option_id: Id | None = None
    why_better: Text | None = None
    outcome_quality: Share = 1.0
    contributed_to_success: bool | None = None
    explanation: Text = ""


AnyDecisionEvent = DecisionMade | OutcomeRecorded | OutcomeCorrected | DecisionEvaluated


@dataclass(slots=True)
class DecisionState:
    """The state of one decision that the rules need."""

    made_at: int
    options: frozenset[str]
    decision_type: DecisionType
    node_id: str | None = None
    outcome: Outcome | None = None
    evaluation: DecisionEvaluated | None = None


class Decisions:
    """The decisions of one run."""

    def __init__(self, run: Life) -> None:
        self.run = run
        self.by_id: dict[str, DecisionState] = {}

    @property
    def next_ordinal(self) -> int:
        """Return the ordinal of the next decision."""
        return len(self.by_id) + 1

    def make(self, made: DecisionMade) -> Events:
        """Record a decision. What was chosen must be among the options, each once."""
        if known := self.by_id.get(made.decision_id):
            raise AlreadyRecorded("decision", made.decision_id, self.run.id, known.made_at, made)
        self.run.require_open("decide")
        ids = [option.id for option in made.options]
        if len(set(ids)) != len(ids):
            self.run.refuse("decide", f"option ids must be unique, but they are {', '.join(ids)}")
        for chosen in made.chosen_option_ids:
            if chosen not in ids:
                self.run.refuse("decide", f"{chosen!r} is not among the `options` ({', '.join(ids) or 'none given'})")
        if len(set(made.chosen_option_ids)) != len(made.chosen_option_ids):
            self.run.refuse("decide", f"each option is chosen once, but they are {', '.join(made.chosen_option_ids)}")
        return [made]

    def record_outcome(self, decision_id: str, outcome: Outcome) -> Events:
        """Record the outcome. Repeating it records nothing; a different one needs `correct_outcome`."""
        known = self._known("record_outcome", decision_id)
        if same(known.outcome, outcome):
            return []
        if known.outcome is not None:
            self.run.refuse("record_outcome", f"decision {decision_id} has an outcome; correct it instead (`correct_outcome`)")
        self.run.require_open("record_outcome")
        return [OutcomeRecorded(decision_id=decision_id, outcome=outcome)]

    def correct_outcome(self, decision_id: str, outcome: Outcome, reason: str | None = None) -> Events:
        """Replace the outcome. This is also allowed after the run has ended."""
        known = self._known("correct_outcome", decision_id)
        if same(known.outcome, outcome):
            return []
        if known.outcome is None:
            self.run.refuse("correct_outcome", f"decision {decision_id} has no outcome yet; record one (`outcome`)")
        return [OutcomeCorrected(decision_id=decision_id, previous=known.outcome, replacement=outcome, reason=reason)]

    def evaluate(self, evaluation: DecisionEvaluated) -> Events:
        """Evaluate a decision. This is also allowed after the run has ended; each evaluation is kept."""
        known = self._known("evaluate_decision", evaluation.decision_id)
        if known.evaluation == evaluation:
            return []
        better = evaluation.better_option_id
        if better is not None and better not in known.options:
            self.run.refuse("evaluate_decision", f"{better!r} is not one of the decision's options")
        return [evaluation]

    def evolve(self, event: AnyDecisionEvent) -> None:
        """Update the state by one event."""
        match event:
            case DecisionMade():
                options = frozenset(option.id for option in event.options)
                self.by_id[event.decision_id] = DecisionState(self.run.version, options, event.decision_type, event.node_id)
            case OutcomeRecorded():
                self.by_id[event.decision_id].outcome = event.outcome
            case OutcomeCorrected():
                self.by_id[event.decision_id].outcome = event.replacement
            case DecisionEvaluated():
                self.by_id[event.decision_id].evaluation = event
            case _:
                assert_never(event)

    def _known(self, command: str, decision_id: str) -> DecisionState:
        known = self.by_id.get(decision_id)
        if known is None:
            self.run.refuse(command, f"this run has no decision {decision_id!r}")
        return known
