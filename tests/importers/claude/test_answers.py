"""Which options a person chose, in whichever form the client wrote it."""

from typing import Any

import pytest

from runfold.importers.claude.answers import Answer, answer_of, notes_of, written_answers

COLOURS = ("Red", "Blue", "Grey")
LONG = ("Yes, always", "Yes", "always", "No, never")


@pytest.mark.parametrize(
    ("given", "labels", "several", "answer"),
    [
        ("Red, Blue", COLOURS, True, Answer((0, 1))),
        ("Blue, Red", COLOURS, True, Answer((0, 1))),
        (["Red", "Blue"], COLOURS, True, Answer((0, 1))),
        (["Red", "Blue"], COLOURS, None, Answer((0, 1))),
        ("Red, Blue", COLOURS, None, Answer((0, 1))),
        ("Red, Blue", COLOURS, False, Answer(own="Red, Blue")),
        ("Red", COLOURS, True, Answer((0,))),
        ("Grey", COLOURS, False, Answer((2,))),
        ("Green", COLOURS, True, Answer(own="Green")),
        ("Red, Green", COLOURS, True, Answer((0,), "Green")),
        ("Red, Blue, and a bit of green, light", COLOURS, True, Answer((0, 1), "and a bit of green, light")),
        (["Red", "Green"], COLOURS, True, Answer((0,), "Green")),
        (["a", "b"], COLOURS, True, Answer(own="a, b")),
        ("Red, Red", COLOURS, True, Answer((0,), "Red")),
        ("Reddish", COLOURS, True, Answer(own="Reddish")),
        ("Yes, always", LONG, True, Answer((0,))),
        ("Yes, always, No, never", LONG, True, Answer((0, 3))),
        ("Yes, Yes, always", LONG, True, Answer((0, 1))),
        ("always, Yes", LONG, True, Answer((1, 2))),
        ("No, never", LONG, False, Answer((3,))),
        ("(no option selected)", COLOURS, True, Answer()),
        ("", COLOURS, True, Answer()),
        (None, COLOURS, True, Answer()),
        ([], COLOURS, True, Answer()),
        ([None, "Red"], COLOURS, True, Answer((0,))),
        (7, ("7", "8"), False, Answer((0,))),
        (True, COLOURS, None, Answer(own="True")),
        ("anything", (), None, Answer(own="anything")),
    ],
)
def test_the_chosen_options_are_those_whose_labels_were_given(
    given: Any, labels: tuple[str, ...], answer: Answer, *, several: bool | None
) -> None:
    assert answer_of(given, labels, several=several) == answer


def test_a_long_answer_takes_time_by_its_length() -> None:
    labels = [f"a{'b' * number}" for number in range(20)]
    given = ", ".join(labels) + ", " + "a, " * 20_000
    assert answer_of(given, labels, several=True).chosen == tuple(range(20))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('User has answered your questions: "A?"="x", "B?"="y, "z"". You can now continue.', {"A?": "x", "B?": 'y, "z"'}),
        ('The user answered: "A?"="x". Read the answers carefully', {"A?": "x"}),
        ('"A?"="x" user notes: more, "B?"="y"', {"A?": "x", "B?": "y"}),
        ("nothing of the kind", {}),
        ('"A?"="', {}),
    ],
)
def test_answers_are_found_in_the_words_of_a_result(text: str, found: dict[str, str]) -> None:
    assert written_answers(text, ["A?", "B?"]) == found


@pytest.mark.parametrize(
    ("annotations", "notes"),
    [({"Q": {"notes": " Softly. "}}, "Softly."), ({"Q": {"preview": "x"}}, None), ({}, None), ([], None), ({"Q": 3}, None)],
)
def test_notes_are_what_was_typed_beside_an_answer(annotations: Any, notes: str | None) -> None:
    assert notes_of(annotations, "Q") == notes
