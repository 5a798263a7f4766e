"""Steps, model calls and graph nodes of a run, and its shared state document."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

import jsonpatch
import jsonpointer

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.life import Life
from runfold.domain.tool_call import Failure
from runfold.domain.values import Id, Json, JsonObject, Label, Nanoseconds, json_fault, same

MOST_STATE_BYTES = 8 * 1024 * 1024
MOST_SHIFTED = 100_000_000
"""Members of lists that a patch may move from one place to the next: some tenths of a second."""
_SHIFTING = frozenset({"add", "remove", "copy"})


class StepEvent(Event):
    """The run made progress through its steps."""


class StepStarted(StepEvent, type="step.started"):
    """A step began."""

    step_id: Id
    name: Label
    node_id: Label | None = None


class StepFinished(StepEvent, type="step.finished"):
    """A step ended, well or not."""

    step_id: Id
    ok: bool
    error: Failure | None = None


class ModelCallStarted(StepEvent, type="model_call.started"):
    """A request went to a model. `prompt_message_ids` name what it was shown."""

    model_call_id: Id
    provider: Label | None = None
    request_model: Label | None = None
    prompt_message_ids: tuple[Id, ...] = ()


class ModelCallFinished(StepEvent, type="model_call.finished"):
    """The model answered, or did not."""

    model_call_id: Id
    response_model: Label | None = None
    finish_reasons: tuple[Label, ...] = ()
    ttft_ns: Nanoseconds | None = None
    error: Failure | None = None


class NodeEntered(StepEvent, type="node.entered"):
    """The run came to a node of its graph."""

    node_id: Label


class EdgeTraversed(StepEvent, type="node.edge_traversed"):
    """The run went from one node of its graph to another."""

    from_node_id: Label
    to_node_id: Label
    condition: Label | None = None


class StateSnapshotTaken(StepEvent, type="state.snapshot_taken"):
    """The shared state was recorded whole."""

    state: Json = None


class StatePatched(StepEvent, type="state.patched"):
    """The shared state changed by a JSON Patch (RFC 6902), applied whole."""

    patch: tuple[JsonObject, ...]


AnyStepEvent = (
    StepStarted
    | StepFinished
    | ModelCallStarted
    | ModelCallFinished
    | NodeEntered
    | EdgeTraversed
    | StateSnapshotTaken
    | StatePatched
)


@dataclass(slots=True)
class Started:
    """A step or a model call that was started and may have finished."""

    started_at: int
    finished_at: int = 0
    facts: Mapping[str, str | None] = field(default_factory=dict)
    """What it is, for the context of its events."""


@dataclass
class SharedState:
    """The state document that snapshots and patches make. Patches change it in place: copies would cost what all of them made."""

    value: Any = None
    """Is not to be kept: the next patch may change it."""
    is_there: bool = False
    """Whether there was a snapshot or a patch."""
    _is_own: bool = False
    """Whether it is nobody else's, neither an event's nor of who was given it to keep."""

    def evolve(self, event: StateSnapshotTaken | StatePatched) -> None:
        """Update the document by one event, which stays as it is."""
        if isinstance(event, StateSnapshotTaken):
            self.value, self._is_own = event.state, False
        else:
            patch = copy.deepcopy(list(event.patch))  # what it adds becomes a part of the state, which the next one may change
            state = self.value if self._is_own else copy.deepcopy(self.value)
            self.value, self._is_own = jsonpatch.JsonPatch(patch).apply(state, in_place=True), True
        self.is_there = True

    def kept(self) -> Any:
        """Return the document, which stays as it is."""
        self._is_own = False
        return self.value


@dataclass
class Steps:
    """The steps of one run, where it is in its graph, and its state document."""

    run: Life
    steps: dict[str, Started] = field(default_factory=dict)
    model_calls: dict[str, Started] = field(default_factory=dict)
    node_id: str | None = None
    shared: SharedState = field(default_factory=SharedState)

    @property
    def state(self) -> Any:
        """Return the state document, to be looked at: the next patch may change it."""
        return self.shared.value

    @property
    def has_state(self) -> bool:
        """Return whether the run has one of its own."""
        return self.shared.is_there

    def start(self, event: StepStarted | ModelCallStarted) -> Events:
        """Start a step or a model call."""
        known, thing, started_id = self._of(event)
        if found := known.get(started_id):
            raise AlreadyRecorded(thing, started_id, self.run.id, found.started_at, event)
        self.run.require_open("start")
        return [event]

    def finish(self, event: StepFinished | ModelCallFinished) -> Events:
        """Finish a step or a model call, once. A model call also after the run's end: what its stream says last comes late."""
        known, thing, started_id = self._of(event)
        found = known.get(started_id)
        if found is None:
            self.run.refuse("finish", f"this run has no {thing} {started_id!r}; it finishes those that it began itself")
        if found.finished_at:
            raise AlreadyRecorded(f"the end of {thing}", started_id, self.run.id, found.finished_at, event)
        if isinstance(event, StepFinished):
            self.run.require_open("finish")
        return [event]

    def enter_node(self, node_id: str) -> Events:
        """Enter a node. Entering the node that the run is at records a new visit."""
        self.run.require_open("enter_node")
        return [NodeEntered(node_id=node_id)]

    def traverse_edge(self, edge: EdgeTraversed) -> Events:
        """Go from one node to another."""
        self.run.require_open("traverse_edge")
        return [edge]

    def take_snapshot(self, state: Any) -> Events:
        """Record the shared state whole. Repeating the same state records nothing."""
        self.run.require_open("set_state")
        taken = StateSnapshotTaken(state=state)
        return [] if self.has_state and same(self.state, taken.state) else [taken]

    def patch(self, patch: list[dict[str, Any]], inherited: Any = None) -> Events:
        """Change the shared state by a JSON Patch, whole or not at all.

        A run that has no state of its own yet starts from `inherited`, which is then recorded first.
        """
        self.run.require_open("patch_state")
        patched = StatePatched(patch=tuple(patch))
        before = self.state if self.has_state else inherited
        try:
            after = apply_patch(before, patch)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, IndexError) as error:
            self.run.refuse("patch_state", f"the patch does not apply: {error}")
        if fault := json_fault(after):
            self.run.refuse("patch_state", f"the patched state is not valid: {fault}")
        return [patched] if self.has_state else [StateSnapshotTaken(state=inherited), patched]

    def evolve(self, event: AnyStepEvent) -> None:
        """Update the state by one event."""
        match event:
            case StepStarted() | ModelCallStarted():
                known, _, started_id = self._of(event)
                known[started_id] = Started(self.run.version, facts=_facts(event))
                if isinstance(event, StepStarted) and event.node_id:
                    self.node_id = event.node_id
            case StepFinished() | ModelCallFinished():
                known, _, started_id = self._of(event)
                known[started_id].finished_at = self.run.version
            case NodeEntered():
                self.node_id = event.node_id
            case EdgeTraversed():
                self.node_id = event.to_node_id
            case StateSnapshotTaken() | StatePatched():
                self.shared.evolve(event)
            case _:
                assert_never(event)

    def _of(
        self, event: StepStarted | StepFinished | ModelCallStarted | ModelCallFinished
    ) -> tuple[dict[str, Started], str, str]:
        match event:
            case StepStarted() | StepFinished():
                return self.steps, "step", event.step_id
            case ModelCallStarted() | ModelCallFinished():
                return self.model_calls, "model call", event.model_call_id
            case _:
                assert_never(event)


