"""What a run's state keeps of its events: what its rules ask for, and not the events, of which a long run has many."""

import gc
from collections import Counter
from types import FunctionType, ModuleType
from typing import Any

from runfold.domain.decision import DecisionMade, Option
from runfold.domain.event import Event
from runfold.domain.message import MessageAdded, MessageState
from runfold.domain.parts import TextPart
from runfold.domain.problem import ProblemReported
from runfold.domain.step import ModelCallFinished, ModelCallStarted, StepFinished, StepStarted
from runfold.domain.tool_call import ToolCalled, ToolStarted, ToolSucceeded
from runfold.domain.usage import Tokens, UsageRecorded

from .samples import RUNNING
from .story import evolved, fold

WORDS = (TextPart(text="words"),)
MANY = 20


def progress(number: int) -> list[Event]:
    """What an agent does in a turn."""
    called = ToolCalled(call_id=f"call_{number}", name="search", arguments_text="{}", arguments={})
    tokens = Tokens(input_tokens=1200, output_tokens=80)
    return [
        MessageAdded(message_id=f"msg_{number}", role="assistant", content=WORDS),
        StepStarted(step_id=f"step_{number}", name="a step"),
        ModelCallStarted(model_call_id=f"mcall_{number}", provider="openai"),
        UsageRecorded(usage_id=f"usage_{number}", model_call_id=f"mcall_{number}", tokens=tokens, raw={"long": "report"}),
        ModelCallFinished(model_call_id=f"mcall_{number}"),
        called,
        ToolStarted(call_id=called.call_id, execution_key=f"exec_{number}"),
        ToolSucceeded(call_id=called.call_id, result={"a": "long result"}),
        DecisionMade(
            decision_id=f"dec_{number}",
            ordinal=number,
            decision_type="custom",
            intent="what to do",
            options=(Option(id="one", description="first"),),
            chosen_option_id="one",
        ),
        ProblemReported(problem_id=f"prob_{number}", severity="minor", description="slow"),
        StepFinished(step_id=f"step_{number}", ok=True),
    ]


def reached(state: Any) -> Counter[type]:
    """How many objects of each class a state leads to."""
    seen, left = {id(state): state}, [state]
    while left:
        for found in gc.get_referents(left.pop()):
            if id(found) not in seen and not isinstance(found, type | FunctionType | ModuleType):
                seen[id(found)] = found
                left.append(found)
    return Counter(type(found) for found in seen.values())


def test_a_run_keeps_no_event_of_its_progress() -> None:
    run = fold(*RUNNING)
    before = {kind for kind in reached(run) if issubclass(kind, Event)}
    evolved(run, *(event for number in range(1, MANY + 1) for event in progress(number)))
    kept = reached(run)
    assert {kind for kind in kept if issubclass(kind, Event)} == before
    assert (kept[TextPart], kept[Option], kept[Tokens], kept[MessageState]) == (0, 0, MANY, 0)
