"""What a person answered to a question with options: which of them were chosen, and what was said in own words.

Several labels are written as a list, or as one text with ", " between them; a label may hold ", " itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NOTHING = frozenset({"", "(no option selected)", "(No answer provided)", "(no input)"})
_ENDS = ('". You can now', '". Read the answers', '" selected preview:', '" user notes:', '" notes:')


@dataclass(frozen=True)
class Answer:
    """An answer: the places of the chosen options, in their order, and what was said beside them."""

    chosen: tuple[int, ...] = ()
    own: str | None = None
    """In the person's own words; None where only options were chosen."""


def answer_of(given: Any, labels: Sequence[str], *, several: bool | None) -> Answer:
    """Return what was chosen. `several` says whether the question allowed it; None where it does not say."""
    if isinstance(given, list):
        return _together([_one(str(item), labels) for item in given if item is not None])
    if given is None or str(given).strip() in _NOTHING:
        return Answer()
    words = str(given)
    if words in labels or several is False:
        return _one(words, labels)
    if (whole := _split(words, labels)) is not None:
        return Answer(tuple(sorted(set(whole))))
    return _beginning(words, labels) if several else Answer(own=words)


def written_answers(text: str, questions: Sequence[str]) -> dict[str, str]:
    """Return the answers that a result's sentence holds, `"question"="answer"`, by question."""
    found = {}
    for question in questions:
        start = text.find(f'"{question}"="')
        if start < 0:
            continue
        start += len(question) + 4
        ends = [text.find(f'", "{other}"=', start) for other in questions] + [text.find(end, start) for end in _ENDS]
        close = min((end for end in ends if end >= 0), default=text.rfind('"'))
        if close >= start:
            found[question] = text[start:close]
    return found


def notes_of(annotations: Any, question: str) -> str | None:
    """Return what the person noted beside an answer."""
    noted = annotations.get(question) if isinstance(annotations, Mapping) else None
    notes = noted.get("notes") if isinstance(noted, Mapping) else None
    return notes.strip() or None if isinstance(notes, str) else None


def _one(words: str, labels: Sequence[str]) -> Answer:
    return Answer((labels.index(words),)) if words in labels else Answer(own=words.strip() or None)


def _together(answers: Sequence[Answer]) -> Answer:
    chosen = sorted({place for answer in answers for place in answer.chosen})
    return Answer(tuple(chosen), ", ".join(answer.own for answer in answers if answer.own) or None)


def _split(words: str, labels: Sequence[str]) -> list[int] | None:
    """The labels that a text is made of, with ", " between them; None where it is not."""
    reached: dict[int, list[int]] = {0: []}
    for at in range(len(words)):
        if (before := reached.get(at)) is None:
            continue
        for place, label in enumerate(labels):
            end = at + len(label)
            if not label or place in before or not words.startswith(label, at):
                continue
            if end == len(words):
                return [*before, place]
            if words.startswith(", ", end):
                reached.setdefault(end + 2, [*before, place])
    return None


def _beginning(words: str, labels: Sequence[str]) -> Answer:
    """Labels at the beginning of a text, and the rest in own words."""
    chosen, at = set[int](), 0
    by_length = sorted(range(len(labels)), key=lambda place: -len(labels[place]))
    while True:
        follows = (place for place in by_length if labels[place] and words.startswith(f"{labels[place]}, ", at))
        place = next(follows, None)
        if place is None or place in chosen:
            return Answer(tuple(sorted(chosen)), words[at:].strip() or None)
        chosen.add(place)
        at += len(labels[place]) + 2
