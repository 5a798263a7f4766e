"""What a row is, and the list of all."""

from collections.abc import Callable
from dataclasses import dataclass

from faults.stage import Stage

Act = Callable[[Stage], None]


@dataclass(frozen=True)
class Row:
    """A fault by its id, what is done about it, and the part of all events that it records."""

    id: str
    name: str
    share: float
    short: bool
    act: Act

    @property
    def purpose(self) -> str:
        """What it does to whom, and what must hold."""
        return " ".join((self.act.__doc__ or "").split())


rows: dict[str, Row] = {}


def row(id: str, name: str, *, share: float = 0.0, short: bool = False) -> Callable[[Act], Act]:
    """Decorator: the function is the row's act. `short` rows make the selection for CI."""

    def add(act: Act) -> Act:
        rows[id] = Row(id, name, share, short, act)
        return act

    return add
