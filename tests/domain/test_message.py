"""Messages: added whole or streamed, revised, redacted."""

from typing import get_args

import pytest
from pydantic import ValidationError

from runfold.domain.event import Event
from runfold.domain.message import (
    MessageAdded,
    MessagePartAppended,
    MessageRedacted,
    MessageRevised,
    MessageSealed,
    MessageState,
    Role,
)
from runfold.domain.parts import DataPart, FilePart, ReasoningPart, SourcePart, TextPart

from .samples import RUNNING, message, streaming
from .story import evolved, fold, given

NEW_WORDS = (TextPart(text="Where are my orders?"),)


def part(offset: int, text: str) -> MessagePartAppended:
    return MessagePartAppended(message_id="msg_1", offset=offset, text=text)


@pytest.mark.row("RV-06")
def test_a_message_has_one_of_seven_roles() -> None:
    assert set(get_args(Role)) == {"system", "developer", "user", "assistant", "tool", "reasoning", "activity"}
    with pytest.raises(ValidationError, match="role"):
        MessageAdded.model_validate({"message_id": "m", "role": "bystander", "content": ()})


def test_a_message_keeps_its_parts_in_order() -> None:
    parts = (
        TextPart(text="see"),
        FilePart(media_type="image/png", url="https://example.com/a.png"),
        ReasoningPart(text="hm"),
        SourcePart(url="https://example.com"),
        DataPart(data=None),
    )
    added = MessageAdded(message_id="msg_1", role="user", content=parts)
    given(*RUNNING).when(lambda run: run.messages.add(added)).then(added)


def test_a_message_id_is_used_once() -> None:
    given(*RUNNING, message).when(lambda run: run.messages.add(message)).known("message", version=3)


def test_a_tools_message_comes_whole() -> None:
    tools = streaming.model_copy(update={"role": "tool"})
    given(*RUNNING).when(lambda run: run.messages.add(tools)).refused("cannot be streamed")


# Revisions


@pytest.mark.row("RV-05", "LT-55")
def test_revisions_count_from_two_and_replace_nothing() -> None:
    second = MessageRevised(message_id="msg_1", revision=2, content=NEW_WORDS, reason="typo")
    third = MessageRevised(message_id="msg_1", revision=3, content=())
    given(*RUNNING, message).when(lambda run: run.messages.revise("msg_1", NEW_WORDS, "typo")).then(second)
    given(*RUNNING, message, second).when(lambda run: run.messages.revise("msg_1", ())).then(third)


def test_the_same_revision_again_adds_nothing() -> None:
    second = MessageRevised(message_id="msg_1", revision=2, content=NEW_WORDS)
    given(*RUNNING, message, second).when(lambda run: run.messages.revise("msg_1", NEW_WORDS)).then()
    number, truth = (DataPart(data=1),), (DataPart(data=True),)
    second = MessageRevised(message_id="msg_1", revision=2, content=number)
    third = MessageRevised(message_id="msg_1", revision=3, content=truth)
    given(*RUNNING, message, second).when(lambda run: run.messages.revise("msg_1", truth)).then(third)


@pytest.mark.row("RV-05")
def test_a_message_of_the_past_is_revised_from_where_the_past_left_it() -> None:
    inherited = MessageState("user", revision=3, added_at=0)
    fourth = MessageRevised(message_id="msg_0", revision=4, content=NEW_WORDS)
    run = given(*RUNNING).when(lambda run: run.messages.revise("msg_0", NEW_WORDS, inherited=inherited)).then(fourth)
    assert run.messages.by_id["msg_0"].revision == 4
    fifth = MessageRevised(message_id="msg_0", revision=5, content=())
    given(*RUNNING, fourth).when(lambda run: run.messages.revise("msg_0", ())).then(fifth)


def test_only_a_known_and_complete_message_is_revised() -> None:
    given(*RUNNING).when(lambda run: run.messages.revise("msg_9", ())).refused("this run has no message 'msg_9'")
    given(*RUNNING, streaming).when(lambda run: run.messages.revise("msg_1", ())).refused("still streaming; `seal()` it first")


# Streaming


def test_streamed_text_is_appended_by_offset_in_characters() -> None:
    given(*RUNNING, streaming).when(lambda run: run.messages.append_text("msg_1", "Grüße 🌍")).then(part(0, "Grüße 🌍"))
    given(*RUNNING, streaming, part(0, "Grüße 🌍")).when(lambda run: run.messages.append_text("msg_1", "!", 7)).then(part(7, "!"))


def test_a_streamed_message_may_begin_with_words() -> None:
    begun = streaming.model_copy(update={"content": (TextPart(text="Your "),)})
    given(*RUNNING, begun).when(lambda run: run.messages.append_text("msg_1", "order")).then(part(5, "order"))


def test_a_part_that_is_stored_is_stored_once() -> None:
    before = (*RUNNING, streaming, part(0, "Your "), part(5, "order"))
    given(*before).when(lambda run: run.messages.append_text("msg_1", "order", 5)).then()
    given(*before).when(lambda run: run.messages.append_text("msg_1", "Your ", 0)).then()
    given(*before).when(lambda run: run.messages.append_text("msg_1", "")).then()


@pytest.mark.parametrize("offset", [-1, 4, 6, 2**62])
def test_a_part_leaves_no_hole_and_no_overlap(offset: int) -> None:
    before = (*RUNNING, streaming, part(0, "Your "))
    given(*before).when(lambda run: run.messages.append_text("msg_1", "order", offset)).refused(
        f"has 5 characters, so offset {offset} would leave a gap or overlap"
    )


