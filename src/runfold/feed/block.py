"""Neighbours in the log, read once for all who are behind. Who wants the same of them is given the same, written once."""

from bisect import bisect_right

from runfold.domain.recorded import Recorded
from runfold.feed.frames import Form, Framing
from runfold.store.reading.filter import Filter

MOST_FILTERS = 8
"""It is kept for so many filters what they take."""


class Block:
    """Neighbours in the log, and how many bytes of payload they are. Between their positions there is no gap."""

    def __init__(self, events: list[Recorded], size: int) -> None:
        self.events, self.size = events, size
        self.begins = events[0].position if events else 0
        self.ends = self.begins + len(events)
        """Stands for the position after the last."""
        self.frame_bytes = 0
        """How many bytes of frames were made."""
        self._frames: dict[Form, list[bytes | None]] = {}
        self._taken: dict[Filter, list[int]] = {}

    def holds(self, position: int) -> bool:
        """Return whether the event at a position is one of its own."""
        return self.begins <= position < self.ends

    def recorded(self, position: int) -> Recorded:
        """Return the event at a position."""
        return self.events[position - self.begins]

    def taken(self, wanted: Filter, after: int, up_to: int) -> list[int]:
        """Return the positions of the events that a filter takes, after one position and up to another."""
        found = self._taken.get(wanted)
        if found is None:
            if len(self._taken) >= MOST_FILTERS:
                del self._taken[next(iter(self._taken))]
            found = self._taken[wanted] = [recorded.position for recorded in self.events if wanted.takes(recorded)]
        return found[bisect_right(found, after) : bisect_right(found, up_to)]

    def frames(self, form: Form) -> list[bytes | None]:
        """Return the frames of its events, one by one, as far as they were made."""
        made = self._frames.get(form)
        if made is None:
            made = self._frames[form] = [None] * len(self.events)
        return made

    def frame(self, position: int, form: Form, framing: Framing) -> bytes:
        """Return the frame of one event, made when it is first asked for. Raises Damage."""
        made, index = self.frames(form), position - self.begins
        frame = made[index]
        if frame is None:
            recorded = self.events[index]
            frame = made[index] = framing(recorded)
            recorded.let_go()  # as objects it takes ten times as much as in its bytes, and mostly nobody asks again
            self.frame_bytes += len(frame)
        return frame
