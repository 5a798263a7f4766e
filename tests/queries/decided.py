"""Decisions to ask about, and hive's rules told once more: over the events alone, decision by decision, as hive goes."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from runfold import Decision, Ledger, Run
from runfold.domain.decision import DecisionEvaluated, DecisionMade, Outcome, OutcomeCorrected, OutcomeRecorded
from runfold.domain.problem import ProblemReported
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import Goal, RunCancelled, RunCompleted, RunCreated, RunFailed
from runfold.domain.step import NodeEntered

GOAL: dict[str, Any] = {
    "id": "refund",
    "description": "Refunds are right and quick",
    "criteria": [
        {"id": "right", "description": "the refund has the right amount", "target": "90%", "weight": 0.6},
        {"id": "quick", "description": "customers wait less than a day", "weight": 0.3},
        {"id": "kind", "description": "nobody is rude", "target": "50%", "weight": 0.1},
    ],
    "constraints": [{"id": "budget", "description": "no more than 100 EUR", "kind": "hard", "category": "cost"}],
}
INTENTS = (
    "work out the amount of the refund",
    "tell customers how long they wait",
    "pick a tool",
    "a rather long intent that is the same up to the fiftieth character, and then A",
    "a rather long intent that is the same up to the fiftieth character, and then B",
)
ERRORS = ("timeout", "no such order", "amount is wrong", "rate limit", "bad JSON", "refused", None, "")


def choose(
    run: Run, intent: str = "pick a tool", among: Iterable[str] = ("search", "ask"), chosen: str = "search", **more: Any
) -> Decision:
    """Decide for one of some options, which are their own ids."""
    options = [{"id": name, "description": f"use {name}"} for name in among]
    return run.decide(intent, options=options, chosen=chosen, **more)


@dataclass
class Made:
    """A decision."""

    made: DecisionMade
    recorded: Recorded
    outcome: Outcome | None = None
    evaluation: DecisionEvaluated | None = None

    @property
    def was_successful(self) -> bool:
        return self.outcome is not None and self.outcome.success

    @property
    def choice(self) -> str:
        return next(option.description for option in self.made.options if option.id == self.made.chosen_option_id)

    @property
    def line(self) -> str:
        mark = "?" if self.outcome is None else "✓" if self.outcome.success else "✗"
        quality = f" [quality: {self.evaluation.outcome_quality:.1f}]" if self.evaluation else ""
        return f"{mark} [{self.made.node_id or 'unknown'}] {self.made.intent} → {self.choice}{quality}"


@dataclass
class Told:
    """A run as hive would have it in memory."""

    id: str
    thread_id: str
    goal: Goal | None
    status: str = "running"
    decisions: dict[str, Made] = field(default_factory=dict)
    problems: list[ProblemReported] = field(default_factory=list)
    nodes: dict[str, None] = field(default_factory=dict)

    @property
    def made(self) -> list[Made]:
        return list(self.decisions.values())


def told(events: Iterable[Recorded]) -> dict[str, Told]:
    """All runs, in the order in which they were created."""
    runs: dict[str, Told] = {}
    for recorded in events:
        run = runs.get(recorded.stream)
        match recorded.event:
            case RunCreated() as created:
                runs[recorded.stream] = Told(recorded.stream, recorded.thread_id, created.goal)
            case DecisionMade() as made if run:
                run.decisions[made.decision_id] = Made(made, recorded)
                run.nodes.update({made.node_id: None} if made.node_id else {})
            case NodeEntered() as entered if run:
                run.nodes[entered.node_id] = None
            case OutcomeRecorded() as known if run:
                run.decisions[known.decision_id].outcome = known.outcome
            case OutcomeCorrected() as corrected if run:
                run.decisions[corrected.decision_id].outcome = corrected.replacement
            case DecisionEvaluated() as judged if run:
                run.decisions[judged.decision_id].evaluation = judged
            case ProblemReported() as problem if run:
                run.problems.append(problem)
            case (RunCompleted() | RunFailed() | RunCancelled()) as ended if run:
                run.status = ended.type.removeprefix("run.")
            case _:
                continue
    return runs


def of_goal(runs: dict[str, Told], goal_id: str) -> list[Told]:
    return [run for run in runs.values() if run.goal and run.goal.id == goal_id]


def decisions_of(runs: Iterable[Told]) -> list[Made]:
    """In the order of the ledger."""
    return sorted((made for run in runs for made in run.made), key=lambda made: made.recorded.position)


def patterns_of(runs: list[Told]) -> dict[str, Any]:
    """HV-65."""
    decisions = decisions_of(runs)
    errors = Counter(made.outcome.error or "unknown error" for made in decisions if made.outcome and not made.outcome.success)
    nodes: dict[str, list[bool]] = defaultdict(list)
    choices: dict[str, Counter[str]] = defaultdict(Counter)
    for made in decisions:
        choices[made.made.intent[:50]][made.choice] += 1
        if made.made.node_id:
            nodes[made.made.node_id].append(not made.was_successful)
    failing = {node: sum(failed) / len(failed) for node, failed in nodes.items() if sum(failed) / len(failed) > 0.1}
    return {
        "run_count": len(runs),
        "success_rate": sum(run.status == "completed" for run in runs) / len(runs),
        "common_failures": sorted(errors.items(), key=lambda item: item[1], reverse=True)[:5],
        "problematic_nodes": sorted(failing.items(), key=lambda item: item[1], reverse=True),
        "decision_types": dict(Counter(made.made.decision_type for made in decisions)),
        "common_choices": {
            intent: (*max(counts.items(), key=lambda item: item[1]), len(counts) - 1) for intent, counts in choices.items()
        },
    }


def progress_of(runs: list[Told]) -> dict[str, Any]:
    """HV-72 to HV-74, but for the violations."""
    goal = next(run.goal for run in reversed(runs) if run.goal and (run.goal.description or run.goal.criteria))
    decisions = decisions_of(runs)
    criteria: dict[str, tuple[float, bool, list[str]]] = {}
    weight = reached = 0.0
    for criterion in goal.criteria:
        related = [made for made in decisions if _is_related(made.made, criterion.id, criterion.description)]
        outcomes = [made.outcome.success for made in related if made.outcome]
        progress = sum(outcomes) / len(outcomes) if outcomes else 0.0
        evidence = [f"{made.made.intent}: {made.outcome.success}" for made in related[:5] if made.outcome]
        target = float(criterion.target.rstrip("%")) / 100 if criterion.target else 0.8
        met = bool(related) and progress >= target
        criteria[criterion.id] = (progress, met, evidence)
        weight, reached = weight + criterion.weight, reached + criterion.weight * (1 if met else progress)
    outcomes = [made.outcome.success for made in decisions if made.outcome]
    return {
        "criteria": criteria,
        "overall_progress": reached / weight,
        "total_decisions": len(decisions),
        "successful_outcomes": sum(outcomes),
        "failed_outcomes": len(outcomes) - sum(outcomes),
        "success_rate": sum(outcomes) / max(1, len(outcomes)),
        "threads": len({made.recorded.thread_id for made in decisions}),
        "deciding_runs": len({made.recorded.stream for made in decisions}),
    }


def _is_related(made: DecisionMade, criterion_id: str, description: str) -> bool:
    text = f"{made.intent} {made.reasoning}".lower()
    named = any(criterion_id in constraint for constraint in made.active_constraints)
    return named or sum(word in text for word in description.lower().split()) >= 2


def tell(ledger: Ledger, seed: int, threads: int = 12) -> None:
    """Runs towards three goals that decide all sorts of things, at some nodes better than at others."""
    chance = Random(seed)  # noqa: S311  a story, not a secret
    for number in range(threads):
        with ledger.batch() as batch:
            thread = batch.create_thread(agent_id=f"agent-{number % 3}")
            for _ in range(chance.randrange(1, 6)):
                goal = chance.choice([GOAL, GOAL, {"id": "refund"}, {"id": "vague"}, None])
                run = batch.thread(thread.id).start_run(parent=None, **({"goal": goal} if goal else {}))
                for _ in range(chance.randrange(0, 9)):
                    _decide(batch.run(run.id), chance)
                _end(batch.run(run.id), chance)


def _decide(run: Run, chance: Random) -> None:
    node = chance.choice(["plan", "act", "act", "check", None])
    made = choose(
        run,
        chance.choice(INTENTS),
        among=("search", "ask", "stop"),
        chosen=chance.choice(["search", "search", "ask", "stop"]),
        node_id=node,
        decision_type=chance.choice(["tool_selection", "path_choice", "retry_strategy"]),
        reasoning=chance.choice(["", "the right amount matters", "A Day is long"]),
        constraints=chance.choice([(), (), ("kind: never rude",), ("budget", "quick")]),
        context=chance.choice([None, {"order": 7}]),
    )
    likely = {"plan": 0.99, "act": 0.6, "check": 0.3, None: 0.5}[node]
    if chance.random() < 0.85:
        made.outcome(**_outcome(chance, likely))
        if chance.random() < 0.15:
            run.decision(made.id).correct_outcome(**_outcome(chance, 0.5), reason="looked again")
    if chance.random() < 0.2:
        run.decision(made.id).evaluate(outcome_quality=chance.choice([0.25, 0.5, 0.75, 1.0]), goal_aligned=chance.random() < 0.8)


def _outcome(chance: Random, likely: float) -> dict[str, Any]:
    success = chance.random() < likely
    return {
        "success": success,
        "error": None if success else chance.choice(ERRORS),
        "latency_ms": chance.choice([None, 0, 40, 900]),
        "tokens_used": chance.choice([None, 0, 120]),
    }


def _end(run: Run, chance: Random) -> None:
    for number in range(chance.choice([0, 0, 1, 2])):
        fix = chance.choice([None, f"fix {number}"])
        run.report_problem(chance.choice(["critical", "warning", "minor"]), f"wrong {number}", suggested_fix=fix)
    match chance.choice(["complete", "complete", "fail", "cancel", "go on"]):
        case "complete":
            run.complete()
        case "fail":
            run.fail("it broke", code="broken")
        case "cancel":
            run.cancel()
        case _:
            return
