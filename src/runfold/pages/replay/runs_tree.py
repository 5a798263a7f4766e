"""The runs of a thread as a tree: each under the run that it comes from, those of the chosen path marked."""

from collections.abc import Sequence
from typing import NamedTuple

from runfold.queries.threads.run_states import RunState

MOST = 120
"""How many runs are drawn at once."""
_HOW = {
    "continues": "continues",
    "branches": "branch",
    "resumes": "resumes",
    "retries": "retry",
    "spawned_by": "sub-agent",
    None: "",
}


class Branch(NamedTuple):
    """A run in the tree."""

    run: RunState
    depth: int
    how: str
    is_on_path: bool
    is_chosen: bool


class RunsTree(NamedTuple):
    """Runs in the order in which they are drawn."""

    branches: list[Branch]
    left_out: int


def runs_tree(states: Sequence[RunState], path: Sequence[str], chosen: str | None) -> RunsTree:
    """The tree of runs. A run that goes on where another ended stands beside it and no deeper, as it is the same conversation.

    Of many runs those of the path, those that heads point at and the newest are drawn.
    """
    children: dict[str | None, list[RunState]] = {}
    for state in states:
        children.setdefault(state.parent.run_id if state.parent else None, []).append(state)
    on_path, shown = set(path), _shown(states, path)
    found: list[Branch] = []
    waiting = [(state, 0) for state in reversed(children.get(None, []))]
    while waiting:
        state, depth = waiting.pop()
        kind = state.parent.kind if state.parent else None
        if state.run_id in shown:
            found.append(Branch(state, depth, _HOW[kind], state.run_id in on_path, state.run_id == chosen))
        below = sorted(children.get(state.run_id, []), key=_goes_on)
        waiting += [(child, depth + (0 if _goes_on(child) else 1)) for child in reversed(below)]
    return RunsTree(found, len(states) - len(found))


def _goes_on(state: RunState) -> bool:
    return state.parent is not None and state.parent.kind in {"continues", "resumes", "retries"}


def _shown(states: Sequence[RunState], path: Sequence[str]) -> set[str]:
    if len(states) <= MOST:
        return {state.run_id for state in states}
    first = [*reversed(path), *(state.run_id for state in states if state.heads), *(state.run_id for state in reversed(states))]
    return set(list(dict.fromkeys(first))[:MOST])
