"""What repeats over all runs towards a goal, by hive's rules: failures, nodes, choices; and what could be improved.

It is counted in the read models, where words are kept as digests; the log is asked only for the words that are shown.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Unpack

from runfold.domain.decision import DecisionMade
from runfold.domain.event import Event
from runfold.domain.values import digest
from runfold.errors import GoalNotFound
from runfold.history.decision_line import UNKNOWN_ACTION
from runfold.history.views import View
from runfold.projections.decision_log import INTENT_LENGTH
from runfold.projections.goals import GoalRow, Goals
from runfold.queries.decisions import outcome_in
from runfold.queries.goals.current import current
from runfold.queries.lists.paging import OverThreads
from runfold.queries.lists.parameters import Parameter
from runfold.queries.page import Standing
from runfold.queries.question import question
from runfold.queries.sources.snapshot import Snapshot
from runfold.queries.sources.source import LocalSource
from runfold.store.queries import named_queries
from runfold.store.reading.reader import Reader

MODELS = ("goals", "decision_log")
GOAL, _NODE = Parameter("The goal's id."), Parameter("The node's id.")
COMMON_FAILURES, COMMON_CHOICES = 5, 50
UNKNOWN_ERROR = "unknown error"

_QUERIES = named_queries("runfold.queries.goals", "patterns.sql")


class CommonFailure(View):
    """An error that outcomes tell, and of how many decisions."""

    error: str
    count: int


class ProblematicNode(View):
    """A node at which more than every tenth decision is not known to have come out well."""

    node_id: str
    decisions: int
    failed: int
    """Those that came out badly, and those of which nobody has said."""

    @property
    def failure_rate(self) -> float:
        """0 to 1."""
        return self.failed / self.decisions


class CommonChoice(View):
    """What was chosen most often where the same was intended."""

    intent: str
    """Its first 50 characters, which are what makes it the same."""
    choice: str
    """The description of the option."""
    count: int
    alternatives: int
    """How many other things were chosen."""
    decisions: int
    """How many decisions had that intent."""


class Patterns(View):
    """What repeats over all runs towards a goal."""

    goal_id: str
    run_count: int
    completed_runs: int
    success_rate: float
    """Completed runs among all, those that have not ended included."""
    common_failures: tuple[CommonFailure, ...]
    """The five commonest, of equally common ones the first to happen before the others."""
    problematic_nodes: tuple[ProblematicNode, ...]
    """The worst first. Decisions of no node are in none."""
    decision_types: dict[str, int]
    common_choices: tuple[CommonChoice, ...]
    """By how many decisions had the intent; of the commonest fifty intents, if there are more."""
    intents: int
    """How many intents there are."""
    standing: Standing


class Improvement(View):
    """Something that could be made better."""

    type: Literal["node_improvement", "error_handling", "architecture"]
    target: str
    """The node, the error or the goal."""
    reason: str
    recommendation: str
    priority: Literal["high", "medium"]


class NodePerformance(View):
    """How a node does, over all runs."""

    node_id: str
    total_decisions: int
    successful_decisions: int
    success_rate: float
    """Successes among all decisions; 0 without any."""
    resolved_success_rate: float
    """Successes among the decisions whose outcome is known; 0 without any."""
    avg_latency_ms: float | None
    """Over the outcomes that say it; null where none does."""
    total_tokens: int | None
    """What outcomes say; null where none does."""
    decision_types: dict[str, int]
    standing: Standing


class Counted(NamedTuple):
    """What the read models hold of a goal's patterns."""

    goal: GoalRow
    failures: list[tuple[int, int]]
    nodes: list[tuple[str, int, int]]
    types: list[tuple[str, int]]
    choices: list[tuple[int, int, int, int, int]]
    standing: Standing

    def positions(self) -> Iterator[int]:
        """Where their words are."""
        yield from (position for _, position in self.failures)
        yield from (first for first, *_ in self.choices)


def goal_row(snapshot: Snapshot, goal_id: str) -> GoalRow:
    """A goal's row. Raises GoalNotFound."""
    found = current(snapshot, snapshot.rows(Goals(), "t.goal_id = %b", [goal_id]))
    if not found:
        raise GoalNotFound(goal_id)
    return found[0]


def counted(snapshot: Snapshot, goal_id: str) -> Counted:
    """What there is to tell. Raises GoalNotFound."""
    goal, asked = goal_row(snapshot, goal_id), [snapshot.tenant_id, goal_id]

    def found(query: str, *more: Any) -> list[Any]:
        return _tuples(snapshot.query(_QUERIES[query], [*asked, *more]))

    return Counted(
        goal,
        failures=found("common_failures", digest(""), COMMON_FAILURES),
        nodes=found("problematic_nodes"),
        types=found("decision_types"),
        choices=found("common_choices", COMMON_CHOICES),
        standing=snapshot.standing,
    )


