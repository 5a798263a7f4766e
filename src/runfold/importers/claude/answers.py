"""What a person answered to a question with options: which of them were chosen, and what was said in own words.

Several labels are written as a list, or as one text with ", " between them; a label may hold ", " itself.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
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
    places: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    if isinstance(given, list):
        return _together([_one(str(item), places) for item in given if item is not None])
    if given is None or str(given).strip() in _NOTHING:
        return Answer()
    words = str(given)
    if words in places or several is False:
        return _one(words, places)
    if (whole := _split(words, places)) is not None:
        return Answer(tuple(whole))
    return _beginning(words, places) if several else Answer(own=words)


def written_answers(text: str, questions: Sequence[str]) -> dict[str, str]:
    """Return the answers that a result's sentence holds, `"question"="answer"`, by question."""
    asked, lengths = set(questions), {len(question) for question in questions}
    begins: dict[str, int] = {}
    for at in _all(text, '"="'):
        for length in lengths:
            if at > length and text[at - length - 1] == '"' and (question := text[at - length : at]) in asked:
                begins.setdefault(question, at + 3)
    ends = [at for end in _ENDS for at in _all(text, end)]
    for at in _all(text, '", "'):
        after = [at + 4 + length for length in lengths]
        if any(text.startswith('"=', end) and text[at + 4 : end] in asked for end in after):
            ends.append(at)
    ends.sort()
    found = {}
    for question in questions:
        if (start := begins.get(question)) is not None:
            place = bisect_left(ends, start)
            close = ends[place] if place < len(ends) else text.rfind('"')
            if close >= start:
                found[question] = text[start:close]
    return found


def _all(text: str, what: str) -> Iterator[int]:
    """Where something stands in a text."""
    at = text.find(what)
    while at >= 0:
        yield at
        at = text.find(what, at + 1)


def notes_of(annotations: Any, question: str) -> str | None:
    """Return what the person noted beside an answer."""
    noted = annotations.get(question) if isinstance(annotations, Mapping) else None
    notes = noted.get("notes") if isinstance(noted, Mapping) else None
    return notes.strip() or None if isinstance(notes, str) else None


def _one(words: str, places: Mapping[str, Sequence[int]]) -> Answer:
    return Answer((places[words][0],)) if words in places else Answer(own=words.strip() or None)


def _together(answers: Sequence[Answer]) -> Answer:
    chosen = sorted({place for answer in answers for place in answer.chosen})
    return Answer(tuple(chosen), ", ".join(answer.own for answer in answers if answer.own) or None)


def _split(words: str, places: Mapping[str, Sequence[int]]) -> list[int] | None:
    """The labels that a text is made of, with ", " between them, each once; None where it is not."""
    lengths = sorted({len(label) for label in places if label})
    reached: dict[int, int] = {0: 0}
    """How far labels go, and which: a bit for each place, for a set would be copied at each step."""
    for at in range(len(words)):
        if (before := reached.pop(at, None)) is None:
            continue
        for end in (at + length for length in lengths):
            if end != len(words) and not words.startswith(", ", end):
                continue
            place = next((place for place in places.get(words[at:end], ()) if not before >> place & 1), None)
            if place is None:
                continue
            if end == len(words):
                return _bits(before | 1 << place)
            reached.setdefault(end + 2, before | 1 << place)
    return None


def _bits(number: int) -> list[int]:
    return [place for place, bit in enumerate(reversed(f"{number:b}")) if bit == "1"]


def _beginning(words: str, places: Mapping[str, Sequence[int]]) -> Answer:
    """Labels at the beginning of a text, and the rest in own words."""
    chosen, at = set[int](), 0
    by_length = sorted({len(label) for label in places if label}, reverse=True)
    while True:
        ends = (at + length for length in by_length)
        end = next((end for end in ends if words.startswith(", ", end) and words[at:end] in places), None)
        place = None if end is None else places[words[at:end]][0]
        if end is None or place is None or place in chosen:
            return Answer(tuple(sorted(chosen)), words[at:].strip() or None)
        chosen.add(place)
        at = end + 2
