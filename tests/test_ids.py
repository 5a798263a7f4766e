"""Ids that are made from words: the same for the same words, and for no others."""

from hypothesis import given
from hypothesis import strategies as st

from runfold.ids import stable_event_id, stable_id

WORDS = st.lists(st.text(st.sampled_from("a1:,\x1f\x00é"), max_size=4), min_size=1, max_size=4).map(tuple)
"""Short ones, of the letters that might make two of them one."""


@given(WORDS, WORDS)
def test_other_words_are_another_id(one: tuple[str, ...], two: tuple[str, ...]) -> None:
    assert (stable_id("run", *one) == stable_id("run", *two)) == (one == two)
    assert (stable_event_id(*one) == stable_event_id(*two)) == (one == two)


def test_words_that_are_joined_by_their_separator_are_told_apart() -> None:
    assert stable_id("run", "a\x1fb", "c") != stable_id("run", "a", "b\x1fc") != stable_id("run", "a", "b", "c")
    assert stable_event_id("a\x1fb", "c") != stable_event_id("a", "b\x1fc")


def test_ids_that_imports_gave_stay_as_they_were() -> None:
    assert stable_id("thread", "claude-code", "s-1") == "thread_a65e45e8566fd6d54500fc1db700814a"


def test_a_lone_surrogate_is_a_word_too() -> None:
    assert stable_id("run", "\ud800") != stable_id("run", "?")
