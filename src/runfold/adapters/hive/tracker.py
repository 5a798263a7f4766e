"""hive's StreamDecisionTracker over the ledger: code that records through it moves over by changing an import.

A stream is a thread; an execution is a run of it, from `start_run` to `end_run`. Unlike in hive, every call is durable when
it returns, and a call for an execution without a run raises instead of only logging.
"""

import atexit
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol, cast

from runfold.adapters.hive import schemas
from runfold.adapters.hive.goals import goal_of
from runfold.adapters.hive.run_view import NO_REASON, decision_view, outcome_view, run_view
from runfold.adapters.hive.schemas import UNKNOWN
from runfold.domain.decision import DecisionMade, DecisionType, Outcome
from runfold.domain.json_text import json_text
from runfold.domain.problem import Severity
from runfold.errors import CommandRefused, InvalidEvent
from runfold.handles.run import Run
from runfold.handles.thread import Thread
from runfold.ids import stable_id
from runfold.ledger import Ledger

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_]+")
_LONGEST_STREAM = 100
"""How much of a stream's name the ids of its runs show."""


class OutcomeAggregator(Protocol):
    """What is told of every decision and outcome once it is recorded: hive's own aggregator, or one like it."""

    def record_decision(self, stream_id: str, execution_id: str, decision: schemas.Decision) -> object:
        """A decision was made."""

    def record_outcome(self, stream_id: str, execution_id: str, decision_id: str, outcome: schemas.Outcome) -> object:
        """The outcome of a decision is known."""


@dataclass
class _Execution:
    run: Run
    traceparent: str
    node_id: str = UNKNOWN
    with_outcome: set[str] = field(default_factory=set)


