"""Texts in which some places are marked: where these are is told as numbers, and what is shown is pieces of text."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """Some of a text, marked or not."""

    text: str
    is_marked: bool


def pieces_of(text: str, marks: Iterable[Sequence[int]]) -> list[Piece]:
    """Return a text in pieces, those from each mark's first character up to its last marked; what lies outside marks nothing."""
    found, at = [], 0
    for first, last in sorted((mark[0], mark[1]) for mark in marks):
        start, end = max(at, first, 0), min(last, len(text))
        if start >= end:
            continue
        if start > at:
            found.append(Piece(text[at:start], is_marked=False))
        found.append(Piece(text[start:end], is_marked=True))
        at = end
    return [*found, Piece(text[at:], is_marked=False)] if at < len(text) else found
