"""A run with thousands of calls: which are open is what a plain look at all of them says, and no look at those that ended."""

import random

import pytest

from runfold.domain.event import Event
from runfold.domain.run import Run
from runfold.domain.run_events import RunFailed, RunWaiting
from runfold.domain.tool_call import ENDED, Failure, ToolCalled, ToolCancelled, ToolFailed, ToolStarted, ToolSucceeded
from tests.domain.samples import RUNNING
from tests.promises.growth import TIMES, growth

ERROR = Failure(code="tool_error", message="no")


def story(chance: random.Random) -> list[Event]:
    """Calls that are asked for, carried on, started and ended in any order."""
    events: list[Event] = []
    asked = list[str]()
    for number in range(chance.randrange(1, 40)):
        call_id = f"call_{number}"
        match chance.randrange(6):
            case 0 | 1:
                asked.append(call_id)
                events.append(ToolCalled(call_id=call_id, name="look", arguments_text="{}"))
            case 2:
                asked.append(call_id)
                events.append(RunWaiting(reason="approval", approval_ids=("approval_1",), inherited_call_ids=(call_id,)))
            case 3:
                events.append(ToolStarted(call_id=chance.choice([*asked, call_id]), execution_key="key"))
                asked.append(call_id)
            case 4 if asked:
                ended = asked.pop(chance.randrange(len(asked)))
                kinds = (ToolSucceeded(call_id=ended), ToolFailed(call_id=ended, error=ERROR), ToolCancelled(call_id=ended))
                events.append(chance.choice(kinds))
            case _:
                continue
    return events


@pytest.mark.parametrize("seed", range(30))
def test_open_calls_are_those_that_have_not_ended_oldest_first(seed: int) -> None:
    run = Run("run_1")
    for event in (*RUNNING, *story(random.Random(seed))):  # noqa: S311
        run.evolve(event)
        plain = [call_id for call_id, call in run.calls.by_id.items() if call.status not in ENDED]
        assert run.calls.open_ids == plain
        assert [call_id for call_id in run.calls.by_id if run.calls.is_open(call_id)] == plain
    run.evolve(RunFailed(stop_reason="error", error=ERROR, closed_tool_calls=tuple(run.calls.open_ids)))
    assert run.calls.open_ids == []


@pytest.mark.fault("K1")
def test_to_ask_which_are_open_looks_at_no_call_that_ended() -> None:
    def made(count: int) -> Run:
        run = Run("run_1")
        ends = (ToolSucceeded(call_id=f"call_{number}") for number in range(count))
        calls = (ToolCalled(call_id=f"call_{number}", name="look", arguments_text="{}") for number in range(count))
        for event in (*RUNNING, *calls, *ends):
            run.evolve(event)
        return run

    found = growth(lambda run: [run.calls.open_ids for _ in range(200)], made, 200, weighed=True)
    assert found.seconds < TIMES / 2, found
