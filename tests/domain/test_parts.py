"""Parts of a message are written by their own class, as they would be by a search for it by their `type`."""

from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter

from runfold.domain.message import MessageAdded
from runfold.domain.parts import DataPart, FilePart, ReasoningPart, SourcePart, TextPart
from runfold.store.codec import Limits, encode

LIMITS = Limits(1_000_000, 1_000_000)
SEARCHED: TypeAdapter[Any] = TypeAdapter(
    Annotated[TextPart | ReasoningPart | FilePart | SourcePart | DataPart, Field(discriminator="type")]
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
MAYBE = st.none() | TEXT
LABEL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PARTS = st.one_of(
    st.builds(TextPart, text=TEXT),
    st.builds(ReasoningPart, text=TEXT, signature=MAYBE, encrypted=MAYBE),
    st.builds(FilePart, media_type=LABEL, url=MAYBE, data=MAYBE, file_id=MAYBE, name=MAYBE),
    st.builds(SourcePart, url=MAYBE, document_id=MAYBE, title=MAYBE),
    st.builds(DataPart, data=JSON, name=st.none() | LABEL),
)


@given(st.lists(PARTS, max_size=4))
def test_parts_are_stored_as_their_type_says(parts: list[Any]) -> None:
    message = MessageAdded(message_id="msg_1", role="user", content=tuple(parts))
    written = b",".join(SEARCHED.dump_json(part, exclude_none=True) for part in parts)
    stored = encode(message, LIMITS)
    assert stored == b'{"message_id":"msg_1","role":"user","content":[' + written + b'],"streaming":false}'
    assert MessageAdded.model_validate_json(stored) == message
    assert tuple(part.model_dump() for part in parts) == message.model_dump()["content"]
