"""What a reactor is: something that acts by itself, claimed by one process at a time, and harmless where two act.

A claim saves work. That each effect comes once is no matter of the claim: a process that was stopped for long may go on when
another has taken over. So whatever a reactor does is a command with an idempotency key, or at an expected version, that
follows from what it reacts to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

HOLD_SECONDS = 15.0
"""How long a claim lasts that is not renewed, where a reactor is not in a hurry."""


class Claim(NamedTuple):
    """The right to carry a reactor out, until another takes it over. The position is None before the first."""

    name: str
    token: int
    position: int | None
    epoch: UUID | None
    hold_seconds: float = HOLD_SECONDS
    """How long it lasts unless it is renewed."""


@dataclass(frozen=True)
class Reacted:
    """What a reactor did in one turn."""

    done: Mapping[str, int] = field(default_factory=dict)
    """How often it did what."""
    position: int | None = None
    """How far it has taken the log in, if it follows the log: stored with what was done."""
    epoch: UUID | None = None
    due_since: datetime | None = None
    """Since when the oldest of what it has still to do has been due."""
    has_more: bool = False
    """Whether there is more to do at once."""


class Reactor(Protocol):
    """Acts by itself."""

    @property
    def name(self) -> str:
        """Return the name under which it is claimed and shown."""

    @property
    def pause(self) -> float:
        """Return the seconds from one turn to the next, where there is nothing more to do."""

    @property
    def hold_seconds(self) -> float:
        """Return the seconds after which another process takes over from one that died."""

    def react(self, claim: Claim, /) -> Reacted:
        """Do what is due, or a part of it. Raises LedgerError, psycopg.Error: then it is tried again later."""
