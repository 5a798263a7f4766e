"""JSON from outside, so that all of it can be kept: what an event cannot hold stands there in another form."""

import codecs
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from runfold.domain.values import INT_LIMIT, MAX_DEPTH
from runfold.errors import InvalidEvent, shortened
from runfold.importers.cleaning import decoded

_UNKEPT = re.compile("[\0\ud800-\udfff]")
_BLANKS = re.compile(r"[ \t\r\n]*")
_DEEPEST = MAX_DEPTH - 8
"""Below an event's own fields."""


def decoded_text(raw: bytes, told: Callable[[str], None]) -> str:
    """Bytes as text, without a byte order mark. What is not UTF-8 is told, and stands escaped as JSON has it."""
    text, is_utf8 = decoded(raw.removeprefix(codecs.BOM_UTF8))
    if not is_utf8:
        told("is not UTF-8 throughout; what is not stands escaped")
    return text


def loads(text: str, told: Callable[[str], None]) -> Any:
    """JSON with NaN and infinities as text. A key that comes twice in one object is told, and its last value is taken.

    Raises InvalidEvent.
    """
    (value,) = [*documents(text, told, most=1)] or [None]
    return value


def documents(text: str, told: Callable[[str], None], most: int | None = None) -> Iterator[Any]:
    """One JSON text after another, as `loads` reads each. Raises InvalidEvent at the first that is none, or beyond `most`."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            again = next(key for key, _ in pairs if counts[key] > 1)
            told(f"has the key {shortened(again)!r} twice in one object; the last value is taken")
        return found

    decoder = json.JSONDecoder(object_pairs_hook=object_of, parse_constant=str)
    at, number = _after_blanks(text, 0), 0
    while at < len(text) or (number == 0 and most is not None):
        number += 1
        try:
            if most is not None and number > most:
                raise json.JSONDecodeError("Extra data", text, at)
            value, at = decoder.raw_decode(text, at)
        except RecursionError:
            raise InvalidEvent("", "is nested too deeply") from None
        except ValueError as error:
            raise InvalidEvent("", f"is not JSON: {error}") from None
        yield value
        at = _after_blanks(text, at)


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def kept_text(text: str, most: int | None = None) -> str:
    """Text that an event can hold: NUL and lone surrogates stand escaped. A label is cut after `most` characters."""
    if _UNKEPT.search(text):
        text = _UNKEPT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text[:most]


def kept(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911  one for each type of JSON
    """JSON that an event can hold: as it is, but for texts as in `kept_text`, and numbers and depths beyond ours as text."""
    match value:
        case str():
            return kept_text(value)
        case bool() | None:
            return value
        case int():
            return value if -INT_LIMIT <= value < 2 * INT_LIMIT else str(value)
        case float():
            return value if value - value == 0 else str(value)
        case dict() | list() if depth == _DEEPEST:
            return kept_text(json.dumps(value, ensure_ascii=False))
        case dict():
            return {kept_text(str(key)): kept(member, depth + 1) for key, member in value.items()}
        case list() | tuple():
            return [kept(member, depth + 1) for member in value]
        case _:
            return kept_text(str(value))
