"""The second level of hive's log: what a run did at each of its nodes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from runfold.adapters.hive.checkpoints import Walk
from runfold.adapters.hive.schemas import UNKNOWN, View
from runfold.domain.decision import DecisionMade, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.run_events import RunStarted, RunWaiting
from runfold.domain.step import StepFinished, StepStarted
from runfold.domain.tool_call import ToolCalled
from runfold.domain.usage import Tokens, UsageCorrected, UsageRecorded
from runfold.projections.runs.attention_row import MOST_ESCALATIONS, MOST_LATENCY_NS, MOST_RETRIES, MOST_STEPS, MOST_TOKENS
from runfold.queries.reading import Reading

_LATENCY_MS = MOST_LATENCY_NS // 1_000_000


class NodeLog(View):
    """What a run did at one of its nodes."""

    node_id: str
    visits: int
    success: bool | None
    """False where something of it failed at last; null while the run is at it."""
    error: str | None
    decisions: int
    total_steps: int
    tool_calls: int
    retries: int
    escalations: int
    tokens_used: int
    latency_ms: int
    needs_attention: bool
    attention_reasons: list[str]


def node_logs(reading: Reading, run_id: str) -> list[NodeLog]:
    """Return what a run did at each node, in the order in which it first came there. Raises RunNotFound."""
    told = _Nodes()
    for recorded in reading.run_events(run_id):
        told.take_in(recorded.event)
    return told.logs(has_ended=reading.run(run_id).status in {"completed", "failed", "cancelled"})


@dataclass
class _Node:
    """What is known of a node while a run's events are read."""

    error: str | None = None
    failed: set[str] = field(default_factory=set)
    """The steps and decisions of it that failed."""
    decisions: int = 0
    total_steps: int = 0
    tool_calls: int = 0
    retries: int = 0
    escalations: int = 0
    model_tokens: int = 0
    decision_tokens: int = 0
    latency_ms: int = 0

    @property
    def tokens_used(self) -> int:
        """Tokens of its model calls, or those of its decisions' outcomes, whichever are more: they may be the same ones."""
        return max(self.model_tokens, self.decision_tokens)

    def reasons(self) -> list[str]:
        """Why a person should look at it: what failed, and what is more than its limit."""
        limits: dict[str, Callable[[_Node], bool]] = {
            "node failure": lambda node: bool(node.failed),
            "retries": lambda node: node.retries > MOST_RETRIES,
            "escalations": lambda node: node.escalations > MOST_ESCALATIONS,
            "latency": lambda node: node.latency_ms > _LATENCY_MS,
            "tokens": lambda node: node.tokens_used > MOST_TOKENS,
            "steps": lambda node: node.total_steps > MOST_STEPS,
        }
        return [reason for reason, holds in limits.items() if holds(self)]


_COUNTED = frozenset({"error", "decisions", "total_steps", "tool_calls", "retries", "escalations", "tokens_used", "latency_ms"})


class _Nodes:
    """The nodes of a run, while its events are read."""

    def __init__(self) -> None:
        self._walk = Walk()
        self._nodes: dict[str, _Node] = {}
        self._made_at: dict[str, str] = {}
        self._waits_for: frozenset[str] = frozenset()

    def take_in(self, event: Event) -> None:
        """One more event."""
        self._walk.follow(event)
        at = self._walk.current or UNKNOWN
        if isinstance(event, DecisionMade):
            at = self._made_at[event.decision_id] = event.node_id or at
        elif isinstance(event, OutcomeRecorded | OutcomeCorrected):
            at = self._made_at[event.decision_id]
        elif isinstance(event, UsageRecorded | UsageCorrected) and event.node_id is not None:
            at = event.node_id
        elif self._walk.current is None:
            return
        self._count(self._nodes.setdefault(at, _Node()), event)

    def _count(self, node: _Node, event: Event) -> None:
        match event:
            case DecisionMade():
                node.decisions += 1
                node.retries += event.decision_type == "retry_strategy"
            case OutcomeRecorded():
                _judge(node, event.decision_id, event.outcome.success, event.outcome.error)
                node.decision_tokens += event.outcome.tokens_used or 0
                node.latency_ms += event.outcome.latency_ms or 0
            case OutcomeCorrected():
                _judge(node, event.decision_id, event.replacement.success, event.replacement.error)
                node.decision_tokens += (event.replacement.tokens_used or 0) - (event.previous.tokens_used or 0)
                node.latency_ms += (event.replacement.latency_ms or 0) - (event.previous.latency_ms or 0)
            case StepStarted():
                node.total_steps += 1
            case StepFinished():
                _judge(node, event.step_id, event.ok, event.error.message if event.error else None)
            case ToolCalled():
                node.tool_calls += 1
            case UsageRecorded():
                node.model_tokens += _in_all(event.tokens)
            case UsageCorrected():
                node.model_tokens += _in_all(event.replacement) - _in_all(event.corrected)
            case RunStarted() if event.attempt > 1:
                node.retries += 1
            case RunWaiting():
                node.escalations += len(set(event.approval_ids) - self._waits_for)
                self._waits_for = frozenset(event.approval_ids)

    def logs(self, *, has_ended: bool) -> list[NodeLog]:
        """What is known of each node."""
        return [self._log(node_id, node, has_ended=has_ended) for node_id, node in self._nodes.items()]

    def _log(self, node_id: str, node: _Node, *, has_ended: bool) -> NodeLog:
        reasons = node.reasons()
        is_there = node_id == self._walk.current and not has_ended
        counted = {name: getattr(node, name) for name in _COUNTED}
        return NodeLog(
            node_id=node_id,
            visits=self._walk.visits[node_id],
            success=None if is_there and not node.failed else not node.failed,
            needs_attention=bool(reasons),
            attention_reasons=reasons,
            **counted,
        )


def _judge(node: _Node, what: str, success: bool, error: str | None) -> None:
    if success:
        node.failed.discard(what)
    else:
        node.failed.add(what)
    node.error = (error or node.error) if node.failed else None


def _in_all(tokens: Tokens) -> int:
    return tokens.total_tokens or (tokens.input_tokens or 0) + (tokens.output_tokens or 0)
