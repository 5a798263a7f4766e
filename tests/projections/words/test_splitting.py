"""The words of a text: the same whole and in parts, and none that PostgreSQL would read as something else."""

import random

import psycopg
import pytest

from runfold.projections.words.splitting import LONGEST_WORD, ended, spaced, words_in
from tests.databases import TestDatabase
from tests.projections.pieces import PIECES, any_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("src/app_main.py", "src app main py"),
        ("run_0198-AB", "run 0198 ab"),
        ("Straße ﬁx İ", "strasse fix i"),
        ("漢字 ok", "漢 字 ok"),
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
        assert all(text[word.start : word.end].casefold() == word.text for word in words_in(text))
        grown, tail = [], ""
        while text:
            size = chance.randrange(1, 300)
            tail, text = tail + text[:size], text[size:]
            end = ended(tail) if text else len(tail)
            assert len(tail) - end < LONGEST_WORD
            grown, tail = [*grown, *spaced(tail[:end]).split()], tail[end:]
        assert grown == whole


def test_postgresql_finds_each_word_as_it_stands(shared_database: TestDatabase) -> None:
    texts = [spaced(text) for text in PIECES if spaced(text)]
    query = "SELECT array_to_tsvector(string_to_array(%s::text, ' ')) @@ (%s::text)::tsquery"
    with psycopg.connect(shared_database.url) as connection:
        for text in texts:
            wanted = " & ".join(f"'{word}'" for word in text.split())
            assert connection.execute(query, [text, wanted]).fetchone() == (True,)
