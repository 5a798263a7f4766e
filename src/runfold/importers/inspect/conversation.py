"""Who has said what in a sample: model events repeat the conversation each time, and each message is one.

A message is known by its id, in its own run and in those above and below it. Logs that keep equal messages once leave one
id for several: then its place among equals tells them apart, and so it does where a message has no id.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runfold.domain.values import digest


@dataclass(eq=False)
class Message:
    """A message as the log has it."""

    value: dict[str, Any]
    id: str | None
    likeness: str
    """Of its role and words: equal messages have the same."""


class Messages:
    """The messages of a sample, each kind of which is held once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, str], Message] = {}

    def message(self, value: dict[str, Any]) -> Message:
        """A message, the same object for the same id and words."""
        words = [value.get(name) for name in ("role", "content", "tool_call_id", "tool_calls", "error")]
        likeness = digest(json.dumps([words[0], words[1], words[2], words[3] or None, words[4]], sort_keys=True))
        given = value.get("id")
        known_as = given if isinstance(given, str) and given else None
        return self._known.setdefault((known_as, likeness), Message(value, known_as, likeness))


@dataclass
class Told:
    """A message that was told, under its name in the run."""

    name: str
    message: Message


@dataclass
class Conversation:
    """The messages of one run, in their order."""

    parent: "Conversation | None" = None
    by_id: dict[str, Told] = field(default_factory=dict)
    below: dict[str, Told] = field(default_factory=dict)
    """By id too, of all runs that this one started."""
    by_likeness: dict[str, list[Told]] = field(default_factory=dict)
    _last: list[Message] = field(default_factory=list)
    _counts: Counter[int] = field(default_factory=Counter)

    def unheard(self, listed: list[Message]) -> Iterator[Told]:
        """The messages of a whole list that have not been told yet, which now are."""
        start = len(self._last)
        if listed[:start] != self._last:
            start, self._counts = 0, Counter()
        self._last = listed
        for message in listed[start:]:
            place = self._counts[id(message)]
            self._counts[id(message)] += 1
            if (told := self._tell(message, place)) is not None:
                yield told

    def tell(self, message: Message) -> Told | None:
        """An answer to the last list; None where it has been told already."""
        return self._tell(message, self._counts[id(message)])

    def final(self, listed: list[Message]) -> "Iterator[tuple[Told, Message, bool]]":
        """How the log words each message in the end: what was told, its last words, and whether it is told only now."""
        matched: Counter[str] = Counter()
        for message in listed:
            likes = self.by_likeness.get(message.likeness, [])
            place = matched[message.likeness]
            told = (self._known(message.id) if message.id else None) or (likes[place] if place < len(likes) else None)
            matched[message.likeness] += 1
            if told is not None:
                yield told, message, False
            else:
                yield self._add(message, None), message, True

    def _tell(self, message: Message, place: int) -> Told | None:
        likes = self.by_likeness.get(message.likeness, [])
        if message.id is None:
            return None if place < len(likes) else self._add(message, None)
        if place == 0:
            return None if self._known(message.id) else self._add(message, message.id)
        return None if place < len(likes) else self._add(message, f"{message.id}#{place + 1}")

    def _known(self, id: str) -> Told | None:
        above = self.parent
        while above is not None:
            if id in above.by_id:
                return above.by_id[id]
            above = above.parent
        return self.by_id.get(id) or self.below.get(id)

    def _add(self, message: Message, name: str | None) -> Told:
        likes = self.by_likeness.setdefault(message.likeness, [])
        told = Told(name or message.id or f"{message.likeness}#{len(likes) + 1}", message)
        if message.id is not None:
            self.by_id.setdefault(message.id, told)
            above = self.parent
            while above is not None:
                above.below.setdefault(message.id, told)
                above = above.parent
        likes.append(told)
        return told
