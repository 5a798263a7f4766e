"""What an event of a run is about: a tool call, a step, a message, and what these are.

It stands in the context of the event, so that a fold by tool, step or role needs no other event.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from runfold.domain.decision import DecisionEvaluated, DecisionMade, OutcomeCorrected, OutcomeRecorded
from runfold.domain.event import Event
from runfold.domain.message import MessageAdded, MessagePartAppended, MessageRedacted, MessageRevised, MessageSealed
from runfold.domain.problem import ProblemReported, ProblemResolved
from runfold.domain.run import Run
from runfold.domain.step import ModelCallFinished, ModelCallStarted, StepFinished, StepStarted
from runfold.domain.tool_call import ToolArgumentsAppended, ToolCalled, ToolCancelled, ToolFailed, ToolStarted, ToolSucceeded

Facts = Mapping[str, str]
"""Fields of a context."""


def about(run: Run, event: Event) -> Facts | None:
    """Return what an event of a run is about, once the run has taken it in; None where it is about the run itself."""
    of = ABOUT.get(type(event))
    if of is None:
        return None
    facts = of(run, event)
    return _known(facts) if None in facts.values() else cast("Facts", facts)


def about_question(run: Run, call_id: str | None, decision_id: str | None) -> Facts:
    """Return what an approval is about that a run asks for."""
    call = {} if call_id is None else _call(run, call_id)
    return _known({**call, **({} if decision_id is None else _decision(run, decision_id))})


def _known(facts: Mapping[str, str | None]) -> Facts:
    return {name: fact for name, fact in facts.items() if fact is not None}


def _call(run: Run, call_id: str) -> Mapping[str, str | None]:
    asked = run.calls.asked(call_id)
    if asked is None:
        return {"call_id": call_id}
    return {"call_id": call_id, "call_run_id": asked.asked_by, "tool_name": asked.name}


def _decision(run: Run, decision_id: str) -> Mapping[str, str | None]:
    made = run.decisions.by_id.get(decision_id)
    if made is None:
        return {"decision_id": decision_id}
    return {"decision_id": decision_id, "decision_type": made.decision_type, "node_id": made.node_id}


def _problem(run: Run, problem_id: str) -> Mapping[str, str | None]:
    known = run.problems.by_id.get(problem_id)
    return {} if known is None else {"severity": known.severity}


ABOUT: Mapping[type[Event], Callable[[Run, Any], Mapping[str, str | None]]] = {
    **dict.fromkeys(
        (ToolCalled, ToolStarted, ToolSucceeded, ToolFailed, ToolCancelled), lambda run, event: _call(run, event.call_id)
    ),
    ToolArgumentsAppended: lambda _, event: {"call_id": event.call_id, "tool_name": event.name},
    **dict.fromkeys((StepStarted, StepFinished), lambda run, event: run.steps.steps[event.step_id].facts),
    **dict.fromkeys((ModelCallStarted, ModelCallFinished), lambda run, event: run.steps.model_calls[event.model_call_id].facts),
    **dict.fromkeys(
        (MessageRevised, MessagePartAppended, MessageSealed, MessageRedacted),
        lambda run, event: {"message_role": run.messages.role_of(event.message_id)},
    ),
    **dict.fromkeys(
        (DecisionMade, OutcomeRecorded, OutcomeCorrected, DecisionEvaluated), lambda run, event: _decision(run, event.decision_id)
    ),
    MessageAdded: lambda _, event: {"message_role": event.role},
    **dict.fromkeys((ProblemReported, ProblemResolved), lambda run, event: _problem(run, event.problem_id)),
}
"""The events that are about a thing of their run, and what stands beside them."""
