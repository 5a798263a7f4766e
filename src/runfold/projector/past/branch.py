"""The path from the root of a thread to one of its runs: which events are on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from runfold.domain.recorded import Recorded


class Leaving(NamedTuple):
    """The point up to which a run belongs to a path: its version, and for its approvals the position."""

    version: int
    position: int


@dataclass(frozen=True)
class Branch:
    """The path root → run of one thread of a tenant, by the ids of its runs."""

    tenant_id: str
    thread_id: str
    run_id: str
    path: Mapping[str, Leaving]

    def holds(self, recorded: Recorded) -> bool:
        """Whether an event is on the path: the thread's own are, and of each run what came before its child left it."""
        if recorded.stream == self.thread_id:
            return True
        if (leaving := self.path.get(recorded.stream)) is not None:
            return recorded.version <= leaving.version
        beside = self.path.get(recorded.context.run_id or "")
        return beside is not None and not recorded.stream.startswith("run_") and recorded.position <= beside.position
