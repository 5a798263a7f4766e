"""What is larger than the ledger takes stands in its place with its size and digest; what stands beside it is kept."""

import base64
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from runfold import Ledger
from runfold.domain.parts import DataPart, FilePart, TextPart
from runfold.domain.values import digest
from runfold.importers.omissions import OMITTED, reduced
from runfold.importers.tally import Tally
from runfold.settings import MIB
from runfold.store.codec import Limits
from tests.importers.conftest import SessionFile, text, tool_use

LIMITS = Limits(10_000, 40_000)
IMAGE = base64.b64encode(bytes(range(256)) * 60).decode()


def test_what_fits_is_the_very_same() -> None:
    for value in ("x" * 10_000, ("a", {"b": ["c", 1, None]}), (TextPart(text="x"), FilePart(media_type="a/b", data="x"))):
        assert reduced(value, LIMITS) is value


def test_a_long_text_keeps_its_beginning_and_says_what_is_missing() -> None:
    whole = "ä" * 9_000
    (part,) = reduced((TextPart(text=whole),), LIMITS)
    assert part.text.startswith("ä" * 4_800)
    assert part.text.endswith(f" of 18,000 bytes, {digest(whole)} of the whole]")
    assert len(part.text.encode()) <= 10_000


def test_of_a_file_nothing_is_kept_but_its_name_size_and_digest() -> None:
    words, file, data = reduced(
        (TextPart(text="Look."), FilePart(media_type="image/png", data=IMAGE), DataPart(data={"source": {"data": IMAGE}})), LIMITS
    )
    named = f"[omitted: {len(IMAGE):,} bytes, {digest(IMAGE)}]"
    assert words == TextPart(text="Look.")
    assert file == FilePart(media_type="image/png", name=f"file {named}")
    assert data == DataPart(data={"source": {"data": named}})


def test_many_strings_that_are_too_much_together_are_cut_until_they_fit() -> None:
    value = {str(number): "word " * 1_500 for number in range(20)} | {"short": "kept"}
    found = reduced(value, LIMITS)
    assert len(orjson.dumps(found)) < LIMITS.event_bytes
    assert found["short"] == "kept"
    assert all(member.startswith("word ") for name, member in found.items() if name != "short")


@pytest.fixture
def large(session: SessionFile) -> SessionFile:
    """A session with an image, a result and an answer that are each too large."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * (3 * MIB)}}
    session.add("user", [text("Look at this."), image])
    session.reply("msg-1", tool_use("toolu_1", "Read", path="a"))
    session.result("toolu_1", "line\n" * (500 * 1024))
    session.reply("msg-2", text("word " * (2 * MIB)))
    return session


def _kept(ledger: Ledger) -> list[Any]:
    return [recorded.event.model_dump(mode="json") for recorded in ledger.events() if recorded.type != "thread.imported"]


def test_a_record_that_is_too_large_goes_in_with_omissions_and_again_adds_nothing(
    ledger: Ledger, importing: Callable[..., Tally], large: SessionFile
) -> None:
    path = large.write()
    tally: Tally = importing("claude-code", path)
    assert tally.problems == []
    assert [note.kind for note in tally.notes] == [OMITTED]
    said = json.dumps(_kept(ledger))
    assert "Look at this." in said
    assert "line\\nline" in said
    assert "word word" in said
    assert said.count("[omitted: ") >= 3
    position = ledger.position()
    large.say("And now?")
    grown: Tally = importing("claude-code", large.write())
    assert grown.problems == []
    types = [recorded.type for recorded in ledger.events() if recorded.position > position]
    assert "message.revised" not in types
    assert types.count("message.added") == 1
