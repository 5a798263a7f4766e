"""JSON of a source becomes values that the ledger can keep: to the letter where it can, else escaped in its place."""

import json
import random
from typing import Any

import pytest

from runfold.domain.values import json_fault
from runfold.errors import InvalidEvent
from runfold.importers.cleaning import AS_TEXT, ESCAPED, FLATTENED, TWICE, breaks_off, cleaned, decoded

DEEP = "[" * 70 + '"in"' + "]" * 70


@pytest.mark.parametrize(
    ("text", "value", "kinds"),
    [
        ('{"a":[1,-2,2.5,true,null,"ä"]}', {"a": [1, -2, 2.5, True, None, "ä"]}, set()),
        ('{ "a": "\\u00e4" }', {"a": "ä"}, set()),
        ('{"a":"x\\u0000y"}', {"a": "x\\u0000y"}, {ESCAPED}),
        ('{"a":"x\0y"}', {"a": "x\\u0000y"}, {ESCAPED}),
        ('{"a":"\\ud83d\\ude00 \\ud800"}', {"a": "😀 \\ud800"}, {ESCAPED}),
        ('{"\\u0000":1}', {"\\u0000": 1}, {ESCAPED}),
        ('{"a":"tab\there"}', {"a": "tab\there"}, set()),
        ('{"a":"\\\\u0000"}', {"a": "\\u0000"}, set()),
        ('{"a":18446744073709551615,"b":18446744073709551616}', {"a": 2**64 - 1, "b": "18446744073709551616"}, {AS_TEXT}),
        ('{"a":-9223372036854775809}', {"a": "-9223372036854775809"}, {AS_TEXT}),
        ('{"a":NaN,"b":-Infinity}', {"a": "NaN", "b": "-Infinity"}, {AS_TEXT}),
        ('{"a":1e999}', {"a": "inf"}, {AS_TEXT}),
        ('{"a":1,"b":2,"a":3,"a":4}', {"a (1)": 1, "b": 2, "a (2)": 3, "a": 4}, {TWICE}),
        ('{"a":{"b":1,"b":1}}', {"a": {"b (1)": 1, "b": 1}}, {TWICE}),
    ],
)
def test_what_cannot_be_kept_stands_escaped_in_its_place(text: str, value: Any, kinds: set[str]) -> None:
    found, changes = cleaned(text)
    assert (found, type(found), changes) == (value, type(value), kinds)
    assert json_fault(found) is None


def test_an_integer_of_ten_thousand_digits_is_text() -> None:
    digits = "9" * 10_000
    assert cleaned(f'{{"a":{digits}}}') == ({"a": digits}, {AS_TEXT})


@pytest.mark.parametrize("depth", [65, 200, 3_000, 200_000])
def test_what_is_nested_too_deeply_is_text_from_there_on(depth: int) -> None:
    text = f'{{"said":"[[[","in":{"[" * depth}1{"]" * depth},"after":"kept"}}'
    value, changes = cleaned(text)
    assert (value["said"], value["after"], changes) == ("[[[", "kept", {FLATTENED})
    inner, levels = value["in"], 0
    while isinstance(inner, list):
        (inner,), levels = inner, levels + 1
    assert (levels, inner) == (63, "[" * (depth - 63) + "1" + "]" * (depth - 63))
    assert json_fault(value) is None


@pytest.mark.parametrize("text", ["", "{", '{"a" 1}', "[1,]", '{"a":tru}', "nul", '{"a":"b}', "{" * 3000, "[" * 3000 + '"'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidEvent, match="is not JSON"):
        cleaned(text)


def test_a_byte_that_is_not_utf8_is_told_from_what_only_looks_like_it() -> None:
    text, is_utf8 = decoded(b'{"a":"\xff \\udcff \\\\xff"}')
    assert not is_utf8
    assert cleaned(text)[0] == {"a": "\\xff \\udcff \\xff"}
    assert decoded("ä".encode()) == ("ä", True)


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ('{"a":1', True),
        ('{"a":"}}', True),
        ('{"a":[{"b":"c"}', True),
        ('{"a":tru', True),
        ("{", True),
        ("{" * 5000, True),
        ('{"a":1}', False),
        ("{broken}", False),
        ("broken", False),
        ("", False),
    ],
)
def test_what_breaks_off_is_told_from_what_is_broken(text: str, breaks: bool) -> None:
    assert breaks_off(text, 0) is breaks


def test_every_json_is_read_as_the_plain_parser_reads_it() -> None:
    chance = random.Random(13)  # noqa: S311  # not a secret
    for _ in range(300):
        value = _any_value(chance, 0)
        for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, separators=(",", ":"))):
            assert cleaned(text) == (value, set()), text


def _any_value(chance: random.Random, depth: int) -> Any:
    match chance.randrange(7 if depth < 5 else 5):
        case 0:
            return chance.choice([None, True, False])
        case 1:
            return chance.randrange(-(2**63), 2**64)
        case 2:
            return chance.uniform(-1e300, 1e300)
        case 3 | 4:
            return "".join(chance.choice('aä😀"\\/\n\x7f{}[],: ') for _ in range(chance.randrange(9)))
        case 5:
            return [_any_value(chance, depth + 1) for _ in range(chance.randrange(4))]
        case _:
            return {str(chance.randrange(99)): _any_value(chance, depth + 1) for _ in range(chance.randrange(4))}
