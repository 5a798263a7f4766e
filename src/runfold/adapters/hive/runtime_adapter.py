"""hive's StreamRuntimeAdapter: the tracker of a stream, seen from one of its executions."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runfold.adapters.hive.schemas import UNKNOWN, DecisionType, Run
from runfold.adapters.hive.tracker import StreamDecisionTracker
from runfold.domain import decision


class StreamRuntimeAdapter:
    """Records one execution through the tracker of its stream. Every method raises LedgerError."""

    def __init__(self, stream_runtime: StreamDecisionTracker, execution_id: str) -> None:
        self._runtime = stream_runtime
        self._execution_id = execution_id
        self._current_node = UNKNOWN

    @property
    def storage(self) -> Any:
        """What the tracker was given as its storage, or else the ledger that it records in."""
        return self._runtime.storage

    @property
    def current_run(self) -> Run | None:
        """The execution's run as it stands; None where none goes on."""
        return self._runtime.get_run(self._execution_id)

    def start_run(self, goal_id: str, goal_description: str = "", input_data: dict[str, Any] | None = None) -> str:
        """Begin the execution's run and return its id. Refused while it has one."""
        return self._runtime.start_run(self._execution_id, goal_id, goal_description, input_data)

    def end_run(self, success: bool, narrative: str = "", output_data: dict[str, Any] | None = None) -> None:
        """End the run, well or badly."""
        self._runtime.end_run(self._execution_id, success, narrative, output_data)

    def set_node(self, node_id: str) -> None:
        """Come to a node. Decisions that name none belong to it."""
        self._runtime.set_node(self._execution_id, node_id)
        self._current_node = node_id

    def decide(
        self,
        intent: str,
        options: Iterable[Mapping[str, Any]],
        chosen: str,
        reasoning: str,
        node_id: str | None = None,
        decision_type: DecisionType | decision.DecisionType = "custom",
        constraints: Iterable[str] | None = None,
        context: dict[str, Any] | None = None,
    ) -> str:
        """Record a choice and return the decision's id."""
        at = node_id or self._current_node
        return self._runtime.decide(
            self._execution_id, intent, options, chosen, reasoning, at, decision_type, constraints, context
        )

    def quick_decision(self, intent: str, action: str, reasoning: str, node_id: str | None = None) -> str:
        """Record a choice that had one option."""
        return self._runtime.quick_decision(self._execution_id, intent, action, reasoning, node_id or self._current_node)

    def record_outcome(
        self,
        decision_id: str,
        success: bool,
        result: Any = None,
        error: str | None = None,
        summary: str = "",
        state_changes: dict[str, Any] | None = None,
        tokens_used: int | None = None,
        latency_ms: int | None = None,
    ) -> None:
        """Record what came of a decision. A second outcome corrects the first."""
        self._runtime.record_outcome(
            self._execution_id, decision_id, success, result, error, summary, state_changes, tokens_used, latency_ms
        )

    def decide_and_execute(
        self,
        intent: str,
        options: Iterable[Mapping[str, Any]],
        chosen: str,
        reasoning: str,
        executor: Callable[..., Any],
        *,
        node_id: str | None = None,
        **arguments: Any,
    ) -> tuple[str, Any]:
        """Record a choice, carry it out, and record what came of it and how long it took."""
        at = node_id or self._current_node
        return self._runtime.decide_and_execute(
            self._execution_id, intent, options, chosen, reasoning, executor, node_id=at, **arguments
        )

    def report_problem(
        self,
        severity: str,
        description: str,
        decision_id: str | None = None,
        root_cause: str | None = None,
        suggested_fix: str | None = None,
    ) -> str:
        """Report something wrong and return the problem's id."""
        return self._runtime.report_problem(self._execution_id, severity, description, decision_id, root_cause, suggested_fix)