@question
def patterns(source: LocalSource, goal_id: Annotated[str, GOAL], **waiting: Unpack[OverThreads]) -> Patterns:
    """What repeats over all runs towards a goal: failures, nodes, choices. Raises GoalNotFound, ReadModelBehind."""
    return _patterns(source, goal_id, waiting)


@question
def improvements(source: LocalSource, goal_id: Annotated[str, GOAL], **waiting: Unpack[OverThreads]) -> list[Improvement]:
    """What a goal's patterns suggest to make better. Raises GoalNotFound, ReadModelBehind."""
    return suggested_by(_patterns(source, goal_id, waiting))


def suggested_by(found: Patterns) -> list[Improvement]:
    """What patterns suggest: nodes that fail, errors that come back, and a goal that is too seldom reached."""
    return [*_of_nodes(found), *_of_errors(found), *_of_the_whole(found)]


@question
def node_performance(source: LocalSource, node_id: Annotated[str, _NODE], **waiting: Unpack[OverThreads]) -> NodePerformance:
    """How a node does, over all runs; one that nobody has heard of has made no decisions. Raises ReadModelBehind."""
    with source.snapshot("decision_log", asked=waiting) as snapshot:
        return _node_performance(snapshot, node_id)


def _patterns(source: LocalSource, goal_id: str, waiting: Mapping[str, Any]) -> Patterns:
    with source.snapshot(*MODELS, asked=waiting) as snapshot:
        found = counted(snapshot, goal_id)
    return _with_words(source.reader, found)


def _with_words(reader: Reader, found: Counted) -> Patterns:
    """The patterns with their words. Raises UnreadableEvent."""
    events = {position: recorded.event for position, recorded in reader.at_positions(found.positions()).items()}
    goal = found.goal
    return Patterns(
        goal_id=goal.goal_id,
        run_count=goal.runs,
        completed_runs=goal.completed_runs,
        success_rate=goal.completed_runs / goal.runs if goal.runs else 0.0,
        common_failures=tuple(CommonFailure(error=_error(events[at]), count=count) for count, at in found.failures),
        problematic_nodes=tuple(
            ProblematicNode(node_id=node_id, decisions=decisions, failed=failed) for node_id, decisions, failed in found.nodes
        ),
        decision_types=dict(found.types),
        common_choices=tuple(_choice(events[row[0]], row) for row in found.choices),
        intents=found.choices[0][4] if found.choices else 0,
        standing=found.standing,
    )


def _node_performance(snapshot: Snapshot, node_id: str) -> NodePerformance:
    asked = [snapshot.tenant_id, node_id]
    ((total, successes, outcomes, latency, told, tokens),) = snapshot.query(_QUERIES["node_performance"], asked)
    return NodePerformance(
        node_id=node_id,
        total_decisions=total,
        successful_decisions=successes,
        success_rate=successes / total if total else 0.0,
        resolved_success_rate=successes / outcomes if outcomes else 0.0,
        avg_latency_ms=float(Decimal(latency) / told) if told else None,
        total_tokens=None if tokens is None else int(tokens),
        decision_types=dict(_tuples(snapshot.query(_QUERIES["node_decision_types"], asked))),
        standing=snapshot.standing,
    )


def _tuples(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [tuple(int(value) if isinstance(value, Decimal) else value for value in row) for row in rows]


def _error(event: Event) -> str:
    outcome = outcome_in(event)
    return (outcome.error if outcome else None) or UNKNOWN_ERROR


def _choice(event: Event, row: tuple[int, int, int, int, int]) -> CommonChoice:
    assert isinstance(event, DecisionMade), "made_position is that of the decision"  # noqa: S101
    _, count, alternatives, decisions, _ = row
    return CommonChoice(
        intent=event.intent[:INTENT_LENGTH],
        choice=event.choice or UNKNOWN_ACTION,
        count=count,
        alternatives=alternatives,
        decisions=decisions,
    )


def _of_nodes(found: Patterns) -> Iterator[Improvement]:
    for node in found.problematic_nodes:
        yield Improvement(
            type="node_improvement",
            target=node.node_id,
            reason=f"{node.failed} of its {node.decisions} decisions failed ({node.failure_rate:.1%})",
            recommendation=f"Improve the node {node.node_id}: its prompt or its tools",
            priority="high" if node.failed * 10 > node.decisions * 3 else "medium",
        )


def _of_errors(found: Patterns) -> Iterator[Improvement]:
    for failure in found.common_failures:
        if failure.count >= 2:
            yield Improvement(
                type="error_handling",
                target=failure.error,
                reason=f"It happened {failure.count} times",
                recommendation=f"Handle the error: {failure.error}",
                priority="high" if failure.count >= 5 else "medium",
            )


def _of_the_whole(found: Patterns) -> Iterator[Improvement]:
    if found.completed_runs * 5 < found.run_count * 4:
        yield Improvement(
            type="architecture",
            target=found.goal_id,
            reason=f"{found.completed_runs} of {found.run_count} runs completed ({found.success_rate:.1%})",
            recommendation="Divide the work among other nodes, or say more exactly what the goal is",
            priority="high",
        )
