"""What the parts of a run need from the run they belong to."""

from typing import NoReturn, Protocol


class Life(Protocol):
    """The run, as its messages, tool calls and decisions see it."""

    id: str
    version: int

    def require_open(self, command: str) -> None:
        """Raise CommandRefused when the run has ended."""

    def refuse(self, command: str, rule: str) -> NoReturn:
        """Raise CommandRefused with the run's state and the rule."""