def test_an_offset_before_the_beginning_is_no_repeat() -> None:
    before = (*RUNNING, streaming, part(0, "Your "))
    given(*before).when(lambda run: run.messages.append_text("msg_1", "x", -3)).refused("offset -3")


def test_a_sealed_message_takes_no_more_text() -> None:
    sealed = MessageSealed(message_id="msg_1", finish_reason="stop", length=5)
    before = (*RUNNING, streaming, part(0, "Your "))
    given(*before).when(lambda run: run.messages.seal("msg_1", "stop")).then(sealed)
    given(*before, sealed).when(lambda run: run.messages.seal("msg_1")).then()
    given(*before, sealed).when(lambda run: run.messages.append_text("msg_1", "order")).refused("not streaming; `revise()` it")
    given(*before, sealed).when(lambda run: run.messages.append_text("msg_1", "Your ", 0)).then()
    given(*before, sealed).when(lambda run: run.messages.revise("msg_1", NEW_WORDS)).then(
        MessageRevised(message_id="msg_1", revision=2, content=NEW_WORDS)
    )


def test_a_message_that_came_whole_takes_no_more_text() -> None:
    given(*RUNNING, message).when(lambda run: run.messages.append_text("msg_1", "more")).refused("not streaming; `revise()` it")


# Redaction


def hide(*names: str, revision: int | None = None) -> MessageRedacted:
    return MessageRedacted.model_validate(
        {"message_id": "msg_1", "revision": revision, "fields": names, "legal_basis": "GDPR 17"}
    )


def test_what_is_redacted_is_redacted_once() -> None:
    given(*RUNNING, message).when(lambda run: run.messages.redact("msg_1", ("content", "name"), "GDPR 17")).then(
        hide("content", "name")
    )
    before = (*RUNNING, message, hide("content", "name"))
    given(*before).when(lambda run: run.messages.redact("msg_1", ("name", "content"), "GDPR 17")).then()
    given(*before).when(lambda run: run.messages.redact("msg_1", ("content",), "GDPR 17", 1)).then()
    given(*before).when(lambda run: run.messages.redact("msg_1", ("author",), "GDPR 17")).then(hide("author"))


def test_one_revision_is_redacted_apart() -> None:
    revised = MessageRevised(message_id="msg_1", revision=2, content=NEW_WORDS)
    before: tuple[Event, ...] = (*RUNNING, message, revised, hide("content", revision=1))
    given(*before).when(lambda run: run.messages.redact("msg_1", ("content",), "GDPR 17", 2)).then(hide("content", revision=2))
    given(*before).when(lambda run: run.messages.redact("msg_1", ("content",), "GDPR 17")).then(hide("content"))
    given(*before).when(lambda run: run.messages.redact("msg_1", ("content",), "GDPR 17", 3)).refused("revisions 1 to 2, not 3")
    given(*before).when(lambda run: run.messages.redact("msg_9", ("content",), "GDPR 17")).refused("no message 'msg_9'")


def test_a_redaction_names_fields_that_there_are() -> None:
    with pytest.raises(ValidationError, match="fields"):
        given(*RUNNING, message).when(lambda run: run.messages.redact("msg_1", ("role",), "GDPR 17"))
    with pytest.raises(ValidationError, match="fields"):
        given(*RUNNING, message).when(lambda run: run.messages.redact("msg_1", (), "GDPR 17"))


def test_a_message_that_the_past_left_streaming_goes_on_here() -> None:
    story = given(*RUNNING)
    story.subject.messages.past["msg_0"] = MessageState("assistant", 1, 0, length=3, streaming=True)
    story.when(lambda run: run.messages.append_text("msg_0", "x", 5)).refused("has 3 characters, so offset 5")
    more = MessagePartAppended(message_id="msg_0", offset=3, text=" today")
    run = story.when(lambda run: run.messages.append_text("msg_0", " today")).then(more)
    assert run.messages.append_text("msg_0", " today", 3) == []
    (sealed,) = run.messages.seal("msg_0", "stop")
    assert (sealed.length, run.messages.role_of("msg_0")) == (9, "assistant")
    run.evolve(sealed)
    assert run.messages.seal("msg_0") == []
    (revised,) = run.messages.revise("msg_0", ())
    assert revised.revision == 2


def test_a_run_keeps_one_number_of_a_message_that_nothing_more_happened_to() -> None:
    roles: tuple[Role, ...] = get_args(Role)
    ids = [f"msg_{number}" for number in range(len(roles))]
    added = [MessageAdded(message_id=id_, role=role, content=NEW_WORDS) for id_, role in zip(ids, roles, strict=True)]
    run = fold(*RUNNING, *added)
    states = run.messages.by_id
    assert [states[id_] for id_ in ids] == [MessageState(role, 1, at) for at, role in enumerate(roles, len(RUNNING) + 1)]
    assert [type(kept) for members in vars(states).values() for kept in members.values()] == [int] * len(ids)
    assert ("msg_0" in states, "msg_x" in states, states.get("msg_x"), len(states)) == (True, False, None, len(ids))
    evolved(run, MessageRevised(message_id="msg_0", revision=2, content=NEW_WORDS))
    assert (states["msg_0"].role, states["msg_0"].revision, "msg_0" in states, len(states)) == (roles[0], 2, True, len(ids))
    with pytest.raises(KeyError):
        states["msg_x"]
