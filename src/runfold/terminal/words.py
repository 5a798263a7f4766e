"""Recorded texts and JSON as people read them: cut where they are long, or whole."""

from typing import Any, NamedTuple

from runfold.domain.json_text import json_text
from runfold.terminal.text import one_line

FEW_WORDS, FEWER_WORDS = 160, 80
"""Characters of a text that is cut."""


def in_words(value: Any, text: str, limit: int | None = FEW_WORDS) -> str:
    """JSON as people write it: `order=7, amount=19.90 EUR`; on one line and cut where there is a limit."""
    if isinstance(value, dict):
        text = ", ".join(f"{name}={member if isinstance(member, str) else json_text(member)}" for name, member in value.items())
    elif isinstance(value, str):
        text = value
    return text if limit is None else one_line(text, limit)


class Words(NamedTuple):
    """How texts and JSON are written: whole where it is `full`, else on one line and cut."""

    full: bool

    def json(self, value: Any, text: str) -> str:
        """JSON; its text where it is none."""
        return in_words(value, text, None if self.full else FEW_WORDS)

    def text(self, text: str) -> str:
        """A text."""
        return text if self.full else one_line(text, FEW_WORDS)

    def because(self, text: str | None) -> str:
        """A text after a colon; nothing where there is none."""
        return f": {self.text(text)}" if text else ""
