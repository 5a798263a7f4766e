"""User JSON: kept exactly, or refused with the path of what is not JSON."""

import enum
import json
from collections import OrderedDict, namedtuple
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold.domain.json_text import canonical, json_text, parse_json
from runfold.domain.parts import DataPart
from runfold.domain.run_events import RunMetadataMerged
from runfold.domain.step import StatePatched, StateSnapshotTaken
from runfold.domain.usage import Tokens
from runfold.domain.values import INT_LIMIT, json_fault, same
from runfold.errors import InvalidEvent
from runfold.store.codec import encode

from .refusals import NO_LIMITS, read_back, refused
from .samples import NOON
from .steady import STEADY


def nested(depth: int, leaf: object = None) -> Any:
    """`depth` objects and arrays in each other."""
    for level in range(depth):
        leaf = [leaf] if level % 2 else {"a": leaf}
    return leaf


# User JSON


class Colour(enum.Enum):
    RED = 1


Point = namedtuple("Point", "x y")


@pytest.mark.fault("F3", "F4", "F8")
@pytest.mark.parametrize(
    ("bad", "path", "word"),
    [
        ({"a": [float("nan")]}, "state.a.0", "nan"),
        (float("inf"), "state", "inf"),
        ([-float("inf")], "state.0", "-inf"),
        ({"n": 2**64}, "state.n", "beyond 64 bits"),
        ({"n": -(2**63) - 1}, "state.n", "beyond 64 bits"),
        ([10**400], "state.0", "beyond 64 bits"),
        ({1: "a"}, "state", "keys must be strings"),
        ({"a": {None: 1}}, "state.a", "keys must be strings"),
        ({"a": {True: 1}}, "state.a", "keys must be strings"),
        ({"t": (1, 2)}, "state.t", "is a tuple"),
        ({"t": Point(1, 2)}, "state.t", "is a Point"),
        ({"s": {1, 2}}, "state.s", "is a set"),
        (b"bytes", "state", "is a bytes"),
        (bytearray(b"x"), "state", "is a bytearray"),
        ({"at": NOON}, "state.at", "is a datetime"),
        ({"on": date(2026, 1, 31)}, "state.on", "is a date"),
        (OrderedDict(a=1), "state", "is a OrderedDict"),
        (1j, "state", "is a complex"),
        (Colour.RED, "state", "is a Colour"),
        pytest.param(object(), "state", "is a object", id="object"),
        (Tokens(), "state", "is a Tokens"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_is_not_json_is_refused_where_it_is(bad: object, path: str, word: str) -> None:
    told = refused(lambda: StateSnapshotTaken(state=bad))
    assert told.path == path
    assert word in told.reason


@pytest.mark.parametrize("whole", [2**64 - 1, -(2**63), 2**53 + 1, INT_LIMIT])
def test_whole_numbers_of_64_bits_are_kept_exactly(whole: int) -> None:
    assert read_back(StateSnapshotTaken(state=[whole])).state == [whole]


@pytest.mark.fault("F6")
def test_json_is_at_most_64_deep() -> None:
    assert read_back(StateSnapshotTaken(state=nested(64))).state == nested(64)
    assert "nested more than 64 deep" in refused(lambda: StateSnapshotTaken(state=nested(65))).reason
    assert "nested more than 64 deep" in refused(lambda: StateSnapshotTaken(state=nested(100_000))).reason
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert "nested more than 64 deep" in refused(lambda: DataPart(data=endless)).reason


@pytest.mark.fault("F7")
@pytest.mark.parametrize(
    "payload",
    [{"_type_": "nope", "_data_": 1}, {"_type_": "uuid_hex", "_data_": "0" * 32}, {"__type__": "os:system"}, {"$ref": "#"}],
    ids=str,
)
def test_objects_that_look_like_types_are_kept_verbatim(payload: dict[str, Any]) -> None:
    event = StateSnapshotTaken(state={"inner": [payload], **payload})
    assert b"_type_" in encode(event, NO_LIMITS) or "$ref" in payload
    assert read_back(event).state == event.state


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc._$é", max_size=3), inner, max_size=4),
    max_leaves=12,
)


@STEADY
@given(JSON)
def test_json_comes_back_as_it_was(value: Any) -> None:
    back = read_back(StateSnapshotTaken(state=value)).state
    assert same(back, value)
    assert repr(back) == repr(value)
    assert same(parse_json(json_text(value)), value)


def test_an_event_keeps_what_it_was_given_not_what_becomes_of_it() -> None:
    mine = {"a": [1]}
    events = [StateSnapshotTaken(state=mine), RunMetadataMerged(patch=mine), StatePatched(patch=(mine,)), DataPart(data=mine)]
    before = [event.model_dump_json() for event in events]
    mine["a"].append(2)
    assert [event.model_dump_json() for event in events] == before


# JSON text from outside


@pytest.mark.fault("F3", "F4", "F5", "F6")
@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ('{"a": 1, "a": 2}', "has the key 'a' twice"),
        ('{"a": {"b": 1, "b": 1}}', "has the key 'b' twice"),
        ("NaN", "holds NaN"),
        ("[-Infinity]", "holds -Infinity"),
        ("[1e400]", "is inf"),
        (f"[{'9' * 400}]", "beyond 64 bits"),
        (f"[{'9' * 5000}]", "is not JSON"),
        ("[" * 100_000, "nested more than 64 deep"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ('{"a":' * 100_000, "nested more than 64 deep"),
        ('"\\ud800"', "lone surrogate"),
        ('{"\\u0000": 1}', "NUL"),
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("01", "is not JSON"),
        (b'"\xff"', "is not UTF-8"),
        (b'"\xed\xa0\x80"', "is not UTF-8"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_json_text_that_others_would_change_silently_is_refused(raw: str | bytes, words: str) -> None:
    with pytest.raises(InvalidEvent, match=words) as caught:
        parse_json(raw, "arguments")
    assert caught.value.path.startswith("arguments")


def test_json_text_is_read_as_it_is() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": [1, 1.0, true, null, "\\u00e9"]}') == {"a": [1, 1.0, True, None, "é"]}
    assert parse_json("[" * 64 + "]" * 64) is not None


BLANKS = st.sampled_from(["", "", " ", "\t", "\r\n "])
NUMBERS = ["1", "-0", "1e5", "0.1", "1e400", "18446744073709551615", "18446744073709551616", "true", "null", "NaN", "-", "01"]
TEXTS = [r'"a"', r'":"', r'"a\":"', r'"\\"', r'"\ud83d\ude00"', r'"\ud800"', r'"\u0000"', r'"\u0061"', r'"', r'"é"']
SCALARS = st.sampled_from([*NUMBERS, *TEXTS, '"\x01"', '" :"'])
KEYS = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"a\\\\"', '":"', '"a\\" :"', '""'])


def _written(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(BLANKS, KEYS, BLANKS, inner, BLANKS).map(lambda it: f"{it[0]}{it[1]}{it[2]}:{it[4]}{it[3]}")
    objects = st.lists(member, max_size=4).map(lambda members: f"{{{','.join(members)}}}")
    return objects | st.lists(inner, max_size=4).map(lambda members: f"[{','.join(members)}]")


def _plainly(text: str) -> Any:
    """What the standard parser reads, or None where it reads anything that the ledger does not take."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=object_of)
    except (ValueError, AssertionError):
        return None
    return None if json_fault(value) else (value,)


@STEADY
@given(st.recursive(SCALARS, _written, max_leaves=10))
def test_a_fast_parser_changes_nothing(text: str) -> None:
    for raw in (text, text.encode()):
        try:
            read = (parse_json(raw),)
        except InvalidEvent:
            read = None
        expected = _plainly(text)
        assert repr(read) == repr(expected)


def test_a_path_leads_from_the_root_to_the_value_at_fault() -> None:
    for make in (lambda: json_text({"a": [{"b": {1}}]}), lambda: canonical({"a": [{"b": {1}}]})):
        with pytest.raises(InvalidEvent) as caught:
            make()
        assert caught.value.path == "a.0.b"
    with pytest.raises(InvalidEvent) as told:
        json_text({"a": {1}}, "arguments")
    assert told.value.path == "arguments.a"


@pytest.mark.fault("F8")
@pytest.mark.parametrize("bad", [{1}, {2: 1}, b"x", float("nan")], ids=str)
def test_a_request_that_is_not_json_has_no_canonical_form(bad: object) -> None:
    with pytest.raises(InvalidEvent) as caught:
        canonical({"input": bad})
    assert caught.value.path == "input"


@pytest.mark.fault("F6")
@pytest.mark.parametrize("depth", [65, 100_000])
def test_a_request_that_is_nested_too_deep_has_no_canonical_form(depth: int) -> None:
    with pytest.raises(InvalidEvent, match="nested more than 64 deep"):
        canonical({"input": nested(depth)})


def test_equal_requests_have_one_canonical_form() -> None:
    assert canonical({"a": 1, "b": {"c": 2, "d": [3]}}) == canonical({"b": {"d": [3], "c": 2}, "a": 1})
    assert canonical({"a": nested(64)})
    assert len({canonical({"a": value}) for value in (1, 1.0, True, "1")}) == 4


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (0, False), ([1], [True]), ({"a": (1,)}, {"a": (1.0,)}), ("1", 1)]
)
def test_what_python_takes_for_equal_is_not_the_same(one: object, other: object) -> None:
    assert not same(one, other)
    assert same(one, one)
    assert not same(DataPart(data="x", name="n"), DataPart(data="y", name="n"))
