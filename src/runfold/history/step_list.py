"""What a run did step by step: its steps and model calls, what each used, cost and took, and how it ended."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from runfold.domain.durations import nanoseconds
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunFailed
from runfold.domain.step import EdgeTraversed, ModelCallFinished, ModelCallStarted, NodeEntered, StepFinished, StepStarted
from runfold.domain.tool_call import Failure, ToolCalled, ToolCancelled, ToolFailed, ToolStarted, ToolSucceeded
from runfold.domain.usage import CostReported, CostSource, Tokens, UsageCorrected, UsageRecorded
from runfold.domain.values import Amount
from runfold.history.views import View

TYPES = ("step.*", "model_call.*", "node.*", "tool.*", "usage.*", "run.failed", "run.cancelled")
"""The types that `step_list` looks at: the end of a run closes the steps that are open."""

Order = Literal["asc", "desc"]
StepKind = Literal["step", "model_call"]
StepStatus = Literal["started", "succeeded", "failed", "cancelled"]
_Key = tuple[StepKind, str]


class ReportedCost(View):
    """What somebody said that something cost."""

    amount: Amount
    currency: str
    source: CostSource | None


class StepView(View):
    """A step of a run, or a model call of it."""

    kind: StepKind
    id: str
    run_id: str
    status: StepStatus
    """failed or cancelled also where its run was, under it; started where no end is recorded."""
    name: str | None = None
    """Of a step."""
    step_id: str | None = None
    """Of a model call: the step that its usage names, else the last begun of those that were open."""
    node_id: str | None = None
    """The node of the run's graph that it says, else the one that the run was at."""
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    prompt_message_ids: tuple[str, ...] = ()
    finish_reasons: tuple[str, ...] = ()
    error: Failure | None = None
    tokens: Tokens = Tokens()
    """What was reported, corrections included, a step's model calls among it; null where nobody reported it."""
    service_tier: str | None = None
    costs: tuple[ReportedCost, ...] = ()
    """What was reported of its usage, a step's model calls among it."""
    tool_calls: tuple[str, ...] = ()
    """Of a step: the calls that were asked for in it."""
    tool_execution_ns: int | None = None
    """Of a step: how long the tools that were started in it took together; null where none has ended."""
    ttft_ns: int | None = None
    """Nanoseconds to the first token."""
    duration_ns: int | None = None
    """From its beginning to its end, by the producer's clock where it gave one; null until it ends."""
    traceparent: str | None = None
    """W3C trace context that its beginning was recorded with."""
    started_at: datetime
    finished_at: datetime | None = None
    started_position: int
    finished_position: int | None = None


def step_list(events: Iterable[Recorded]) -> list[StepView]:
    """The steps and model calls that a run's events tell of, in the order of their beginnings."""
    told = _Told()
    for recorded in events:
        told.take_in(recorded)
    return told.views()


