"""The words of a text: the same whole and in parts, and none that PostgreSQL would read as something else."""

import random
import sys
from unicodedata import normalize

import psycopg
import pytest

from runfold.projections.words.splitting import LONGEST_WORD, Word, ended, spaced, words_in
from tests.databases import TestDatabase
from tests.projections.pieces import PIECES, any_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("src/app_main.py", "src app main py"),
        ("run_0198-AB", "run 0198 ab"),
        ("Straße ﬁx İ", "strasse fix i"),
        ("漢字 ok", "漢 字 ok"),
        ("cre\u0300me Pru\u0308fung.pdf", "crème prüfung pdf"),
        ("カ\u3099ス", "ガ ス"),
        (normalize("NFD", "한국어"), "한국어"),
        ("x" * 450, f"{'x' * 200} {'x' * 200} {'x' * 50}"),
        ("", ""),
        (" \t. ", ""),
    ],
)
def test_words_are_runs_of_letters_and_digits_in_small_letters(text: str, words: str) -> None:
    found = [part for part in spaced(text).split(" ") if part]
    assert [part.replace("i\u0307", "i") for part in found] == words.split()


def test_both_ways_to_split_a_text_give_the_same_words_and_a_text_in_parts_the_same_as_whole() -> None:
    chance = random.Random(7)  # noqa: S311  texts, not secrets
    for _ in range(1_000):
        text = any_text(chance)
        whole = [word.text for word in words_in(text)]
        assert spaced(text).split() == whole
        assert all(stands_at(word, text) for word in words_in(text))
        grown, tail = [], ""
        while text:
            size = chance.randrange(1, 300)
            tail, text = tail + text[:size], text[size:]
            end = ended(tail) if text else len(tail)
            assert len(tail) - end <= 2 * LONGEST_WORD
            grown, tail = [*grown, *spaced(tail[:end]).split()], tail[end:]
        assert grown == whole


def test_a_letter_is_the_same_however_its_accents_are_written() -> None:
    letters = [letter for letter in map(chr, range(sys.maxunicode + 1)) if normalize("NFD", letter) != letter]
    assert len(letters) > 13_000
    for whole in (f"a{letter}b {letter} {letter}z" for letter in letters):
        apart = normalize("NFD", whole)
        assert spaced(apart) == spaced(whole)
        for text in (apart, whole):
            words = list(words_in(text))
            assert " ".join(word.text for word in words) == spaced(text)
            assert all(stands_at(word, text) for word in words), text


def stands_at(word: Word, text: str) -> bool:
    """Whether a word is what it says where it stands: a mark that ends words may be one character with the letter before it."""
    return normalize("NFC", text[word.start : word.end]).casefold().startswith(word.text)


def test_of_a_text_in_parts_no_more_is_held_back_than_may_still_change() -> None:
    for text in ("a" + "\u0301" * 5_000, " " + "\u0301" * 5_000, "か" * 5_000, "é" * 5_000, "e\u0301" * 5_000):
        assert len(text) - ended(text) <= 2 * LONGEST_WORD


def test_postgresql_finds_each_word_as_it_stands(shared_database: TestDatabase) -> None:
    texts = [spaced(text) for text in PIECES if spaced(text)]
    query = "SELECT array_to_tsvector(string_to_array(%s::text, ' ')) @@ (%s::text)::tsquery"
    with psycopg.connect(shared_database.url) as connection:
        for text in texts:
            wanted = " & ".join(f"'{word}'" for word in text.split())
            assert connection.execute(query, [text, wanted]).fetchone() == (True,)
