"""Two wordings side by side, word by word."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

MOST_WORDS = 3_000
"""Longer texts are compared line by line; of lines there may be as many."""
_LEAST_ALIKE = 0.35
"""The share that two texts must have in common to be another wording of each other; else single words match by chance."""
_WORD, _LINE = re.compile(r"\d[\d.,:]*\d|\w+|\s+|[^\w\s]"), re.compile(r"[^\n]*\n|[^\n]+")


class Piece(NamedTuple):
    """Some text that is in both, in the first alone, or in the second alone."""

    how: Literal["same", "gone", "new"]
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """The pieces of which two texts consist, in order. What is too long to be compared is wholly gone, and wholly new."""
    whole = [Piece("gone", before), Piece("new", after)]
    for pattern in (_WORD, _LINE):
        a, b = pattern.findall(before), pattern.findall(after)
        if len(a) + len(b) <= MOST_WORDS:
            found = list(_pieces(a, b))
            alike = sum(len(piece.text) for piece in found if piece.how == "same")
            return found if alike >= _LEAST_ALIKE * max(len(before), len(after)) else [piece for piece in whole if piece.text]
    return whole


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
