"""The heads of a thread: where each points, and whether a person put it there or it followed its run by itself."""

from collections.abc import Iterable
from typing import Literal

from runfold.domain.recorded import Recorded
from runfold.domain.thread import HeadMoved, HeadNamed
from runfold.history.tree import Tree
from runfold.history.views import View


class Placing(View):
    """When a head was last put somewhere by hand: `named` when it was made, else why it was moved."""

    run_id: str
    how: Literal["named", "checked_out", "rewound"]
    position: int
    by: str
    """The actor, as `kind:id`."""


class HeadView(View):
    """A head. Where `placed` is null nobody ever touched it, and it followed from the thread's first run."""

    name: str
    run_id: str
    placed: Placing | None

    @property
    def has_followed(self) -> bool:
        """Return whether it moved by itself since it was last put somewhere."""
        return self.placed is None or self.placed.run_id != self.run_id


def head_list(tree: Tree, events: Iterable[Recorded]) -> list[HeadView]:
    """The heads of a tree, by name; `events` are those of its thread about heads."""
    placings: dict[str, Placing] = {}
    for recorded in events:
        position, actor = recorded.position, recorded.metadata.actor
        match recorded.event:
            case HeadNamed() as named:
                placings[named.name] = Placing(run_id=named.run_id, how="named", position=position, by=str(actor))
            case HeadMoved() as moved:
                placings[moved.name] = Placing(run_id=moved.to_run_id, how=moved.reason, position=position, by=str(actor))
            case _:
                continue
    return [HeadView(name=name, run_id=tree.heads[name], placed=placings.get(name)) for name in sorted(tree.heads)]
