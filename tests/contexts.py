"""What stands beside events, checked against what their ledger says of the things that they are about."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runfold.domain.approval_events import ApprovalRequested
from runfold.domain.context import Context
from runfold.domain.decision import DecisionMade
from runfold.domain.message import MessageAdded
from runfold.domain.problem import ProblemReported
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCancelled, RunCreated, RunFailed
from runfold.domain.step import ModelCallStarted, StepStarted
from runfold.domain.tool_call import ToolArgumentsAppended, ToolCalled

_OF: Mapping[str, tuple[type, str, Callable[[Any], Mapping[str, str | None]]]] = {
    "tool.": (ToolCalled, "call_id", lambda begun: {"tool_name": begun.name}),
    "step.": (StepStarted, "step_id", lambda begun: {"step_name": begun.name, "node_id": begun.node_id}),
    "model_call.": (
        ModelCallStarted,
        "model_call_id",
        lambda begun: {"provider": begun.provider, "request_model": begun.request_model},
    ),
    "message.": (MessageAdded, "message_id", lambda begun: {"message_role": begun.role}),
    "decision.": (DecisionMade, "decision_id", lambda begun: {"decision_type": begun.decision_type, "node_id": begun.node_id}),
    "problem.": (ProblemReported, "problem_id", lambda begun: {"severity": begun.severity}),
}
"""By kind of event: what begins such a thing, its id, and what stands beside all that happens to it."""


@dataclass
class Begun:
    """The things that events tell the beginning of, each by its run and id; the parent of each run; approvals."""

    things: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    questions: dict[str, ApprovalRequested] = field(default_factory=dict)

    def take_in(self, recorded: Recorded) -> None:
        """Note what begins."""
        event = recorded.event
        if isinstance(event, RunCreated) and event.parent is not None:
            self.parents[recorded.stream] = event.parent.run_id
        if isinstance(event, ApprovalRequested):
            self.questions[recorded.stream] = event
        for kind, (begins, id_name, _) in _OF.items():
            if isinstance(event, begins):
                self.things[kind, recorded.stream, getattr(event, id_name)] = event

    def of(self, kind: str, run_id: str | None, thing_id: str) -> tuple[str, Any]:
        """Return the nearest run of the path that has it, and how it began there."""
        while run_id is not None:
            if found := self.things.get((kind, run_id, thing_id)):
                return run_id, found
            run_id = self.parents.get(run_id)
        raise LookupError(f"no run of the path has {thing_id}")

    def expected(self, recorded: Recorded) -> Mapping[str, str | None]:
        """Return what must stand beside an event, by all that was recorded before it."""
        event = recorded.event
        if isinstance(event, ToolArgumentsAppended):  # there is no call yet
            return {"call_id": event.call_id, "tool_name": event.name}
        for kind, (_, id_name, facts) in _OF.items():
            if recorded.type.startswith(kind):
                thing_id = getattr(event, id_name)
                run_id, begun = self.of(kind, recorded.stream, thing_id)
                about = {"call_id": thing_id, "call_run_id": run_id} if kind == "tool." else {}
                about |= {"decision_id": thing_id} if kind == "decision." else {}
                return {**about, **facts(begun)}
        question = self.questions.get(recorded.stream)
        return {} if question is None else self._of_question(question)

    def _of_question(self, question: ApprovalRequested) -> Mapping[str, str | None]:
        facts: dict[str, str | None] = {"action": question.action}
        if question.call_id is not None:
            run_id, called = self.of("tool.", question.run_id, question.call_id)
            facts |= {"call_id": question.call_id, "call_run_id": run_id, "tool_name": called.name}
        if question.decision_id is not None:
            facts["decision_id"] = question.decision_id
            made = self.things.get(("decision.", question.run_id, question.decision_id))
            facts |= {"decision_type": made.decision_type, "node_id": made.node_id} if made else {}
        return facts


_OF_RUNS = frozenset({"run_id", "parent_run_id", "agent_id", "user_id", "goal_id", "source"})


def require_contexts(events: Iterable[Recorded]) -> set[str]:
    """Require of a ledger's events that each has beside it what it is about. Return the types that are about something."""
    begun, seen = Begun(), set()
    for recorded in events:
        begun.take_in(recorded)
        stands = {name: fact for name, fact in recorded.context.facts().items() if name not in _OF_RUNS}
        wanted = {name: fact for name, fact in begun.expected(recorded).items() if fact is not None}
        assert wanted.keys() <= set(Context._fields)
        assert stands == wanted, f"{recorded.type} at {recorded.position}"
        if isinstance(recorded.event, RunFailed | RunCancelled):
            names = [begun.of("tool.", recorded.stream, call_id)[1].name for call_id in recorded.event.closed_tool_calls]
            assert list(recorded.event.closed_tool_names) == names
        if wanted:
            seen.add(recorded.type)
    return seen
