"""What answers from read models have in common: as of when they are true, and pages of lists."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from runfold.queries.frames import arrow_table, data_frame

if TYPE_CHECKING:
    import pandas
    import pyarrow

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

    def told(self) -> dict[str, str]:
        """Return what stands beside the columns of a table."""
        return {"position": str(self.position), "head": str(self.head)}


class Page(BaseModel, Generic[T]):
    """Some of a list: what is on it, where the rest begins (None: there is no more), and as of when."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    next_cursor: str | None
    standing: Standing

    def to_arrow(self) -> "pyarrow.Table":
        """Return what is on the page as a table of Apache Arrow. Raises UsageError where the extra `analytics` is missing."""
        (kind,) = self.__pydantic_generic_metadata__["args"] or (None,)
        return arrow_table(
            self.items, kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None, self.standing.told()
        )

    def to_pandas(self) -> "pandas.DataFrame":
        """Return what is on the page as a data frame. Raises UsageError where the extra `analytics` is missing."""
        return data_frame(self.to_arrow())


def page_of(kind: type[T], items: Iterable[T], next_cursor: str | None, standing: Standing) -> Page[T]:
    """Return a page that knows of which kind its items are, even where there are none."""
    return Page[kind](items=tuple(items), next_cursor=next_cursor, standing=standing)  # type: ignore[valid-type]
