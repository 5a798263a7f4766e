"""JSON text ↔ values, refusing what other parsers would silently change."""

import json
from collections import Counter
from typing import Any

from pydantic_core import from_json

from runfold.domain.values import MAX_DEPTH, require_json
from runfold.errors import InvalidEvent, shortened

_UNSURE = object()
_ENDS_OF_KEYS = (b'":', b" :", b"\t:", b"\n:", b"\r:")
"""How a key ends, with its colon; inside of strings they may stand too."""


def parse_json(raw: str | bytes, path: str = "") -> Any:
    """Text from outside → JSON values, refusing what other parsers would silently change.

    Raises InvalidEvent for broken JSON, two equal keys in an object, NaN, infinities and nesting past 64.
    """
    value = _quickly(raw)
    if value is _UNSURE:
        value = _strictly(raw, path)
    require_json(value, path)
    return value


def _quickly(raw: str | bytes) -> Any:
    """What a fast parser reads, where no object can have a key twice: it keeps the last of them, so that the value would have
    fewer keys than the text has colons after keys.
    """
    try:
        data = raw if isinstance(raw, bytes) else raw.encode()
        value = from_json(data, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        return _UNSURE
    keys = _keys(value)
    if data.count(b":") == keys:
        return value
    ends = 0
    for end in _ENDS_OF_KEYS:  # one by one, for no other thread runs while one is counted
        ends += data.count(end)
    return value if ends == keys else _UNSURE


def _keys(value: Any) -> int:
    """How many keys all objects in it have together."""
    found, left = 0, [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            found += len(part)
            part = part.values()
        elif not isinstance(part, list):
            continue
        left += [member for member in part if type(member) in {dict, list}]
    return found


def _strictly(raw: str | bytes, path: str) -> Any:
    """What a parser reads that looks at every key and constant."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise InvalidEvent(path, f"has the key {shortened(_repeated(pairs))!r} twice in one object; keep one")
        return found

    def no_constant(name: str) -> Any:
        raise InvalidEvent(path, f"holds {name}, which JSON does not have; send null or a string")

    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=object_of, parse_constant=no_constant)
    except UnicodeDecodeError as error:
        raise InvalidEvent(path, f"is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise InvalidEvent(path, f"is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise InvalidEvent(path, f"is not JSON: {error}") from None


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    """The first key that comes again."""
    counts = Counter(key for key, _ in pairs)
    return next(key for key, _ in pairs if counts[key] > 1)


def json_text(value: Any, path: str = "") -> str:
    """JSON values → compact text, keys in their order. Raises InvalidEvent for what is not JSON."""
    require_json(value, path)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def canonical(fields: dict[str, Any]) -> str:
    """One text for fields with equal JSON values, whatever the order of keys. Raises InvalidEvent for what is not JSON."""
    for name, value in fields.items():
        require_json(value, name)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
