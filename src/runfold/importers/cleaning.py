"""JSON text of a source → values that the ledger can keep. What cannot be kept to the letter stands escaped in its place.

A record is not lost because of a character in it. What was changed is told by kind, so that it can be noted.
"""

import json
import re
from typing import Any

import orjson

from runfold.domain.values import INT_LIMIT, MAX_DEPTH, json_fault
from runfold.errors import InvalidEvent

ESCAPED = "characters that no text can hold (NUL, lone surrogates, bytes that are not UTF-8), kept escaped"
AS_TEXT = "numbers that JSON cannot hold exactly (beyond 64 bits, NaN, infinities), kept as text"
TWICE = "objects that have a key twice, of which the last is taken and the others are kept as “key (1)”"
FLATTENED = f"values nested more than {MAX_DEPTH} deep, of which the inner part is kept as text"

MOST_DIGITS = 20
"""An integer with more, its sign among them, is beyond 64 bits."""

_UNDECODED = re.compile("[\udc80-\udcff]")
"""What a byte that is not UTF-8 becomes under `surrogateescape`."""
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_parser = json.JSONDecoder(strict=False, parse_int=len)  # finds faults; any number will do
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)


def decoded(raw: bytes) -> tuple[str, bool]:
    """Bytes → text, and whether all of it was UTF-8. A byte that is not stands as `\\xNN`, escaped for JSON."""
    try:
        return raw.decode(), True
    except UnicodeDecodeError:
        text = raw.decode(errors="surrogateescape")
        return _UNDECODED.sub(lambda byte: f"\\\\x{ord(byte[0]) - 0xDC00:02x}", text), False


def cleaned(text: str, path: str = "") -> tuple[Any, frozenset[str]]:
    """JSON text → values that can be kept, and the kinds of what was changed for that. Raises InvalidEvent if it is none."""
    try:
        raw = text.encode()
        value = orjson.loads(raw)
    except ValueError:
        return changed(text, path)
    return (value, frozenset()) if is_exact(value, raw) else changed(text, path)


def is_exact(value: Any, raw: bytes) -> bool:
    """Return whether what a fast parser read can be kept, and is written as it stood there: then nothing was lost."""
    if b"\\u0000" in raw:
        return False
    try:
        same = orjson.dumps(value) == raw
    except TypeError:
        return False
    may_be_deep = raw.count(b"{") + raw.count(b"[") > MAX_DEPTH
    return same and not (may_be_deep and _is_deep(value))


def changed(text: str, path: str = "") -> tuple[Any, frozenset[str]]:
    """Return the same of JSON that a fast parser would read otherwise than it stands there. Raises InvalidEvent."""
    cleaner = _Cleaner()
    try:
        value = cleaner.decode(text)
        if _is_deep(value):
            value = cleaner.decode(cleaner.flattened(text))
    except RecursionError:
        value = cleaner.decode(cleaner.flattened(text))
    except ValueError as error:
        raise InvalidEvent(path, f"is not JSON: {error}") from None
    if json_fault(value) is not None:
        value = cleaner.clean(value)
    return value, frozenset(cleaner.changes)


def end_of_brackets(text: str, at: int) -> int | None:
    """Return where the object or array ends that begins here, however deep it is; None where it does not end."""
    depth = 0
    for token in _TOKEN.finditer(text, at):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth <= 0:
            return token.end()
    return None


def breaks_off(text: str, at: int) -> bool:
    """Return whether what begins here is an object or array that ends too early, as it does in a file that is still written."""
    if text[at : at + 1] not in {"{", "["}:
        return False
    try:
        _parser.raw_decode(text, at)
    except json.JSONDecodeError as error:
        return error.msg.startswith("Unterminated string") or end_of_brackets(text, at) is None
    except RecursionError:
        return end_of_brackets(text, at) is None
    return False


def _is_deep(value: Any, left: int = MAX_DEPTH) -> bool:
    """Return whether a value is nested deeper than what is kept."""
    if isinstance(value, dict):
        return left == 0 or any(_is_deep(member, left - 1) for member in value.values() if isinstance(member, dict | list))
    if isinstance(value, list):
        return left == 0 or any(_is_deep(member, left - 1) for member in value if isinstance(member, dict | list))
    return False


class _Cleaner:
    """Parses what a fast parser would read otherwise than it stands there, and notes what it changes."""

    def __init__(self) -> None:
        self.changes: set[str] = set()
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._as_text, parse_int=self._integer, strict=False
        )

    def decode(self, text: str) -> Any:
        """JSON text → values."""
        return self._decoder.decode(text)

    def clean(self, value: Any) -> Any:
        """Escape what no text can hold."""
        match value:
            case str() if _NOT_TEXT.search(value):
                self.changes.add(ESCAPED)
                return _NOT_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
            case dict():
                return {self.clean(key): self.clean(member) for key, member in value.items()}
            case list():
                return [self.clean(member) for member in value]
            case float() if value - value != 0:
                return self._as_text(str(value))
            case _:
                return value

    def flattened(self, text: str) -> str:
        """JSON text whose innermost parts, from the depth on that is not kept, are strings."""
        found, depth, at, begun = list[str](), 0, 0, 0
        for token in _TOKEN.finditer(text):
            bracket = token[0]
            if bracket in "[{":
                depth += 1
                if depth == MAX_DEPTH + 1:
                    found.append(text[at : token.start()])
                    begun = token.start()
            elif bracket in "]}":
                if depth == MAX_DEPTH + 1:
                    at = token.end()
                    found.append(json.dumps(text[begun:at], ensure_ascii=False))
                depth -= 1
        if depth > MAX_DEPTH:
            raise InvalidEvent("", "is not JSON: it breaks off inside of its brackets")
        self.changes.add(FLATTENED)
        return "".join([*found, text[at:]])

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self.changes.add(TWICE)
        found, before = {}, dict[str, int]()
        for key, value in pairs:
            if key in found:
                before[key] = before.get(key, 0) + 1
                found[f"{key} ({before[key]})"] = found.pop(key)
            found[key] = value
        return found

    def _integer(self, digits: str) -> int | str:
        if len(digits) <= MOST_DIGITS and -INT_LIMIT <= (number := int(digits)) < 2 * INT_LIMIT:
            return number
        return self._as_text(digits)

    def _as_text(self, number: str) -> str:
        self.changes.add(AS_TEXT)
        return number
