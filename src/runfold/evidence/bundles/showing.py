"""What of its events a bundle shows: which of them, and of which the payload. The proofs stay whole whatever is left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from runfold.evidence.bundles.hidden import Hides, hides_nothing
from runfold.proofs.leaf import Leaf
from runfold.proofs.records import Shown

Which = Callable[[Leaf, str, Shown], bool]
"""Says of an event, by its leaf, its thread and all of it, whether it is one of those."""


def _of_all(_leaf: Leaf, _thread_id: str, _whole: Shown) -> bool:
    return True


@dataclass(frozen=True)
class Showing:
    """What is shown of each event."""

    left_out: Sequence[str] = ()
    """Patterns of the event types of which the payload is left out."""
    events: Which = _of_all
    """Whether more than its leaf is shown of an event; only where all leaves of the log are there."""
    payloads: Which = _of_all
    """Whether its payload is shown, unless it is left out."""
    hides: Hides = hides_nothing
    """Whether its payload is left out for what it says."""

    def of(self, leaf: Leaf, thread_id: str, whole: Shown) -> Shown | None:
        """Return what is shown of an event; None where that is its leaf alone."""
        if not self.events(leaf, thread_id, whole):
            return None
        is_left_out = any(fnmatchcase(leaf.type, pattern) for pattern in self.left_out) or not self.payloads(
            leaf, thread_id, whole
        )
        if is_left_out or self.hides(leaf, thread_id, whole.payload or b"{}"):
            return whole._replace(payload=None, payload_salt=None)
        return whole
