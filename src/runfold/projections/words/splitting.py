"""Text as words for a full-text index: the same words for the same text, whoever splits it, in time linear in its length.

A word is a run of letters and digits, in small letters; every other character ends it, `_` too. So a path, a name of a file or
an id is its parts in a row: `src/app_main.py` is src, app, main, py. Scripts that put no space between words (Han, kana, Thai and
others) are one word a character, so that any part of a text in them is found. A run of more than `LONGEST_WORD` characters
(base64, say) is words of so many each. A letter with an accent is the same whether it is written as one character or, as macOS
writes names of files, as a letter and a mark (Unicode's NFC).
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple
from unicodedata import category, is_normalized, normalize

LONGEST_WORD = 200
"""In characters; in small letters a word may have three times as many, and PostgreSQL takes 2,046 bytes."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]{{1,{LONGEST_WORD}}}")
_JOINS = re.compile(rf"[^\W_{_UNSPACED}]")
"""A character that is one word with its neighbours."""
_ALONE = re.compile(f"[{_UNSPACED}]")
_PLAIN = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}


class Word(NamedTuple):
    """A word, and where in the text it stands."""

    text: str
    start: int
    end: int


def words_in(text: str) -> Iterator[Word]:
    """The words of a text, in order."""
    if is_normalized("NFC", text):
        for found in _WORD.finditer(text):
            yield Word(found[0].casefold(), found.start(), found.end())
        return
    composed = normalize("NFC", text)
    here, there = _ends(text), _ends(composed)
    for found in _WORD.finditer(composed):
        start, end = (bisect_left(here, there[at]) for at in found.span())
        yield Word(found[0].casefold(), start, end)


def _ends(text: str) -> list[int]:
    """Return how many characters all before each place in a text are when none is composed: the same however it is written."""
    return list(accumulate((len(normalize("NFD", character)) for character in text), initial=0))


def spaced(text: str) -> str:
    """The words of a text in order, with a space between two."""
    if text.isascii():  # as most is, and then ten times as quick
        found = text.translate(_PLAIN).split()
        if len(text) <= LONGEST_WORD or max(map(len, found), default=0) <= LONGEST_WORD:
            return " ".join(found)
    return " ".join([word.casefold() for word in _WORD.findall(normalize("NFC", text))])


def ended(text: str) -> int:
    """Return up to where the words of a text are the same, whatever text may follow it, such as an accent on its last letter."""
    start = len(text)
    while start and (_JOINS.match(text[start - 1]) or category(text[start - 1]).startswith("M")):
        start -= 1
    if start and _ALONE.match(text[start - 1]):
        start -= 1
    last = None
    for last in words_in(text[start:]):  # noqa: B007  the last of them
        pass
    if last is None or len(text) - start - last.end > LONGEST_WORD:  # more marks than belong to any letter
        return len(text)
    return start + last.start
