"""How a stream is written: the port that a format of streams fills in, as `http/streams/sse.py` does."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

from runfold.domain.recorded import Recorded
from runfold.errors import LedgerError

Form = Literal["runfold", "cloudevents"]
"""Whether an event is written in our own words or as a CloudEvent."""


Framing = Callable[[Recorded], bytes]
"""Writes an event."""


class Frame(NamedTuple):
    """An event as a stream has it."""

    position: int
    data: bytes


class Frames(Protocol):
    """A format of streams."""

    def framing(self, epoch: UUID, form: Form) -> Framing:
        """Return what writes events of a history. Raises Damage for one that cannot be read."""

    def unnamed(self, framed: bytes) -> bytes:
        """Return the frame of an event without its name."""

    def mark(self, name: str, position: int, epoch: UUID, facts: Mapping[str, Any]) -> bytes:
        """Something that the stream says of itself."""

    def heartbeat(self, position: int, epoch: UUID) -> bytes:
        """The stream is alive, and everything up to a position was looked at."""

    def problem(self, error: LedgerError) -> Mapping[str, Any]:
        """Return what is said of an error."""
