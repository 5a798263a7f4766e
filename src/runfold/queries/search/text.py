"""What somebody types to search → what an index of words is asked. It takes time linear in its length.

Words must all be there; `OR` between two asks for either; `"…"` for words that follow each other; `-` before a word or a phrase
for items without it; `*` after a word for all that begin so. A path or an id is a phrase of its parts.
"""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from runfold.errors import UsageError
from runfold.projections.words.splitting import words_in
from runfold.projector.tables.word_index import Sought

LONGEST = 1000
"""Characters of a question."""
MOST_TERMS = 32
SHORTEST_BEGINNING = 3
_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


class Term(NamedTuple):
    """Words that follow each other, the last of which may be a beginning."""

    words: tuple[str, ...]
    is_beginning: bool = False

    @property
    def query(self) -> str:
        """All its words, in any order, as a `tsquery`."""
        last = len(self.words) - 1
        return " & ".join(f"'{word}'{':*' if self.is_beginning and at == last else ''}" for at, word in enumerate(self.words))

    @property
    def text(self) -> str:
        """Its words as they stand among all words of a row: no word has a character that a pattern would read otherwise."""
        return f" {' '.join(self.words)}{'' if self.is_beginning else ' '}"

    @property
    def is_phrase(self) -> bool:
        """Return whether it says in which order words stand."""
        return len(self.words) > 1


class Wanted(NamedTuple):
    """A search: of each group one term must be there, and none of what is excluded."""

    groups: tuple[tuple[Term, ...], ...]
    excluded: tuple[Term, ...]

    @property
    def terms(self) -> list[Term]:
        """What an excerpt marks."""
        return [term for group in self.groups for term in group]

    def is_met_by(self, terms: Collection[int]) -> bool:
        """Return whether of each group one term is among some, which are numbers of `terms`."""
        number = 0
        for group in self.groups:
            if not any(each in terms for each in range(number, number + len(group))):
                return False
            number += len(group)
        return True

    def sought(self, labels: Iterable[Iterable[str]], first: int, last: int) -> Sought:
        """What an index is asked for. `labels` are groups: of each a row has one."""
        found = [" | ".join(f"({term.query})" for term in group) for group in self.groups]
        found += [" | ".join(map(_quoted, group)) for group in labels]
        excluded = [f"!{term.query}" for term in self.excluded if not term.is_phrase]
        phrases = [group for group in self.groups if any(term.is_phrase for term in group)]
        return Sought(
            " & ".join([*(f"({group})" for group in found), *excluded]),
            first,
            last,
            phrases=tuple(f"%{group[0].text}%" for group in phrases if len(group) == 1),
            either=tuple("|".join(term.text for term in group) for group in phrases if len(group) > 1),
            without=tuple(f"%{term.text}%" for term in self.excluded if term.is_phrase),
        )


def wanted_of(text: str) -> Wanted:
    """Read what somebody typed. Raises UsageError where no word is looked for, or what is typed is too long."""
    if len(text) > LONGEST:
        raise UsageError(f"a search has at most {LONGEST:,} characters, not {len(text):,}; leave some words out")
    groups, excluded = _read(text)
    if len(groups) + len(excluded) > MOST_TERMS or sum(map(len, groups)) > MOST_TERMS:
        raise UsageError(f"a search has at most {MOST_TERMS} words and phrases; leave some out")
    if not groups:
        what = "a word that must be there beside those that must not" if excluded else "at least one word, of letters or digits"
        raise UsageError(f"nothing to search for in {text[:60]!r}; give {what}")
    for term in (*(term for group in groups for term in group), *excluded):
        if term.is_beginning and len(term.words[-1]) < SHORTEST_BEGINNING:
            shown = f"{term.words[-1]}*"
            raise UsageError(f"{shown!r} is too short for a beginning; give at least {SHORTEST_BEGINNING} letters before the *")
    return Wanted(tuple(map(tuple, groups)), tuple(excluded))


def _read(text: str) -> tuple[list[list[Term]], list[Term]]:
    groups: list[list[Term]] = []
    excluded: list[Term] = []
    is_either = False
    for found in _PIECE.finditer(text):
        minus, quoted, plain = found.groups()
        if plain == "OR" and not minus:
            is_either = bool(groups)
            continue
        words = tuple(word.text for word in words_in(quoted if plain is None else plain))
        if not words:
            continue
        term = Term(words, plain is not None and plain.endswith("*"))
        if minus:
            excluded.append(term)
        elif is_either:
            groups[-1].append(term)
        else:
            groups.append([term])
        is_either = False
    return groups, excluded


def _quoted(label: str) -> str:
    escaped = label.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
