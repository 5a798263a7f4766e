"""An excerpt of a text with the words that were looked for, and where in it they stand: as numbers, never as markup."""

from collections.abc import Sequence
from typing import NamedTuple

from runfold.history.views import View
from runfold.projections.words.splitting import Word, words_in
from runfold.queries.search.text import Term

BEFORE, LENGTH = 80, 240
"""Characters before the first place that is marked, and of an excerpt at most."""


class Excerpt(View):
    """Some of a text. What stands in it is the text to the letter: whoever shows it sees to control characters and markup."""

    text: str
    marks: tuple[tuple[int, int], ...]
    """From where to where what was looked for stands in `text`, in characters."""
    start: int
    """How many characters of the passage come before it."""
    left: int
    """How many come after it."""


class Place(NamedTuple):
    """Where a term stands in a text."""

    term: int
    start: int
    end: int


def places_of(terms: Sequence[Term], text: str) -> list[Place]:
    """Where terms stand in a text, in order; `term` is the number of each."""
    by_first: dict[str, list[int]] = {}
    beginnings: list[int] = []
    for number, term in enumerate(terms):
        if len(term.words) == 1 and term.is_beginning:
            beginnings.append(number)
        else:
            by_first.setdefault(term.words[0], []).append(number)
    words = list(words_in(text))
    found: list[Place] = []
    for at, word in enumerate(words):
        fitting = [(number, _fits(terms[number], words, at)) for number in by_first.get(word.text, ())]
        found += [Place(number, word.start, last.end) for number, last in fitting if last is not None]
        found += [Place(number, word.start, word.end) for number in beginnings if word.text.startswith(terms[number].words[0])]
    return found


def _fits(term: Term, words: Sequence[Word], at: int) -> Word | None:
    """Return the last word of a term that stands at a place; None where it does not."""
    last = at + len(term.words) - 1
    if last >= len(words):
        return None
    *whole, end = term.words
    if any(words[at + number].text != word for number, word in enumerate(whole)):
        return None
    is_there = words[last].text.startswith(end) if term.is_beginning else words[last].text == end
    return words[last] if is_there else None


def excerpt_of(text: str, places: Sequence[Place]) -> Excerpt:
    """The part of a text around the first place, with all places in it; they may be none."""
    first = places[0].start if places else 0
    start = max(0, first - BEFORE)
    if start:  # not in the middle of a word, if that is near
        gap = text.find(" ", start, first)
        start = gap + 1 if gap != -1 else start
    end = min(len(text), start + LENGTH)
    marks: list[tuple[int, int]] = []
    for place in sorted(places, key=lambda place: (place.start, -place.end)):
        if place.start < end and (not marks or place.start - start >= marks[-1][1]):
            marks.append((place.start - start, min(place.end, end) - start))
    return Excerpt(text=text[start:end], marks=tuple(marks), start=start, left=len(text) - end)
