"""Patches of a shared state change it in place where nobody else has it, and never an event."""

import copy
import random
from typing import Any

import jsonpatch
import pytest

from runfold import Ledger
from runfold.domain.run import Run
from runfold.domain.step import StatePatched, StateSnapshotTaken
from tests.domain.samples import RUNNING
from tests.promises.growth import TIMES, growth


def story(chance: random.Random) -> list[StateSnapshotTaken | StatePatched]:
    """Snapshots and patches, of which some add what later ones change."""
    events: list[StateSnapshotTaken | StatePatched] = []
    state: Any = None
    for number in range(chance.randrange(2, 12)):
        if number == 0 or chance.random() < 0.2:
            state = {"a": {"n": number}, "list": [{"x": 1}]}
            events.append(StateSnapshotTaken(state=copy.deepcopy(state)))
            continue
        patch = [
            {"op": "add", "path": f"/k{number}", "value": {"inner": [number]}},
            {"op": "add", "path": "/list/-", "value": {"x": number}},
            {"op": "replace", "path": "/list/0/x", "value": number},
            *({"op": "add", "path": f"/{key}/inner/-", "value": number} for key in state if key.startswith("k")),
        ]
        chosen = chance.sample(patch, chance.randrange(1, len(patch) + 1))
        state = jsonpatch.JsonPatch(chosen).apply(state)
        events.append(StatePatched(patch=tuple(chosen)))
    return events


def run_after(events: list[StateSnapshotTaken | StatePatched]) -> Run:
    run = Run("run_1")
    for event in (*RUNNING, *events):
        run.evolve(event)
    return run


@pytest.mark.parametrize("seed", range(30))
def test_the_state_is_that_of_copies_and_events_stay_as_they_are(seed: int) -> None:
    events = story(random.Random(seed))  # noqa: S311
    before, state = [event.model_dump() for event in events], None
    for event in copy.deepcopy(events):
        state = event.state if isinstance(event, StateSnapshotTaken) else jsonpatch.JsonPatch(list(event.patch)).apply(state)
    assert run_after(events).steps.state == state
    assert run_after(events).steps.state == state, "again, of the same events"
    assert [event.model_dump() for event in events] == before


def appending(number: int) -> list[StateSnapshotTaken | StatePatched]:
    added = (StatePatched(patch=({"op": "add", "path": "/list/-", "value": {"x": n}},)) for n in range(number))
    return [StateSnapshotTaken(state={"list": []}), *added]


@pytest.mark.fault("K1")
def test_a_state_is_folded_in_proportion_to_its_patches() -> None:
    assert growth(run_after, appending, 50).calls < 1.5 * TIMES


@pytest.mark.fault("K1")
def test_the_state_of_a_past_is_folded_in_proportion_to_its_patches(ledger: Ledger) -> None:
    def told(number: int) -> str:
        run = ledger.create_thread(agent_id="support").start_run()
        with ledger.batch() as batch:
            batch.run(run.id).set_state({"list": []})
            for n in range(number):
                batch.run(run.id).patch_state([{"op": "add", "path": "/list/-", "value": {"x": n}}])
        return run.id

    found = growth(lambda run_id: ledger.run(run_id).state(), told, 20)
    assert found.calls < 1.5 * TIMES, found
    assert ledger.run(told(3)).state() == {"list": [{"x": n} for n in range(3)]}
