"""hive's StreamDecisionTracker over the ledger: code that records through it moves over by changing an import.

A stream is a thread; an execution is a run of it, from `start_run` to `end_run`. Unlike in hive, every call is durable when
it returns, and a call for an execution without a run raises instead of only logging.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from runfold.domain.decision import DecisionType
from runfold.domain.json_text import json_text
from runfold.domain.problem import Severity
from runfold.errors import CommandRefused, InvalidEvent
from runfold.handles.run import Run
from runfold.handles.thread import Thread
from runfold.ids import stable_id
from runfold.ledger import Ledger

UNKNOWN = "unknown"


@dataclass
class _Execution:
    run: Run
    node_id: str = UNKNOWN
    with_outcome: set[str] = field(default_factory=set)


class StreamDecisionTracker:
    """Records the runs of one stream; many executions at once, from any thread. Every method raises LedgerError."""

    def __init__(self, stream_id: str, ledger: Ledger) -> None:
        """The same stream of the same tenant is the same thread in every process."""
        self.stream_id = stream_id
        self._ledger = ledger
        self._turn = threading.Lock()
        self._executions: dict[str, _Execution] = {}

    @property
    def thread(self) -> Thread:
        """The thread that holds the stream's runs."""
        return self._ledger.thread(stable_id("thread", "hive", self._ledger.settings.tenant, self.stream_id))

    # A run's life

    def start_run(
        self, execution_id: str, goal_id: str, goal_description: str = "", input_data: dict[str, Any] | None = None
    ) -> str:
        """Begin a run for an execution and return its id. Refused while the execution has one."""
        with self._turn:
            if execution_id in self._executions:
                active = self._executions[execution_id].run.id
                raise CommandRefused("start_run", f"execution {execution_id}", "end it first", f"busy with {active}")
            thread = self._ledger.create_thread(thread_id=self.thread.id, agent_id=self.stream_id, external_ref=self.stream_id)
            run = thread.start_run(
                input_data or {},
                parent=None,
                goal={"id": goal_id, "description": goal_description},
                metadata={"stream_id": self.stream_id, "execution_id": execution_id},
            )
            self._executions[execution_id] = _Execution(run)
        return run.id

    def end_run(self, execution_id: str, success: bool, narrative: str = "", output_data: dict[str, Any] | None = None) -> None:
        """End the execution's run, well or badly; the narrative of a failure is its error message."""
        execution = self._execution("end_run", execution_id)
        with self._ledger.batch() as batch:
            run = batch.run(execution.run.id)
            if success:
                run.complete(output_data or {}, narrative=narrative or None)
            else:
                if output_data:
                    run.record_output(output_data)
                run.fail(narrative or "the execution failed and gave no reason")
        with self._turn:
            del self._executions[execution_id]

    def set_node(self, execution_id: str, node_id: str) -> None:
        """Come to a node. Decisions that name none belong to it; before the first one, to `unknown`."""
        execution = self._execution("set_node", execution_id)
        execution.run.enter_node(node_id)
        execution.node_id = node_id

    def get_run(self, execution_id: str) -> Run | None:
        """The execution's run while it goes on."""
        execution = self._executions.get(execution_id)
        return execution.run if execution else None

    # What it decides

    def decide(
        self,
        execution_id: str,
        intent: str,
        options: Iterable[Mapping[str, Any]],
        chosen: str,
        reasoning: str,
        node_id: str | None = None,
        decision_type: DecisionType = "custom",
        constraints: Iterable[str] | None = None,
        context: dict[str, Any] | None = None,
    ) -> str:
        """Record a choice and return the decision's id. `chosen` must be the id of one of the options."""
        execution = self._execution("decide", execution_id)
        made = execution.run.decide(
            intent,
            options=[{"description": "", "action_type": UNKNOWN, **option} for option in options],
            chosen=chosen,
            reasoning=reasoning,
            node_id=node_id or execution.node_id,
            decision_type=getattr(decision_type, "value", decision_type),  # hive has an enum of the same words
            constraints=constraints or (),
            context=context,
        )
        return made.id

    def quick_decision(self, execution_id: str, intent: str, action: str, reasoning: str, node_id: str | None = None) -> str:
        """Record a choice that had one option."""
        option = {"id": "action", "description": action, "action_type": "execute"}
        return self.decide(execution_id, intent, [option], "action", reasoning, node_id)

    def record_outcome(
        self,
        execution_id: str,
        decision_id: str,
        success: bool,
        result: Any = None,
        error: str | None = None,
        summary: str = "",
        state_changes: dict[str, Any] | None = None,
        tokens_used: int | None = None,
        latency_ms: int | None = None,
    ) -> None:
        """Record what came of a decision. A second outcome corrects the first, and is never counted beside it.

        What is not given is not reported, where hive has zero.
        """
        execution = self._execution("record_outcome", execution_id)
        decision = execution.run.decision(decision_id)
        record = decision.correct_outcome if decision_id in execution.with_outcome else decision.outcome
        record(
            success=success,
            result=result,
            error=error,
            summary=summary,
            state_changes=state_changes,
            tokens_used=tokens_used,
            latency_ms=latency_ms,
        )
        execution.with_outcome.add(decision_id)

    def decide_and_execute(
        self,
        execution_id: str,
        intent: str,
        options: Iterable[Mapping[str, Any]],
        chosen: str,
        reasoning: str,
        executor: Callable[..., Any],
        *,
        node_id: str | None = None,
        **arguments: Any,
    ) -> tuple[str, Any]:
        """Record a choice, carry it out with `executor(**arguments)`, and record what came of it and how long it took.

        Returns the decision's id and the result. What the executor raises is recorded and raised again; a result that is
        not JSON is recorded as its `repr`.
        """
        decision_id = self.decide(execution_id, intent, options, chosen, reasoning, node_id)
        began = time.perf_counter()
        try:
            result = executor(**arguments)
        except Exception as error:
            text = str(error) or type(error).__name__
            self.record_outcome(execution_id, decision_id, success=False, error=text, latency_ms=_milliseconds_since(began))
            raise
        took = _milliseconds_since(began)
        self.record_outcome(execution_id, decision_id, success=True, result=_storable(result), latency_ms=took)
        return decision_id, result

    def report_problem(
        self,
        execution_id: str,
        severity: str,
        description: str,
        decision_id: str | None = None,
        root_cause: str | None = None,
        suggested_fix: str | None = None,
    ) -> str:
        """Report something wrong, `critical`, `warning` or `minor`, and return the problem's id."""
        run = self._execution("report_problem", execution_id).run
        reported = run.report_problem(
            cast("Severity", severity), description, root_cause=root_cause, decision_id=decision_id, suggested_fix=suggested_fix
        )
        return reported.id

    # What goes on

    def get_active_executions(self) -> list[str]:
        """The executions that have a run, oldest first."""
        return list(self._executions)

    def get_stats(self) -> dict[str, Any]:
        """The stream, and its executions that have a run: how many and which."""
        active = self.get_active_executions()
        return {"stream_id": self.stream_id, "active_executions": len(active), "execution_ids": active}

    def _execution(self, command: str, execution_id: str) -> _Execution:
        execution = self._executions.get(execution_id)
        if execution is None:
            raise CommandRefused(command, f"execution {execution_id}", "call start_run first", "without a run")
        return execution


def _milliseconds_since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)


def _storable(result: Any) -> Any:
    try:
        json_text(result)
    except InvalidEvent:
        return repr(result)
    return result
