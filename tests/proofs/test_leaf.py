"""The bytes of leaves and envelopes never change: what was sealed once is verified for ever."""

import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.proofs.leaf import (
    MOST_DEPTH,
    Leaf,
    NotALeaf,
    canonical,
    decoded,
    envelope,
    envelope_digest,
    payload_digest,
    salts,
    values,
    written_envelope,
)

SALT = bytes(range(16))
AT = datetime(2026, 11, 29, 3, 30, 0, 123456, tzinfo=UTC)
GIVEN = {
    "event_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "tenant_id": "default",
    "thread_id": "thread_1",
    "recorded_at": AT,
    "context": '{"run_id": "run_1", "agent_id": "support"}',
    "metadata": '{"actor": {"kind": "human", "id": "zoë"}, "n": 1.50}',
}
LEAF = Leaf(3, 2, "run_1", 2, "message.added", 1, 9, "a" * 64, "b" * 64)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3)
JSON = st.recursive(
    st.none() | st.booleans() | TEXT | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def test_the_bytes_of_an_envelope_and_of_a_leaf_are_these() -> None:
    assert envelope(**GIVEN) == (
        b'{"context":{"agent_id":"support","run_id":"run_1"},"event_id":"01890a5dac96774bbcceb302099a8057","key_id":null,'
        b'"metadata":{"actor":{"id":"zo\\u00eb","kind":"human"},"n":1.5},"recorded_at":"1795923000123456",'
        b'"tenant_id":"default","thread_id":"thread_1","v":1}'
    )
    assert (
        LEAF.encoded()
        == (
            f'{{"envelope_sha256":"{"b" * 64}","payload_sha256":"{"a" * 64}","position":"9","schema_version":"1","seq":"3",'
            '"stream":"run_1","thread_seq":"2","type":"message.added","v":1,"version":"2"}'
        ).encode()
    )
    assert LEAF.hash().hex() == "1e0fb7c25407f8c8cbb94d4b58e7dceec5dea31581e602f0dc459eeb637f514f"


def test_the_digests_are_over_salts_that_do_not_tell_each_other() -> None:
    payload, kept = salts(SALT)
    assert payload != kept
    assert payload_digest(payload, b"{}") != payload_digest(kept, b"{}")
    assert envelope_digest(kept, envelope(**GIVEN)) != envelope_digest(salts(bytes(16))[1], envelope(**GIVEN))


@pytest.mark.parametrize(
    "printed",
    [
        {"metadata": '{"n":1.5,"actor":{"id":"zo\\u00eb","kind":"human"}}'},
        {"metadata": '{"n": 15E-1, "actor": {"id": "zoë", "kind": "human"}}'},
        {"context": '{"agent_id":"support","run_id":"run_1"}'},
        {"recorded_at": AT.astimezone(timezone(timedelta(hours=-9, minutes=-30)))},
        {"event_id": "01890A5DAC96774BBCCEB302099A8057"},
    ],
)
def test_the_same_envelope_printed_otherwise_has_the_same_bytes(printed: dict[str, object]) -> None:
    assert envelope(**{**GIVEN, **printed}) == envelope(**GIVEN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"recorded_at": AT + timedelta(microseconds=1)},
        {"tenant_id": "acme"},
        {"thread_id": "thread_2"},
        {"key_id": "null"},
        {"event_id": "01890a5d-ac96-774b-bcce-b302099a8058"},
        {"context": '{"run_id": "run_1"}'},
        {"metadata": '{"actor": {"kind": "human", "id": "zoë"}, "n": "1.5"}'},
        {"metadata": '{"actor": {"kind": "human", "id": "zoë"}, "n": 1.5000000000000000000000000000000000001}'},
    ],
)
def test_whatever_is_changed_in_an_envelope_changes_its_bytes(changed: dict[str, object]) -> None:
    assert envelope(**{**GIVEN, **changed}) != envelope(**GIVEN)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_values_that_are_read_back_are_written_the_same(value: object) -> None:
    text = canonical(value)
    assert canonical(values(text)) == text
    assert text.isascii()


def test_a_leaf_is_read_from_its_own_bytes_alone() -> None:
    entry = LEAF.encoded()
    assert decoded(entry) == LEAF
    for other in (
        b"",
        b"{}",
        b"[" * 100_000,
        entry + b" ",
        entry.replace(b'"3"', b'"03"'),
        entry.replace(b'"3"', b"3"),
        entry.replace(b'"v":1', b'"v":2'),
        entry.replace(b"}", b',"x":"1"}'),
        b"\xff" + entry,
    ):
        with pytest.raises(NotALeaf):
            decoded(other)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(TEXT, JSON, max_size=4), st.booleans())
def test_json_beside_an_event_is_written_as_any_value_is(value: dict[str, object], ascii_alone: bool) -> None:
    exact = canonical(value)
    printed = json.dumps(json.loads(exact, parse_float=float), ensure_ascii=ascii_alone, indent=1)
    for text in (exact, printed):
        written = envelope(**{**GIVEN, "context": text, "metadata": "{}"})  # type: ignore[arg-type]
        assert written.startswith(f'{{"context":{canonical(values(text))},'.encode())


@pytest.mark.parametrize(
    "number", ["-0", "0", "1e3", "1E-2", "10.50", "-0.0", "12345678901234567890", "9" * 4000, "1" + "0" * 5000]
)
def test_a_number_beside_an_event_is_written_with_each_of_its_digits(number: str) -> None:
    written = envelope(**{**GIVEN, "context": f'{{"n": {number}}}'})  # type: ignore[arg-type]
    assert written.startswith(f'{{"context":{{"n":{canonical(values(number))}}},'.encode())


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=0, max_size=80))
def test_salts_are_hmac_with_sha256_under_the_salt_of_the_event(salt: bytes) -> None:
    for each in (salt, salt[:16].ljust(16, b"\0")):
        payload, kept = salts(each)
        assert payload == hmac.digest(each, b"runfold payload v1", "sha256")
        assert kept == hmac.digest(each, b"runfold envelope v1", "sha256")


@pytest.mark.parametrize("inside", ["1", "0.5"])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_how_deep_json_beside_an_event_may_be_does_not_hang_on_the_interpreter(inside: str, opened: str, closed: str) -> None:
    times = MOST_DEPTH // len(closed)
    deep = opened * times + inside + closed * times

    def written(context: str) -> bytes:
        return written_envelope("0" * 32, "default", "thread_1", 0, context, "{}", None)

    assert deep.encode() in written(deep)
    with pytest.raises(RecursionError, match=f"more than {MOST_DEPTH} deep"):
        written(f"[{deep}]")
    assert written(f"[{','.join('[]' for _ in range(MOST_DEPTH))}]"), "many beside each other are not deep"
