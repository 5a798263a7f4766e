"""The bytes of an event as HTTP shows it: made of what is stored, the same as if each part were made by itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.domain.catalogue import event_types
from runfold.domain.event import Event
from runfold.domain.raw_event import RawEvent
from runfold.domain.recorded import Recorded
from runfold.errors import UnreadableEvent
from runfold.feed.event_json import event_json
from runfold.http.streams import sse
from runfold.store.codec import Limits, decode, dump, encode, unread_or_raw
from runfold.store.cursor import name_of
from tests.promises.any_event import TEXT, any_of

EPOCH = UUID("1f2e3d4c-0000-4000-8000-000000000000")
STARTS = st.sampled_from(["plain", "Größe", "a\u2028b", "a\u2029b\u0085", "\u00c2\u00e2", "\u2013", "😀", '"\\\n'])


def plainly(recorded: Recorded) -> bytes:
    """Return what is shown of an event, each part written by itself."""
    event = recorded.event
    if isinstance(event, RawEvent):
        data: Any = event.disclosed
    else:
        data = orjson.Fragment(event.model_dump_json(exclude_none=True, exclude=event.undisclosed))
    shown = {
        "position": recorded.position,
        "stream": recorded.stream,
        "version": recorded.version,
        "type": event.type,
        "event_id": str(UUID(bytes=recorded.event_id_bytes)),
        "tenant_id": recorded.tenant_id,
        "thread_id": recorded.thread_id,
        "recorded_at": recorded.recorded_at.isoformat(),
        "schema_version": recorded.schema_version,
        "data_version": event.schema_version,
        "context": orjson.Fragment(recorded.context_json),
        "metadata": orjson.Fragment(recorded.metadata_json),
        "data": data,
    }
    return orjson.dumps(shown | ({"raw": True} if recorded.is_raw else {}))


def framed(recorded: Recorded) -> bytes:
    """Return its frame, in which nothing looks like the end of a line."""
    data = plainly(recorded).decode()
    for sign in "\u0085\u2028\u2029":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    return f"id: {recorded.position}@{name_of(EPOCH)}\nevent: {recorded.event.type}\ndata: {data}\n\n".encode()


def columns(name: str, schema_version: int, state: bytes, words: str, microseconds: int) -> tuple[Any, ...]:
    """Return a row of the log as it is read."""
    context = dump({"run_id": "run_1", "agent_id": words})
    metadata = dump({"actor": {"kind": "human", "id": words}, "note": words})
    recorded_at = datetime(2026, 1, 31, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return (7, "run_1", 3, name, schema_version, state, words, "thread_1", bytes(range(16)), recorded_at, context, metadata, None)


def require_same(row: tuple[Any, ...]) -> None:
    """Compare both ways, of an event that is read for this and of one that is read before."""
    for recorded in (unread_or_raw(row), unread_or_raw(row).readable()):
        assert sse.framing(EPOCH, "runfold")(recorded) == framed(unread_or_raw(row))
        assert event_json(recorded) == plainly(unread_or_raw(row))


@pytest.mark.parametrize("event_class", event_types.all().values(), ids=event_types.all())
def test_any_event_is_shown_in_the_same_bytes(event_class: type[Event]) -> None:
    @settings(max_examples=10, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(any_of(event_class), STARTS, st.sampled_from([0, 1, 123_000, 86_399_999_999]))
    def hold(event: Event, words: str, microseconds: int) -> None:
        state = encode(event, Limits(2**30, 2**30))
        require_same(columns(event.type, event.schema_version, state, words, microseconds))
        newer = orjson.dumps({**orjson.loads(state), "mood": words})
        require_same(columns(event.type, event.schema_version, newer, words, microseconds))
        require_same(columns(event.type, event.schema_version + 1, newer, words, microseconds))

    hold()


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(any_of(event_types["usage.recorded"]), TEXT)
def test_so_is_one_of_a_former_shape_as_todays(usage: Event, words: str) -> None:
    fields = orjson.loads(encode(usage, Limits(2**30, 2**30)))
    for name in ("cache_creation_1h_input_tokens", "web_search_requests"):
        fields["tokens"].pop(name, None)
    fields["raw"] = {"server_tool_use": {"web_search_requests": 2}}
    row = columns("usage.recorded", 1, orjson.dumps(fields), words, 0)
    assert b'"web_search_requests":2' in event_json(unread_or_raw(row))
    assert b'"schema_version":1,"data_version":2' in event_json(unread_or_raw(row))
    require_same(row)


def test_so_is_one_whose_stored_bytes_are_not_as_they_would_be_written_today() -> None:
    stored = b'{ "role": "user", "content" : [{"text": "caf\\u00e9", "type": "text"}], "message_id": "msg_1", "name": null }'
    row = columns("message.added", 1, stored, "plain", 0)
    assert (
        '"data":{"message_id":"msg_1","role":"user","content":[{"type":"text","text":"café"}]' in event_json(decode(row)).decode()
    )
    require_same(row)


@pytest.mark.parametrize("event_class", event_types.all().values(), ids=event_types.all())
def test_so_is_one_of_which_less_is_stored_than_is_shown_today(event_class: type[Event]) -> None:
    """As before a field was there; whatever is left out, at any depth, is shown as it is read."""

    @settings(max_examples=2, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(any_of(event_class))
    def hold(event: Event) -> None:
        for fields in without_one(orjson.loads(encode(event, Limits(2**30, 2**30)))):
            row = columns(event.type, event.schema_version, orjson.dumps(fields), "plain", 0)
            try:
                unread_or_raw(row).readable()
            except UnreadableEvent:
                continue  # it was never optional
            assert orjson.loads(event_json(unread_or_raw(row))) == orjson.loads(plainly(unread_or_raw(row)))

    hold()


def without_one(value: Any) -> Iterator[Any]:
    """Yield a value of JSON without one of its members, each in turn, and with one that is null."""
    if isinstance(value, dict):
        for name, member in value.items():
            rest = {other: each for other, each in value.items() if other != name}
            yield rest
            yield {**rest, name: None}
            yield from ({**rest, name: less} for less in without_one(member))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from ([*value[:index], less, *value[index + 1 :]] for less in without_one(member))


@pytest.mark.parametrize("between", ["\n", "\r", "\r\n"])
def test_line_breaks_between_what_is_stored_end_no_line(between: str) -> None:
    stored = b'{"message_id":"msg_1","role":"user",@"content":[{"type":"text","text":"x"}],"streaming":false}'
    row = columns("message.added", 1, stored.replace(b"@", between.encode()), "plain", 0)
    require_same(row)


@pytest.mark.parametrize("state", [b"{}", b"[]", b"no JSON", b'{"message_id": 7}'])
def test_what_is_damaged_is_not_shown(state: bytes) -> None:
    row = columns("message.added", 1, state, "plain", 0)
    for _ in range(2):
        with pytest.raises(UnreadableEvent, match="position 7"):
            sse.framing(EPOCH, "runfold")(unread_or_raw(row))
