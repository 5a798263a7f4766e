"""Two wordings: nothing of either is lost, and what is in both is said to be."""

import json
import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.pages.replay.word_diff import MOST_WORDS, Piece, condensed, sides, word_diff

TEXTS = st.lists(st.sampled_from(["the", " ", "order", "51.90", "\n", "<b>", "ü", "."]), max_size=40).map("".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, TEXTS)
def test_the_pieces_of_each_side_are_its_text(before: str, after: str) -> None:
    gone, new = sides(word_diff(before, after))
    assert ("".join(piece.text for piece in gone), "".join(piece.text for piece in new)) == (before, after)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(["same", "gone", "new"]), st.integers(1, 900))), st.integers(50, 1500))
def test_what_is_left_out_of_two_wordings_is_counted_and_no_change_is_left_out_unsaid(
    lengths: list[tuple[Any, int]], most: int
) -> None:
    pieces = [Piece(how, "abcdefghi "[number % 10] * length) for number, (how, length) in enumerate(lengths)]
    whole = sum(len(piece.text) for piece in pieces)
    found = condensed(pieces, most)
    if whole <= most:
        assert found == pieces
    left = [
        int(counted.replace(",", "")) for piece in found if piece.how == "left" for counted in re.findall(r"\d[\d,]*", piece.text)
    ]
    kept = sum(len(piece.text) for piece in found if piece.how != "left")
    assert kept + sum(left) == whole
    assert kept <= max(whole if whole <= most else 0, most + 500)
    assert all(piece.text for piece in found)


def test_of_long_texts_that_are_the_same_what_is_beside_a_change_is_shown() -> None:
    same = "".join(f"line {number}\n" for number in range(500))
    found = condensed(word_diff(f"{same}old\n{same}", f"{same}new\n{same}"), 600)
    assert [piece.how for piece in found] == ["left", "same", "gone", "new", "same", "left"]
    assert "characters the same" in found[0].text
    assert "".join(piece.text for piece in found if piece.how in {"gone", "new"}) == "oldnew"


def test_words_and_numbers_are_marked_whole() -> None:
    assert word_diff("pay 51.90 EUR now", "pay 46.00 EUR now") == [
        Piece("same", "pay "),
        Piece("gone", "51.90"),
        Piece("new", "46.00"),
        Piece("same", " EUR now"),
    ]


def test_what_has_little_in_common_is_not_cut_into_words() -> None:
    assert [piece.how for piece in word_diff("I am sorry about that", "A parcel is on its way")] == ["gone", "new"]


def test_long_texts_are_compared_by_lines_and_longer_ones_not_at_all() -> None:
    lines = [f"line {number} of a long text\n" for number in range(MOST_WORDS // 3)]
    assert [piece.text for piece in word_diff("".join(lines), "".join([*lines, "more\n"])) if piece.how == "new"] == ["more\n"]
    endless = "x\n" * (MOST_WORDS * 2)
    other = f"y{endless}y"
    assert word_diff(endless, other) == [Piece("gone", endless), Piece("new", other)]


def test_of_a_long_line_what_is_between_its_common_beginning_and_end_is_compared_by_words() -> None:
    line = json.dumps({"text": "".join(f"line {number} of 51.90\n" for number in range(MOST_WORDS))})
    pieces = word_diff(line, line.replace("line 77 of 51.90", "line 77 of 51.80"))
    assert [(piece.how, piece.text) for piece in pieces if piece.how != "same"] == [("gone", "51.90"), ("new", "51.80")]
    assert "".join(piece.text for piece in sides(pieces)[0]) == line
    for before, after in ((line, f"{line} more"), (f"{line}s", line), (line[1:], line), (line, line), (line, f"x{line}x")):
        assert ["".join(piece.text for piece in side) for side in sides(word_diff(before, after))] == [before, after]