@dataclass
class _Told:
    """What is known of a run's steps while its events are read."""

    found: dict[_Key, StepView] = field(default_factory=dict)
    open_steps: list[str] = field(default_factory=list)
    node_id: str | None = None
    tools: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """Calls at work, each with the step that it was started in, and when."""
    tokens: dict[str, Tokens] = field(default_factory=dict)
    """By usage."""
    users: dict[str, list[_Key]] = field(default_factory=dict)
    """Whose usage each is."""

    def take_in(self, recorded: Recorded) -> None:
        """One more event."""
        event = recorded.event
        match event:
            case StepStarted() | ModelCallStarted():
                self._start(event, recorded)
            case StepFinished() | ModelCallFinished():
                self._finish(event, recorded)
            case NodeEntered():
                self.node_id = event.node_id
            case EdgeTraversed():
                self.node_id = event.to_node_id
            case ToolCalled() | ToolStarted() | ToolSucceeded() | ToolFailed() | ToolCancelled():
                self._use_tool(event, recorded)
            case UsageRecorded():
                self._use(event)
            case UsageCorrected():
                self.tokens[event.usage_id] = event.replacement
            case CostReported():
                self._pay(event)
            case RunFailed() | RunCancelled():
                self._close(event, recorded)
            case _:
                return

    def views(self) -> list[StepView]:
        """All of them, each with the sum of its tokens."""
        used: dict[_Key, list[Tokens]] = {}
        for usage_id, keys in self.users.items():
            for key in keys:
                used.setdefault(key, []).append(self.tokens[usage_id])
        return [view.model_copy(update={"tokens": _sum(used.get(key, []))}) for key, view in self.found.items()]

    def _start(self, event: StepStarted | ModelCallStarted, recorded: Recorded) -> None:
        view = StepView(
            kind="step",
            id="",
            run_id=recorded.stream,
            status="started",
            node_id=self.node_id,
            traceparent=recorded.metadata.traceparent,
            started_at=recorded.happened_at,
            started_position=recorded.position,
        )
        if isinstance(event, StepStarted):
            self.node_id = event.node_id or self.node_id
            self.open_steps.append(event.step_id)
            said: dict[str, Any] = {"id": event.step_id, "name": event.name, "node_id": self.node_id}
            self.found["step", event.step_id] = view.model_copy(update=said)
            return
        said = {
            "kind": "model_call",
            "id": event.model_call_id,
            "step_id": self._step(),
            "provider": event.provider,
            "request_model": event.request_model,
            "prompt_message_ids": event.prompt_message_ids,
        }
        self.found["model_call", event.model_call_id] = view.model_copy(update=said)

    def _finish(self, event: StepFinished | ModelCallFinished, recorded: Recorded) -> None:
        said: dict[str, Any] = {"error": event.error, "status": "failed" if event.error else "succeeded"}
        if isinstance(event, StepFinished):
            said["status"] = "succeeded" if event.ok else "failed"
            self.open_steps.remove(event.step_id)
            self._end(("step", event.step_id), recorded, said)
            return
        said |= {
            "response_model": event.response_model,
            "finish_reasons": event.finish_reasons,
            "ttft_ns": event.ttft_ns,
        }
        self._end(("model_call", event.model_call_id), recorded, said)

    def _close(self, ending: RunFailed | RunCancelled, recorded: Recorded) -> None:
        said = {"status": "failed", "error": ending.error} if isinstance(ending, RunFailed) else {"status": "cancelled"}
        for key, view in self.found.items():
            if view.status == "started":
                self._end(key, recorded, said)
        for call_id in list(self.tools):
            self._stop_tool(call_id, recorded)
        self.open_steps = []

    def _end(self, key: _Key, recorded: Recorded, said: dict[str, Any]) -> None:
        view = self.found[key]
        took = nanoseconds(view.started_at, recorded.happened_at)
        ended = {"finished_at": recorded.happened_at, "finished_position": recorded.position, "duration_ns": took}
        self.found[key] = view.model_copy(update={**said, **ended})

    def _use_tool(self, event: ToolCalled | ToolStarted | ToolSucceeded | ToolFailed | ToolCancelled, recorded: Recorded) -> None:
        step = self._step()
        if isinstance(event, ToolSucceeded | ToolFailed | ToolCancelled):
            self._stop_tool(event.call_id, recorded)
        elif step is not None and isinstance(event, ToolStarted):
            self.tools[event.call_id] = step, recorded.happened_at
        elif step is not None:
            view = self.found["step", step]
            self.found["step", step] = view.model_copy(update={"tool_calls": (*view.tool_calls, event.call_id)})

    def _stop_tool(self, call_id: str, recorded: Recorded) -> None:
        step, began = self.tools.pop(call_id, (None, recorded.happened_at))
        took = nanoseconds(began, recorded.happened_at)
        if step is not None and took is not None:
            view = self.found["step", step]
            changes = {"tool_execution_ns": (view.tool_execution_ns or 0) + took}
            self.found["step", step] = view.model_copy(update=changes)

    def _use(self, event: UsageRecorded) -> None:
        self.tokens[event.usage_id] = event.tokens
        call: _Key = "model_call", event.model_call_id or ""
        step_id = event.step_id
        users: list[_Key] = []
        if (view := self.found.get(call)) is not None:
            step_id = step_id or view.step_id
            users.append(call)
            said = {
                "step_id": step_id,
                "service_tier": event.service_tier,
                "provider": view.provider or event.provider,
                "request_model": view.request_model or event.model,
            }
            self.found[call] = view.model_copy(update=said)
        if step_id is not None and ("step", step_id) in self.found:
            users.append(("step", step_id))
        self.users[event.usage_id] = users

    def _pay(self, event: CostReported) -> None:
        cost = ReportedCost(amount=event.amount, currency=event.currency, source=event.source)
        for key in self.users.get(event.usage_id or "", ()):
            view = self.found[key]
            self.found[key] = view.model_copy(update={"costs": (*view.costs, cost)})

    def _step(self) -> str | None:
        return self.open_steps[-1] if self.open_steps else None


def _sum(parts: list[Tokens]) -> Tokens:
    """Null where nobody reported it, which is not zero."""
    if not parts:
        return Tokens()
    added = {}
    for name in Tokens.model_fields.keys() - {"reasoning_beside"}:
        reported = [value for part in parts if (value := getattr(part, name)) is not None]
        added[name] = sum(reported) if reported else None
    beside = any(part.reasoning_beside for part in parts)
    return Tokens.model_construct(**added, reasoning_beside=beside)  # parts of different calls need not fit each other's totals