class StreamDecisionTracker:
    """Records the runs of one stream; many executions at once, from any thread. Every method raises LedgerError.

    It records in the `ledger` it is given. Without one it records in the ledger of the settings, as `Ledger.open()` has it, which
    all trackers of the process share; what hive is given as its `storage` is kept and not written to.
    """

    def __init__(
        self,
        stream_id: str,
        storage: Any = None,
        outcome_aggregator: OutcomeAggregator | None = None,
        *,
        ledger: Ledger | None = None,
    ) -> None:
        """The same stream of the same tenant is the same thread in every process. A ledger may be given as the storage."""
        self.stream_id = stream_id
        self.storage = storage
        if ledger is None:
            ledger = storage if isinstance(storage, Ledger) else _shared_ledger()
        if storage is None:
            self.storage = ledger
        self._ledger = ledger
        self._outcome_aggregator = outcome_aggregator
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
        """Begin a run for an execution and return its id. Refused while the execution has one.

        The id says the stream and when, as hive's does. All that is recorded of the execution has one trace id, as W3C trace
        context, and the run's metadata have it too. What an outcome aggregator of that goal knows of it is recorded with the run.
        """
        trace_id, otel_id = secrets.token_hex(16), secrets.token_hex(16)
        traceparent = f"00-{trace_id}-{otel_id[:16]}-00"
        with self._turn:
            if execution_id in self._executions:
                active = self._executions[execution_id].run.id
                raise CommandRefused("start_run", f"execution {execution_id}", "end it first", f"busy with {active}")
            thread = self._ledger.create_thread(thread_id=self.thread.id, agent_id=self.stream_id, external_ref=self.stream_id)
            run = thread.start_run(
                input_data or {},
                run_id=self._new_run_id(),
                parent=None,
                goal=goal_of(goal_id, goal_description, self._outcome_aggregator),
                metadata={
                    "stream_id": self.stream_id,
                    "execution_id": execution_id,
                    "trace_id": trace_id,
                    "otel_execution_id": otel_id,
                },
                traceparent=traceparent,
            )
            self._executions[execution_id] = _Execution(run, traceparent)
        return run.id

    def _new_run_id(self) -> str:
        stream = _NOT_IN_IDS.sub("-", self.stream_id).strip("-")[:_LONGEST_STREAM] or "stream"
        return f"run_{stream}_{self._ledger.executor.clock():%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"

    def end_run(self, execution_id: str, success: bool, narrative: str = "", output_data: dict[str, Any] | None = None) -> None:
        """End the execution's run, well or badly; the narrative of a failure is its error message."""
        execution = self._execution("end_run", execution_id)
        with self._ledger.batch() as batch:
            run, said = batch.run(execution.run.id), execution.traceparent
            if success:
                run.complete(output_data or {}, narrative=narrative or None, traceparent=said)
            else:
                if output_data:
                    run.record_output(output_data, traceparent=said)
                run.fail(narrative or NO_REASON, traceparent=said)
        with self._turn:
            del self._executions[execution_id]

    def set_node(self, execution_id: str, node_id: str) -> None:
        """Come to a node. Decisions that name none belong to it; before the first one, to `unknown`."""
        execution = self._execution("set_node", execution_id)
        execution.run.enter_node(node_id, traceparent=execution.traceparent)
        execution.node_id = node_id

    def get_run(self, execution_id: str) -> schemas.Run | None:
        """The execution's run as hive shows it, while it goes on."""
        execution = self._executions.get(execution_id)
        return run_view(self._ledger.now, execution.run.id) if execution else None

    def handle(self, execution_id: str) -> Run | None:
        """The ledger's own handle of the execution's run while it goes on, for what hive has no method of."""
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
        decision_type: DecisionType | schemas.DecisionType = "custom",
        constraints: Iterable[str] | None = None,
        context: dict[str, Any] | None = None,
    ) -> str:
        """Record a choice and return the decision's id. `chosen` must be the id of one of the options.

        An outcome aggregator is told once it is recorded; what that raises is raised.
        """
        execution = self._execution("decide", execution_id)
        made = execution.run.decide(
            intent,
            options=[{"description": "", "action_type": UNKNOWN, **option} for option in options],
            chosen=chosen,
            reasoning=reasoning,
            node_id=node_id or execution.node_id,
            decision_type=cast(
                "DecisionType", str(getattr(decision_type, "value", decision_type))
            ),  # hive has an enum of the words
            constraints=constraints or (),
            context=context,
            traceparent=execution.traceparent,
        )
        if self._outcome_aggregator is not None:
            at = made.receipt.recorded_at or self._ledger.executor.clock()
            for event in made.receipt.events:
                if isinstance(event, DecisionMade):
                    self._outcome_aggregator.record_decision(
                        stream_id=self.stream_id, execution_id=execution_id, decision=decision_view(event, at)
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

        What is not given is not reported, where hive has zero. An outcome aggregator is told once it is recorded.
        """
        execution = self._execution("record_outcome", execution_id)
        decision = execution.run.decision(decision_id)
        record = decision.correct_outcome if decision_id in execution.with_outcome else decision.outcome
        outcome: dict[str, Any] = {
            "success": success,
            "result": result,
            "error": error,
            "summary": summary,
            "state_changes": state_changes or {},
            "tokens_used": tokens_used,
            "latency_ms": latency_ms,
        }
        receipt = record(**outcome, traceparent=execution.traceparent)
        execution.with_outcome.add(decision_id)
        if self._outcome_aggregator is not None:
            at = receipt.recorded_at or self._ledger.executor.clock()
            self._outcome_aggregator.record_outcome(
                stream_id=self.stream_id,
                execution_id=execution_id,
                decision_id=decision_id,
                outcome=outcome_view(Outcome(**outcome), at),
            )

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
        execution = self._execution("report_problem", execution_id)
        reported = execution.run.report_problem(
            cast("Severity", severity),
            description,
            root_cause=root_cause,
            decision_id=decision_id,
            suggested_fix=suggested_fix,
            traceparent=execution.traceparent,
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


@cache
def _shared_ledger() -> Ledger:
    """The ledger of the settings, opened once and closed when the process ends."""
    ledger = Ledger.open()
    atexit.register(ledger.close)
    return ledger
