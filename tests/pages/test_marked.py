"""Places in a text become pieces that are marked, and nothing of the text is lost or doubled, whatever the places are."""

import random

import pytest

from runfold.pages.marked import pieces_of


@pytest.mark.parametrize(
    ("text", "marks", "shown"),
    [
        ("refund the order", [(11, 16)], "refund the [order]"),
        ("refund", [(0, 6)], "[refund]"),
        ("<b>refund</b>", [(3, 9)], "<b>[refund]</b>"),
        ("a b", [], "a b"),
        ("", [(0, 3)], ""),
        ("abc", [(2, 99), (-4, 1)], "[a]b[c]"),
        ("abcd", [(0, 2), (1, 3)], "[ab][c]d"),
        ("abc", [(2, 1), (5, 9)], "abc"),
    ],
)
def test_the_places_are_marked(text: str, marks: list[tuple[int, int]], shown: str) -> None:
    assert "".join(f"[{piece.text}]" if piece.is_marked else piece.text for piece in pieces_of(text, marks)) == shown


def test_no_character_is_lost_or_doubled_whatever_the_places_are() -> None:
    chance = random.Random(5)  # noqa: S311  a story, not a secret
    for _ in range(300):
        text = "".join(chance.choices("ab<>&\u202e🦉\n", k=chance.randrange(30)))
        marks = [(chance.randrange(-3, 35), chance.randrange(-3, 35)) for _ in range(chance.randrange(6))]
        pieces = pieces_of(text, marks)
        assert "".join(piece.text for piece in pieces) == text
        assert all(piece.text for piece in pieces)
