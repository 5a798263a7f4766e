"""JSON from outside, so that all of it can be kept: what an event cannot hold stands there in another form."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from runfold.domain.values import INT_LIMIT, MAX_DEPTH
from runfold.errors import InvalidEvent, shortened
from runfold.settings import MIB

MOST_TEXT_BYTES = 2 * MIB
"""What a longer text becomes is a line that says so."""
_UNKEPT = re.compile("[\0\ud800-\udfff]")
_DEEPEST = MAX_DEPTH - 8
"""Below an event's own fields."""


def loads(text: str | bytes, told: Callable[[str], None]) -> Any:
    """JSON with NaN and infinities as text. A key that comes twice in one object is told, and its last value is taken.

    Raises InvalidEvent.
    """

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            again = next(key for key, _ in pairs if counts[key] > 1)
            told(f"has the key {shortened(again)!r} twice in one object; the last value is taken")
        return found

    try:
        return json.loads(text, object_pairs_hook=object_of, parse_constant=str)
    except RecursionError:
        raise InvalidEvent("", "is nested too deeply") from None
    except ValueError as error:
        raise InvalidEvent("", f"is not JSON: {error}") from None


def kept_text(text: str, most: int = MOST_TEXT_BYTES) -> str:
    """Text that an event can hold: NUL and lone surrogates stand escaped, and what is too long is named with size and digest."""
    if _UNKEPT.search(text):
        text = _UNKEPT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if len(text) * 4 > most and len(raw := text.encode()) > most:
        return f"[{len(raw):,} bytes left out, sha256:{hashlib.sha256(raw).hexdigest()}]"
    return text


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
