"""A field that does not fit is told of and read as absent; the rest of its record is taken."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from runfold.errors import InvalidEvent
from runfold.importers.fitting import Count, LocalMoment, Moment, fitted
from runfold.importers.sources import CamelShape, Shape


class Usage(CamelShape):
    """Tokens."""

    output_tokens: Count | None = None
    note: str | None = None


class Block(Shape):
    """A part of a message."""

    type: str
    text: str = ""


class Message(CamelShape):
    """A message."""

    id: str
    content: str | list[Block]
    at: Moment | None = None
    usage: Usage | None = None


def _read(**message: Any) -> tuple[Message, list[str]]:
    told: list[str] = []
    return fitted(Message, {"id": "m1", "content": "Hello", **message}, told.append, "message"), told


@pytest.mark.parametrize(
    ("message", "reasons"),
    [
        ({"usage": {"outputTokens": 12.5, "note": "kept"}}, ["message.usage.outputTokens: Input should be a valid integer"]),
        ({"usage": {"outputTokens": "n/a", "note": "kept"}}, ["message.usage.outputTokens: Input should be a valid integer"]),
        ({"usage": {"outputTokens": -3, "note": "kept"}}, ["message.usage.outputTokens: Input should be greater than or equal"]),
        ({"usage": {"outputTokens": True, "note": "kept"}}, ["message.usage.outputTokens: is no number"]),
        ({"usage": {"outputTokens": 10**30, "note": "kept"}}, ["message.usage.outputTokens: Input should be less than"]),
    ],
)
def test_an_odd_count_is_absent_and_what_stands_beside_it_is_kept(message: dict[str, Any], reasons: list[str]) -> None:
    found, told = _read(**message)
    assert (found.id, found.usage) == ("m1", Usage(note="kept"))
    assert [said.startswith(reason) and said.endswith("; it was left out") for said, reason in zip(told, reasons, strict=True)]


def test_a_count_that_is_certain_is_read() -> None:
    for written in (12, 12.0, "12"):
        found, told = _read(usage={"outputTokens": written})
        assert (found.usage, told) == (Usage(output_tokens=12), [])


def test_one_bad_element_leaves_the_others_and_is_named_by_its_own_place() -> None:
    content: list[Any] = [{"type": "text", "text": "one"}, {"text": "no type"}, 7, {"type": "text", "text": 4}, {"type": "x"}]
    found, told = _read(content=content)
    assert [block.type for block in found.content if isinstance(block, Block)] == ["text", "text", "x"]
    assert [said.split(";")[0] for said in told] == [
        "message.content.1: type: Field required",
        "message.content.2: Input should be a valid dictionary or instance of Block",
        "message.content.3.text: Input should be a valid string",
    ]


def test_what_a_record_is_nothing_without_is_a_fault_of_the_record() -> None:
    for odd in (None, 5, {}, []):
        with pytest.raises(InvalidEvent) as raised:
            _read(id=odd, usage=3)
        assert (raised.value.path, raised.value.reason) == ("message.id", "Input should be a valid string")
    with pytest.raises(InvalidEvent) as raised:
        fitted(Message, [1], [].append)
    assert raised.value.path == ""
    with pytest.raises(InvalidEvent, match="Field required"):
        fitted(Message, {"id": "m1"}, [].append)


def test_many_faults_are_counted_after_the_first() -> None:
    found, told = _read(content=[{"type": 1} for _ in range(1_000)] + [{"type": "text"}])
    assert len(found.content) == 1
    assert (len(told), told[-1]) == (21, "980 more fields do not fit; they were left out")


MOMENT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-31T09:30:00Z",
        "2026-01-31T10:30:00+01:00",
        int(MOMENT.timestamp()),
        MOMENT.timestamp(),
        int(MOMENT.timestamp() * 1e3),
        int(MOMENT.timestamp()) * 10**6,
        int(MOMENT.timestamp()) * 10**9,
        str(int(MOMENT.timestamp()) * 10**9),
    ],
)
def test_a_time_is_read_in_whichever_unit_it_is_written(written: object) -> None:
    assert TypeAdapter(Moment).validate_python(written) == MOMENT
    assert TypeAdapter(LocalMoment).validate_python(written) == MOMENT


@given(st.integers(10**17, 10**20 - 1))
@example(1_769_851_800_123_456_501)
@example(1_769_851_800_123_456_499)
def test_a_time_in_any_unit_is_told_to_the_microsecond(nanoseconds: int) -> None:
    read, began = TypeAdapter(Moment).validate_python, datetime(1970, 1, 1, tzinfo=UTC)
    assert abs((read(nanoseconds) - began) // timedelta(microseconds=1) * 1000 - nanoseconds) <= 500
    for unit in (10**6, 1000, 1):
        assert (read(nanoseconds // 1000 // unit) - began) // timedelta(microseconds=unit) == nanoseconds // 1000 // unit


@pytest.mark.parametrize(
    "written", ["2026-01-31T09:30:00", "yesterday", "", 5, 0, -1, 10**25, True, "0001-01-01T00:00:00+10:00", [], float("inf")]
)
def test_a_time_that_is_not_certain_is_absent(written: object) -> None:
    found, told = _read(at=written)
    assert (found.at, len(told)) == (None, 1)
    assert told[0].startswith("message.at: ")


def test_a_time_without_a_zone_is_taken_where_a_source_has_no_others() -> None:
    assert TypeAdapter(LocalMoment).validate_python("2026-01-31T09:30:00") == MOMENT
    with pytest.raises(ValidationError, match="has no time zone"):
        TypeAdapter(Moment).validate_python("2026-01-31T09:30:00")
