"""Two wordings side by side, word by word."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

MOST_WORDS = 3_000
"""Of longer texts what is between their common beginning and end is compared, else all of it line by line; of lines there may be
as many."""
_LEAST_ALIKE = 0.35
"""The share that two texts must have in common to be another wording of each other; else single words match by chance."""
_BESIDE = 100
"""So many characters of a text that is the same are shown beside a change."""
_WORD, _LINE = re.compile(r"\d[\d.,:]*\d|\w+|\s+|[^\w\s]"), re.compile(r"[^\n]*\n|[^\n]+")


class Piece(NamedTuple):
    """Some text that is in both, in the first alone, or in the second alone; or how much of it is left out here."""

    how: Literal["same", "gone", "new", "left"]
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """The pieces of which two texts consist, in order. What is too long to be compared is wholly gone, and wholly new."""
    whole = [piece for piece in (Piece("gone", before), Piece("new", after)) if piece.text]
    found = _compared(before, after, _WORD)
    if found is None:
        found = _compared_between(before, after)
    if found is None:
        found = _compared(before, after, _LINE) or []
    alike = sum(len(piece.text) for piece in found if piece.how == "same")
    return found if alike >= _LEAST_ALIKE * max(len(before), len(after)) else whole


def _compared(before: str, after: str, pattern: re.Pattern[str]) -> list[Piece] | None:
    a, b = pattern.findall(before), pattern.findall(after)
    return list(_pieces(a, b)) if len(a) + len(b) <= MOST_WORDS else None


def _compared_between(before: str, after: str) -> list[Piece] | None:
    """Compare what stands between the words that both begin and end with; None where that is too long, too."""
    first = _in_common(before, after)
    last = _in_common(before[first:][::-1], after[first:][::-1])
    a, b = len(before) - last, len(after) - last
    between = _compared(before[first:a], after[first:b], _WORD)
    if between is None:
        return None
    return [piece for piece in (Piece("same", before[:first]), *between, Piece("same", before[a:])) if piece.text]


def _in_common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike, up to the end of a word or number."""
    pairs = enumerate(zip(one, other, strict=False))
    length = next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))
    while 0 < length < max(len(one), len(other)) and (one[length - 1].isalnum() or one[length - 1] in "_.,:"):
        length -= 1
    return length


def condensed(pieces: Sequence[Piece], most: int) -> list[Piece]:
    """Return pieces of about `most` characters in all: of what is the same, what is beside a change, and how much is left out."""
    if sum(len(piece.text) for piece in pieces) <= most:
        return [*pieces]
    found: list[Piece] = []
    room = most
    for number, (how, text) in enumerate(pieces):
        if room <= 0:
            found.append(_left(sum(len(piece.text) for piece in pieces[number:]), "more, with what else was changed"))
            break
        head, tail = (_BESIDE, _BESIDE) if how == "same" else (max(room // 2, _BESIDE), 0)
        head, tail = head if number or how != "same" else 0, tail if number < len(pieces) - 1 else 0
        left = len(text) - head - tail
        if left <= _BESIDE:
            found.append(Piece(how, text))
        else:
            kept = (
                Piece(how, text[:head]),
                _left(left, "the same" if how == "same" else how),
                Piece(how, text[len(text) - tail :]),
            )
            found += (piece for piece in kept if piece.text)
        room -= len(text) - max(left, 0)
    return found


def _left(characters: int, what: str) -> Piece:
    return Piece("left", f" … {characters:,} characters {what} … ")


def sides(pieces: list[Piece]) -> tuple[list[Piece], list[Piece]]:
    """The pieces of the first text, and those of the second."""
    return [each for each in pieces if each.how != "new"], [each for each in pieces if each.how != "gone"]


def _pieces(a: list[str], b: list[str]) -> Iterator[Piece]:
    for how, a_from, a_to, b_from, b_to in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if how == "equal":
            yield Piece("same", "".join(a[a_from:a_to]))
            continue
        if a_to > a_from:
            yield Piece("gone", "".join(a[a_from:a_to]))
        if b_to > b_from:
            yield Piece("new", "".join(b[b_from:b_to]))
