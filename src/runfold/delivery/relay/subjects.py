"""Subjects: which one an event is published under, and which ones a stream must take for all of them."""

import re
from collections.abc import Iterable

from runfold.errors import UsageError

PATTERN = "runfold.{tenant}.{type}"
FIELDS = ("tenant", "type", "thread")
_WORD, _FIELD, _ODD = re.compile(r"[A-Za-z0-9_=:@-]+"), re.compile(r"\{([a-z]*)\}"), re.compile(r"[^A-Za-z0-9_-]")
STREAM_NAME = re.compile(r"[A-Za-z0-9_=:@-]{1,200}")


class Subjects:
    """The subjects of one tenant's events by a pattern, such as `runfold.{tenant}.{type}`."""

    def __init__(self, pattern: str, tenant_id: str) -> None:
        """Raises UsageError for what is no pattern."""
        for word in pattern.split("."):
            name = _FIELD.fullmatch(word)
            if (name is None and not _WORD.fullmatch(word)) or (name is not None and name[1] not in FIELDS):
                raise UsageError(
                    f"{pattern[:100]!r} is no pattern for subjects; write words with dots between them, of which some may be "
                    f"{', '.join(f'{{{field}}}' for field in FIELDS)}, such as {PATTERN}",
                    pattern=pattern[:100],
                )
        self._pattern = pattern.replace("{tenant}", as_word(tenant_id))
        self.wildcard = self._pattern.replace("{type}", "*.*").replace("{thread}", "*")
        """Stands for all of them."""

    def of(self, type: str, thread_id: str) -> str:
        """Return the subject of an event. A type is two words."""
        noun, _, verb = type.partition(".")
        return self._pattern.replace("{type}", f"{as_word(noun)}.{as_word(verb)}").replace("{thread}", as_word(thread_id))


def as_word(text: str) -> str:
    """Return text as one word of a subject: what may not stand there as its bytes, `=2E` for a dot, so that no two texts meet."""
    return _ODD.sub(lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), text) or "="


def covers(subjects: Iterable[str], wanted: str) -> bool:
    """Return whether one of these subjects, which may have wildcards, takes everything that a wanted one stands for."""
    return any(_covers(subject.split("."), wanted.split(".")) for subject in subjects)


def _covers(subject: list[str], wanted: list[str]) -> bool:
    for number, word in enumerate(subject):
        if word == ">":
            return len(wanted) > number
        if number >= len(wanted) or wanted[number] == ">" or word not in {"*", wanted[number]}:
            return False
    return len(subject) == len(wanted)
