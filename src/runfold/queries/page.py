"""What answers from read models have in common: as of when they are true, and pages of lists."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Standing(BaseModel):
    """What an answer is true as of, and how far the ledger is beyond it."""

    model_config = ConfigDict(frozen=True)

    position: int
    """The answer holds what happened up to here."""
    head: int
    """The last position of the ledger at that moment."""
    behind_seconds: float = 0.0
    """For how long the first event that the answer does not hold has been in the ledger."""
    superseded_threads: int = 0
    """How many threads, of all in the ledger, the answer leaves out because others stand for them."""

    @property
    def behind_events(self) -> int:
        """How many events the answer does not hold."""
        return self.head - self.position


class Page(BaseModel, Generic[T]):
    """Some of a list: what is on it, where the rest begins (None: there is no more), and as of when."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    next_cursor: str | None
    standing: Standing
