"""Messages of one text are made without being validated where that would find nothing: they are the same then."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runfold.domain.message import MessageAdded, plain_message
from runfold.domain.parts import TextPart
from runfold.store.codec import Limits, encode

ID = "msg_0198c0ffee0b7583a0d205f029b7ea35"
LIMITS = Limits(1_000_000, 1_000_000)


class Word(str):
    """Text that is more than that."""

    __slots__ = ()


ROLES = st.sampled_from(["system", "user", "assistant", "tool", "activity", "nobody", "", Word("user"), b"user", None, 3])
TEXTS = st.one_of(
    st.text(), st.text(st.characters(max_codepoint=127)), st.sampled_from([Word("hello"), b"hello", None, 7, "\ud800"])
)
FLAGS = st.sampled_from([True, False, 0, 1, "true", None])


def validated(role: Any, text: Any, streaming: Any) -> MessageAdded | None:
    """The message as the model takes it; None for what it refuses."""
    try:
        return MessageAdded(message_id=ID, role=role, content=(TextPart(text=text, type="text"),), streaming=streaming)
    except ValidationError:
        return None


@given(ROLES, TEXTS, FLAGS)
def test_what_is_made_without_validating_is_what_validating_makes(role: Any, text: Any, streaming: Any) -> None:
    made = plain_message(ID, role, text, streaming=streaming)
    if made is None:
        return
    expected = validated(role, text, streaming)
    assert expected is not None
    for one, other in ((made, expected), (made.content[0], expected.content[0])):
        assert one == other
        assert list(one.__dict__.items()) == list(other.__dict__.items())  # in this order it is written
        assert one.model_fields_set == other.model_fields_set
        assert (one.__pydantic_extra__, one.__pydantic_private__) == (other.__pydantic_extra__, other.__pydantic_private__)
    assert hash(made) == hash(expected)
    assert encode(made, LIMITS) == encode(expected, LIMITS)
    assert copy.deepcopy(made) == expected
    assert made.model_copy(update={"name": "n"}).model_fields_set == expected.model_copy(update={"name": "n"}).model_fields_set
    assert plain_message(ID, role, text, streaming=streaming) == expected  # copies change nothing of later ones


@given(
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.text(st.characters(min_codepoint=1, max_codepoint=127)),
    st.booleans(),
)
def test_ascii_text_of_a_known_role_needs_no_validating(role: Any, text: str, streaming: bool) -> None:
    assert plain_message(ID, role, text, streaming=streaming) is not None
