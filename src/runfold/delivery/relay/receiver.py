"""What events are relayed to, as the relay sees it: something that keeps messages in one order and can tell the last one."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID


class Message(NamedTuple):
    """An event on its way."""

    event_id: UUID
    cursor: str
    """Its position and history: goes along, so that the last message says how far its sender was."""
    type: str
    thread_id: str
    body: bytes
    media_type: str


class End(NamedTuple):
    """Where a receiver's messages end."""

    cursor: str | None
    """The cursor of the last message of ours; None where there is none any more, or none yet."""
    is_unused: bool
    """Whether it has never held a message."""


class Receiver(Protocol):
    """Takes messages and keeps them. Each call raises ReceiverUnavailable, after which `connect` begins anew, or RelayRefused."""

    @property
    def name(self) -> str:
        """Return what it is called, whoever asks."""

    @property
    def most_bytes(self) -> int:
        """Return how large a body may be."""

    def connect(self) -> None:
        """Connect, and give up what was connected before."""

    def end(self) -> End | None:
        """Return where it ends; None where it is not there yet. What is sent next goes after that or nowhere."""

    def make(self) -> None:
        """Make it where it is not there."""

    def send(self, messages: Sequence[Message], /) -> None:
        """Have messages stored in this order. When it returns they are; where it raises, the first of them may be."""

    def interrupt(self) -> None:
        """End what another thread waits for here, now and from now on, with ReceiverUnavailable."""

    def close(self) -> None:
        """Give everything back."""
