"""Text, ids and the shape of an event: what can never be recorded is refused with the path of its field."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from runfold.domain.context import Metadata
from runfold.domain.message import MessageAdded, MessagePartAppended
from runfold.domain.parts import TextPart
from runfold.domain.run_events import RunCreated, RunLinked, RunMetadataMerged
from runfold.domain.step import StatePatched, StateSnapshotTaken
from runfold.domain.tool_call import ToolCalled
from runfold.domain.values import Actor, digest
from runfold.errors import InvalidEvent

from .refusals import read_back, refused, with_field
from .samples import called, created, message
from .steady import STEADY

# Text


@pytest.mark.fault("F1", "F2")
@pytest.mark.parametrize("bad", ["\0", "a\0b", "\ud800", "a\udfffb"], ids=ascii)
@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda bad: MessagePartAppended(message_id="msg_1", offset=0, text=bad), "text"),
        (lambda bad: MessageAdded(message_id="msg_1", role="user", content=(TextPart(text="ok"), TextPart(text=bad))), "text"),
        (lambda bad: with_field(message, content=({"type": "text", "text": bad},))(), "content.0.text.text"),
        (lambda bad: RunLinked(workflow_id=f"w{bad}"), "workflow_id"),
        (lambda bad: with_field(called, call_id=bad)(), "call_id"),
        (lambda bad: with_field(created, thread_id=f"thread_{bad}")(), "thread_id"),
        (lambda bad: StateSnapshotTaken(state=bad), "state"),
        (lambda bad: StateSnapshotTaken(state={"a": [1, {"b": bad}]}), "state.a.1.b"),
        (lambda bad: StateSnapshotTaken(state={"a": {bad: 1}}), "state.a"),
        (lambda bad: RunMetadataMerged(patch={bad: 1}), "patch"),
        (lambda bad: StatePatched(patch=({"op": "add", "path": "/a", "value": bad},)), "patch.0.value"),
        (lambda bad: Metadata(actor=Actor(kind="human", id="ada"), traceparent=bad), "traceparent"),
        (lambda bad: Actor(kind="human", id=bad), "id"),
    ],
)
def test_a_nul_and_a_lone_surrogate_are_no_text(make: Callable[[str], object], path: str, bad: str) -> None:
    told = refused(lambda: make(bad))
    assert told.path == path
    assert path in str(told)


@pytest.mark.fault("F11")
@STEADY
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40))
@example("e\u0301 é")
@example("\u202egnp.exe\u202c")
@example("a\u200bb\ufeff\ufffe\uffff\U0010ffff")
@example("👩‍👩‍👧")
def test_other_text_is_kept_to_the_byte(text: str) -> None:
    event = ToolCalled(call_id="call_1", name="x", arguments_text=text, arguments={"text": text, f"key {text}": [text]})
    back = read_back(event)
    assert back.arguments_text.encode() == text.encode()
    assert digest(back.arguments_text) == digest(text)
    assert back.arguments == event.arguments


@pytest.mark.fault("F2")
def test_a_digest_of_what_is_no_text_does_not_hide_what_is_wrong_with_it() -> None:
    assert digest("\ud800") != digest("\ud801")
    assert refused(with_field(called, arguments_text="\ud800")).path == "arguments_text"


# Ids


@pytest.mark.row("HV-52")
@pytest.mark.fault("F11", "F15")
@pytest.mark.parametrize(
    "bad",
    [
        "",
        ".",
        "..",
        "../etc/passwd",
        "a/b",
        "a\\b",
        "a..b",
        ".hidden",
        "a.",
        "/absolute",
        "C:\\x",
        "a b",
        " a",
        "a\n",
        "\tb",
        "\x1b[31m",
        "\x7f",
        "a'; DROP TABLE events;--",
        'a"b',
        "a;b",
        "a|b",
        "a&b",
        "$(id)",
        "`id`",
        "a>b",
        "a*",
        "a?",
        "a%00",
        "a#b",
        "a!b",
        "é",
        "\u0435",
        "a\u200b",
        "-rf",
        "~root",
        "a" * 201,
        "a\r\nb",
        "{a}",
    ],
    ids=ascii,
)
def test_an_id_is_plain_ascii_that_names_no_path_and_no_command(bad: str) -> None:
    assert refused(with_field(called, call_id=bad)).path == "call_id"
    assert refused(with_field(created, thread_id=f"thread_{bad}")).path == "thread_id"


@pytest.mark.parametrize("good", ["a", "_a", "0", "a.b.c", "call:7@host=x+y~z-w", "toolu_01AbC", "a" * 200])
def test_ids_of_other_systems_are_ids(good: str) -> None:
    assert called.model_copy(update={"call_id": good}) == type(called)(**{**called.model_dump(), "call_id": good})


@pytest.mark.parametrize("bad", ["run_", "thread-1", "1", "THREAD_1", "run_1"])
def test_an_id_says_what_it_is_of(bad: str) -> None:
    assert refused(with_field(created, thread_id=bad)).path == "thread_id"


@pytest.mark.parametrize("bad", ["ada", ":", "human:", "robot:r2", "", "human"])
def test_an_actor_is_kind_and_id(bad: str) -> None:
    with pytest.raises(InvalidEvent, match="is not kind:id"):
        Actor.parse(bad)
    assert str(Actor.parse("human:ada:lovelace")) == "human:ada:lovelace"


@pytest.mark.parametrize(
    ("bad", "why"),
    [("human:" + "x" * 501, "at most 500 characters"), ("agent:a\0", "NUL character"), ("human:\udcff", "unicode")],
)
def test_an_actor_with_an_id_that_is_none_is_refused_as_any_other(bad: str, why: str) -> None:
    with pytest.raises(InvalidEvent, match=f"^actor: .*{why}"):
        Actor.parse(bad)


# The shape of an event


@pytest.mark.fault("F13")
def test_an_unknown_field_is_refused_by_its_name() -> None:
    assert refused(with_field(called, colour="red")).path == "colour"
    assert (
        refused(with_field(created, parent={"run_id": "run_1", "kind": "branches", "at_version": 1, "x": 1})).path == "parent.x"
    )


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"background": "true"}, "background"),
        ({"background": 1}, "background"),
        ({"metadata": []}, "metadata"),
        ({"agent_id": ""}, "agent_id"),
        ({"agent_id": 7}, "agent_id"),
        ({"agent_id": "a" * 501}, "agent_id"),
        ({"parent": {"run_id": "run_1", "kind": "continues", "at_version": 0}}, "parent.at_version"),
        ({"parent": {"run_id": "run_1", "kind": "clones", "at_version": 1}}, "parent.kind"),
        ({"request_digest": "sha256:xyz"}, "request_digest"),
    ],
    ids=str,
)
def test_a_field_of_another_type_is_refused_not_turned(fields: dict[str, object], path: str) -> None:
    assert refused(with_field(created, **fields)).path == path


def test_an_event_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        created.agent_id = "other"  # type: ignore[misc]
    assert isinstance(created, RunCreated)
