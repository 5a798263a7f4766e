"""The registry of types, yesterday's shapes, and what is not of ours."""

import json
import sys
from typing import ClassVar
from uuid import UUID

import pytest

from runfold.domain import event
from runfold.domain.catalogue import event_types
from runfold.domain.context import Metadata
from runfold.domain.event import Event, EventTypes, Fields
from runfold.domain.recorded import Recorded
from runfold.domain.values import Actor
from runfold.errors import UnknownEventType, UnreadableEvent

from .samples import NOON, ONE_O_CLOCK, message, started


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> EventTypes:
    """A registry of its own: no test leaves a type behind."""
    own = EventTypes()
    monkeypatch.setattr(event, "event_types", own)
    return own


def moves(version: int) -> type[Event]:
    """A piece moved; by version 3 it has a square to go to, from two numbers, from one text."""

    class PieceMoved(Event, type="piece.moved", version=version):
        """A piece moved."""

        column: int
        row: int
        piece: str = "pawn"

    return PieceMoved


def with_upcasts(types: EventTypes) -> EventTypes:
    @types.upcast("piece.moved", from_version=1)
    def square_to_numbers(fields: Fields) -> Fields:
        column, row = fields.pop("square")
        return {**fields, "column": "abcdefgh".index(column), "row": int(row)}

    @types.upcast("piece.moved", from_version=2)
    def piece_is_spelt_out(fields: Fields) -> Fields:
        return {"piece": {"N": "knight"}.get(fields.pop("kind", ""), "pawn"), **fields}

    return types


@pytest.mark.fault("J1")
@pytest.mark.parametrize(
    ("version", "stored"),
    [(1, b'{"square":"e4","kind":"N"}'), (2, b'{"column":4,"row":4,"kind":"N"}'), (3, b'{"column":4,"row":4,"piece":"knight"}')],
)
def test_every_stored_shape_is_read_as_todays(types: EventTypes, version: int, stored: bytes) -> None:
    today = moves(3)
    assert with_upcasts(types).read("piece.moved", version, stored) == today(column=4, row=4, piece="knight")


@pytest.mark.fault("F13", "J1")
@pytest.mark.parametrize("version", [0, -1, 1, 2])
def test_a_shape_without_an_upcast_is_unknown(types: EventTypes, version: int) -> None:
    moves(3)
    with pytest.raises(UnknownEventType) as caught:
        types.read("piece.moved", version, b'{"column":4,"row":4}', 7)
    assert (caught.value.type, caught.value.schema_version, caught.value.position) == ("piece.moved", version, 7)


@pytest.mark.fault("F13")
def test_a_newer_schema_version_is_unknown(types: EventTypes) -> None:
    moves(3)
    with pytest.raises(UnknownEventType, match=r"position 7 has type 'piece\.moved' version 4, which this Runfold"):
        types.read("piece.moved", 4, b'{"column":4,"row":4}', 7)


@pytest.mark.fault("F13", "F16")
@pytest.mark.parametrize(
    "forged",
    [
        "os:system",
        "builtins.exec",
        "builtins:exec",
        "antigravity:x",
        "this",
        "runfold.cli:main",
        "run.started2",
        "",
        "\0",
    ],
)
def test_a_forged_type_is_reported_and_nothing_is_imported(forged: str) -> None:
    before = set(sys.modules)
    with pytest.raises(UnknownEventType) as caught:
        event_types.read(forged, 1, b"{}", 7)
    assert caught.value.position == 7
    assert set(sys.modules) == before
    assert forged not in event_types


@pytest.mark.fault("F13")
@pytest.mark.parametrize(
    "stored", [b"{}", b"[]", b"", b"{", b"\xff", b'{"column":"4","row":4}', b'{"column":4,"row":4,"colour":"white"}', b"null"]
)
def test_a_payload_that_does_not_fit_its_type_is_damage_with_a_position(types: EventTypes, stored: bytes) -> None:
    moves(1)
    with pytest.raises(UnreadableEvent, match=r"the piece\.moved at position 7 cannot be read") as caught:
        types.read("piece.moved", 1, stored, 7)
    assert (caught.value.type, caught.value.position) == ("piece.moved", 7)


@pytest.mark.fault("F13", "J1")
@pytest.mark.parametrize(
    "stored",
    [b"{}", b"[]", b"", b"{", b"\xff", b'{"square":"z9"}', b'{"square":7}', b'{"square":"e"}', b'{"square":"e4","x":1}', b"null"],
)
def test_an_old_payload_that_its_upcast_cannot_take_is_damage_with_a_position(types: EventTypes, stored: bytes) -> None:
    moves(3)
    with pytest.raises(UnreadableEvent, match=r"the piece\.moved at position 7 cannot be read"):
        with_upcasts(types).read("piece.moved", 1, stored, 7)


def test_two_classes_never_share_a_name(types: EventTypes) -> None:
    moves(1)
    with pytest.raises(ValueError, match=r"'piece\.moved' is registered twice"):
        moves(2)


def test_a_class_without_a_type_is_not_registered(types: EventTypes) -> None:
    class PieceEvent(Event):
        """Something happened to a piece."""

        squares: ClassVar[int] = 64

    assert dict(types.all()) == {}


def test_what_differs_is_named() -> None:
    assert message.differs_from(message.model_copy(update={"role": "assistant"})) == "role"
    assert message.differs_from(started) == "type (run.started)"
    assert message.differs_from(message.model_copy()) is None


def test_a_recorded_event_happened_when_its_producer_says() -> None:
    def recorded(**metadata: object) -> Recorded:
        return Recorded(
            position=1,
            stream="run_1",
            version=2,
            event=started,
            event_id_bytes=UUID(int=1).bytes,
            tenant_id="default",
            thread_id="thread_1",
            recorded_at=NOON,
            schema_version=1,
            context_json="{}",
            metadata_json=json.dumps({"actor": {"kind": "agent", "id": "support"}, **metadata}),
        )

    assert recorded().happened_at == NOON
    late = recorded(occurred_at="2026-01-31T13:00:00Z")
    assert late.happened_at == ONE_O_CLOCK
    assert late.metadata == Metadata(actor=Actor.parse("agent:support"), occurred_at=ONE_O_CLOCK)
    assert late.as_json()["data"] == {"attempt": 1}
