"""Whether the rows of a projection keep to the partition that it says: each made from the events of one thread, or one goal.

Tables are filled thread by thread, in several processes at once, where a projection says so. A row that two threads touch
would come out in pieces.
"""

from collections.abc import Iterable
from typing import NamedTuple

from runfold.domain.recorded import Recorded
from runfold.errors import WrongPartition
from runfold.projections.projection import AnyProjection, Key


class Toucher(NamedTuple):
    """The first event that was seen to touch a row: its part, a thread or a goal, and where it stands."""

    part: str | None
    position: int
    type: str

    def __str__(self) -> str:
        return f"the {self.type} at position {self.position} ({self.part or 'none'})"


Touchers = dict[Key, Toucher]


def require_own_part(projection: AnyProjection, touches: Iterable[tuple[Key, Recorded]], known: Touchers) -> None:
    """Raise WrongPartition where events of two parts touch one row. `known` is who touched it first, and is added to."""
    partition = projection.partition
    if partition is None:
        return
    for key, recorded in touches:
        part = recorded.thread_id if partition == "thread" else recorded.context.goal_id
        first = known.get(key)
        if first is None:
            known[key] = Toucher(part, recorded.position, recorded.type)
        elif first.part != part:
            raise WrongPartition(
                projection.name, partition, key[1:], str(first), str(Toucher(part, recorded.position, recorded.type))
            )
