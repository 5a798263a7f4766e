"""Steps, model calls, nodes; and the shared state, which changes whole or not at all."""

from typing import Any

import pytest

from runfold.domain.step import (
    EdgeTraversed,
    ModelCallFinished,
    ModelCallStarted,
    NodeEntered,
    StatePatched,
    StateSnapshotTaken,
    StepFinished,
    StepStarted,
)

from .samples import RUNNING
from .story import fold, given

step = StepStarted(step_id="step_1", name="plan", node_id="planner")
model_call = ModelCallStarted(model_call_id="mcall_1", provider="openai", request_model="gpt-4o", prompt_message_ids=("msg_1",))
step_finished, model_call_finished = StepFinished(step_id="step_1", ok=True), ModelCallFinished(model_call_id="mcall_1")
PAIRS = [(step, step_finished, "step"), (model_call, model_call_finished, "model call")]


@pytest.mark.parametrize(("begun", "ended", "thing"), PAIRS)
def test_what_starts_ends_once(begun: Any, ended: Any, thing: str) -> None:
    given(*RUNNING).when(lambda run: run.steps.start(begun)).then(begun)
    given(*RUNNING, begun).when(lambda run: run.steps.start(begun)).known(thing, version=3)
    given(*RUNNING, begun).when(lambda run: run.steps.finish(ended)).then(ended)
    given(*RUNNING, begun, ended).when(lambda run: run.steps.finish(ended)).known(f"the end of {thing}", version=4)
    given(*RUNNING).when(lambda run: run.steps.finish(ended)).refused(f"this run has no {thing} '")


def test_a_run_knows_the_node_it_is_at() -> None:
    given(*RUNNING).when(lambda run: run.steps.enter_node("planner")).then(NodeEntered(node_id="planner"))
    given(*RUNNING, NodeEntered(node_id="planner")).when(lambda run: run.steps.enter_node("planner")).then(
        NodeEntered(node_id="planner")
    )
    edge = EdgeTraversed(from_node_id="planner", to_node_id="actor", condition="has a plan")
    run = given(*RUNNING, NodeEntered(node_id="planner")).when(lambda run: run.steps.traverse_edge(edge)).then(edge)
    assert run.steps.node_id == "actor"
    assert fold(*RUNNING, step).steps.node_id == "planner"


# The shared state

STATE = {"order": 7, "items": [1, 2]}
snapshot = StateSnapshotTaken(state=STATE)


@pytest.mark.row("RV-66")
def test_a_snapshot_replaces_the_state() -> None:
    run = given(*RUNNING, snapshot).when(lambda run: run.steps.take_snapshot([1])).then(StateSnapshotTaken(state=[1]))
    assert run.steps.state == [1]
    given(*RUNNING, snapshot).when(lambda run: run.steps.take_snapshot({"items": [1, 2], "order": 7})).then()


def test_no_state_yet_and_the_state_null_are_not_the_same() -> None:
    given(*RUNNING).when(lambda run: run.steps.take_snapshot(None)).then(StateSnapshotTaken(state=None))
    given(*RUNNING, StateSnapshotTaken(state=None)).when(lambda run: run.steps.take_snapshot(None)).then()


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0, False), ({"a": [1]}, {"a": [True]})])
def test_a_state_of_another_kind_is_another_state(before: Any, after: Any) -> None:
    told = given(*RUNNING, StateSnapshotTaken(state=before)).when(lambda run: run.steps.take_snapshot(after))
    (event,) = told.events or ()
    assert repr(event.state) == repr(after)  # type: ignore[attr-defined]  # Python's own == takes them for equal


def test_a_state_that_its_owner_goes_on_to_change_is_recorded_as_it_was() -> None:
    mine: dict[str, Any] = {"seen": []}
    run = given(*RUNNING).when(lambda run: run.steps.take_snapshot(mine)).then(StateSnapshotTaken(state={"seen": []}))
    mine["seen"].append(1)
    assert run.steps.state == {"seen": []}
    assert run.steps.take_snapshot(mine) == [StateSnapshotTaken(state={"seen": [1]})]


@pytest.mark.row("RV-66")
def test_a_patch_changes_the_state() -> None:
    patch = [{"op": "add", "path": "/items/-", "value": 3}, {"op": "replace", "path": "/order", "value": 8}]
    run = given(*RUNNING, snapshot).when(lambda run: run.steps.patch(patch)).then(StatePatched(patch=tuple(patch)))
    assert run.steps.state == {"order": 8, "items": [1, 2, 3]}
    assert STATE == {"order": 7, "items": [1, 2]}


@pytest.mark.row("RV-66")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nobody"},
        {"op": "test", "path": "/order", "value": 9},
        {"op": "add", "path": "/items/9", "value": 1},
        {"op": "add", "path": "items", "value": 1},
        {"op": "add", "path": "/order/x", "value": 1},
        {"op": "explode", "path": "/order"},
        {"op": "add", "path": 7, "value": 1},
        {"op": "move", "from": "/nobody", "path": "/order"},
        {"path": "/order"},
        {},
    ],
    ids=str,
)
def test_a_patch_that_does_not_apply_whole_is_refused_whole(operation: dict[str, Any]) -> None:
    patch = [{"op": "replace", "path": "/order", "value": 8}, operation]
    told = given(*RUNNING, snapshot).when(lambda run: run.steps.patch(patch))
    told.refused("the patch does not apply")
    assert told.subject.steps.state == STATE


def test_a_patch_does_not_nest_the_state_deeper_than_it_could_be_kept() -> None:
    deep: Any = {}
    for _ in range(63):
        deep = {"a": deep}
    patch = [{"op": "add", "path": "/b", "value": {}}, {"op": "move", "from": "/a", "path": "/b/a"}]
    given(*RUNNING, StateSnapshotTaken(state=deep)).when(lambda run: run.steps.patch(patch)).refused("nested more than 64 deep")


def test_a_first_patch_records_the_state_that_it_changes() -> None:
    patch = [{"op": "add", "path": "/seen", "value": True}]
    given(*RUNNING).when(lambda run: run.steps.patch(patch, {"order": 7})).then(
        StateSnapshotTaken(state={"order": 7}), StatePatched(patch=tuple(patch))
    )


def test_copies_that_would_fill_the_memory_are_refused() -> None:
    doubling = [{"op": "copy", "from": "", "path": f"/{number}"} for number in range(64)]
    snapshot = StateSnapshotTaken(state={"text": "x" * 100})
    given(*RUNNING, snapshot).when(lambda run: run.steps.patch(doubling)).refused("larger than")