def _facts(started: StepStarted | ModelCallStarted) -> Mapping[str, str | None]:
    if isinstance(started, StepStarted):
        return {"step_name": started.name, "node_id": started.node_id}
    return {"provider": started.provider, "request_model": started.request_model}


def apply_patch(state: Any, patch: list[dict[str, Any]]) -> Any:
    """Return the state after a patch, within bounds. Raises as jsonpatch does."""
    _require_few_shifts(state, patch)
    if any(_said(operation, "op") == "copy" for operation in patch):
        return _patched_with_copies(state, patch)
    return jsonpatch.JsonPatch(patch).apply(state)


def _patched_with_copies(state: Any, patch: list[dict[str, Any]]) -> Any:
    """Apply one operation at a time: a few dozen copies could fill any memory, so everything copied counts."""
    state = copy.deepcopy(state)
    size = len(json.dumps(state))
    for operation in patch:
        if _said(operation, "op") == "copy":
            size += len(json.dumps(jsonpointer.resolve_pointer(state, _said(operation, "from"))))
            if size > MOST_STATE_BYTES:
                raise jsonpatch.JsonPatchException(f"its copies make the state larger than {MOST_STATE_BYTES} bytes")
        state = jsonpatch.JsonPatch([operation]).apply(state, in_place=True)
    return state


def _require_few_shifts(state: Any, patch: list[dict[str, Any]]) -> None:
    """Adding at a place in a list, or removing there, moves all members behind it."""
    shifts = sum(1 for operation in patch if _said(operation, "op") in _SHIFTING and _said(operation, "path")[-1:].isdecimal())
    shifts += sum(1 for operation in patch if _said(operation, "op") == "move")
    if shifts and shifts * (_longest(state) + len(patch)) > MOST_SHIFTED:
        raise jsonpatch.JsonPatchException(
            f"its {shifts:,} changes within lists would move more than {MOST_SHIFTED:,} members; record the new state whole"
        )


def _said(operation: Any, name: str) -> str:
    said = operation.get(name) if isinstance(operation, dict) else None
    return said if isinstance(said, str) else ""


def _longest(value: Any) -> int:
    """Return the length of the longest list in a value."""
    if isinstance(value, dict):
        return max(map(_longest, value.values()), default=0)
    return max(len(value), max(map(_longest, value), default=0)) if isinstance(value, list) else 0
