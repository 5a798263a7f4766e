"""The events in a text: a JSON array, one event a line, or a captured stream of server-sent events. It is read as it comes."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from runfold.agui.rules import Broken

MOST_CHARACTERS = 10 * 1024 * 1024
"""Of a frame, as AG-UI's own client has it."""
_FIELD = re.compile(r"(data|event|id|retry)(:|$)|:")
_MARK = re.compile(r'[\[\]{}",\\]')
_DEPTHS = {"[": 1, "{": 1, "]": -1, "}": -1}


def events_in(chunks: Iterable[str], *, is_stream: bool = False) -> Iterator[Any]:
    """Yield the events of a text, which comes in chunks. `is_stream` where it is known to be server-sent events.

    Raises Broken at the first that is none: then as many events came before it.
    """
    start, rest = _begin(iter(chunks))
    kind = start.lstrip()[:1]
    together = _joined(start, rest)
    if is_stream or (kind and kind not in "[{"):
        yield from map(_parsed, _frames(together))
    elif kind == "[":
        yield from map(_parsed, _elements(together))
    else:
        yield from _by_line(_lines(together))


def _by_line(lines: Iterator[str]) -> Iterator[Any]:
    """Yield one event a line; or the one object that a text is, over several lines."""
    is_first = True
    for line in lines:
        if not line.strip():
            continue
        try:
            event = _parsed(line)
        except Broken:
            if not is_first or (whole := _only_object(line, lines)) is None:
                raise
            yield whole
            return
        yield event
        is_first = False


def _only_object(first: str, rest: Iterator[str]) -> dict[str, Any] | None:
    text = [first]
    size = len(first)
    for line in rest:
        text.append(line)
        size += len(line) + 1
        if size > MOST_CHARACTERS:
            return None
    try:
        found = _parsed("\n".join(text))
    except Broken:
        return None
    return found if isinstance(found, dict) else None


def _begin(chunks: Iterator[str]) -> tuple[str, Iterator[str]]:
    start = ""
    for chunk in chunks:
        start += chunk
        if start.lstrip("\ufeff \t\r\n"):
            break
    return start.removeprefix("\ufeff"), chunks


def _joined(start: str, rest: Iterator[str]) -> Iterator[str]:
    yield start
    yield from rest


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise Broken("json", "it is nested too deeply") from None
    except ValueError as error:
        raise Broken("json", f"it is not: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _lines(chunks: Iterator[str]) -> Iterator[str]:
    """Yield lines, with a CR at their end where they have one."""
    parts: list[str] = []
    size = 0
    for chunk in chunks:
        first, *others = chunk.split("\n")
        parts.append(first)
        size += len(first)
        for other in others:
            yield "".join(parts)
            parts, size = [other], len(other)
        if size > MOST_CHARACTERS:
            raise Broken("frame-size", f"it has more than {MOST_CHARACTERS:,} characters")
    if parts and any(parts):
        yield "".join(parts)


def _frames(chunks: Iterator[str]) -> Iterator[str]:
    data: list[str] = []
    size = 0
    for line in _lines(chunks):
        if line.endswith("\r"):
            raise Broken("sse-lines", "a line ends in CRLF")
        if not line:
            if data:
                yield "\n".join(data)
            data, size = [], 0
            continue
        if _FIELD.match(line) is None:
            raise Broken("sse-fields", f"a line begins with {line[:20]!r}")
        size += len(line) + 1
        if size > MOST_CHARACTERS:
            raise Broken("frame-size", f"it has more than {MOST_CHARACTERS:,} characters")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
    if data:
        yield "\n".join(data)


def _elements(chunks: Iterator[str]) -> Iterator[str]:
    """Yield the texts of an array's elements."""
    array = _Array()
    for chunk in chunks:
        yield from array.take(chunk)
    array.end()


class _Array:
    """The text of an array, piece by piece."""

    def __init__(self) -> None:
        self._depth = self._size = 0
        self._in_string = self._is_escaped = self._has_ended = self._has_comma = False
        self._parts: list[str] = []

    def take(self, chunk: str) -> Iterator[str]:
        """Yield the texts of the elements that are whole with this piece."""
        begun, at = 0, 1 if self._is_escaped else 0
        self._is_escaped = False
        while (found := _MARK.search(chunk, at)) is not None:
            mark, at = found[0], found.end()
            if self._in_string:
                if mark == "\\":
                    self._is_escaped = at >= len(chunk)
                    at += 1
                elif mark == '"':
                    self._in_string = False
                continue
            self._in_string = mark == '"'
            self._depth += _DEPTHS.get(mark, 0)
            if mark == "[" and self._depth == 1:
                begun = at
            elif (mark == "," and self._depth == 1) or (mark == "]" and self._depth == 0):
                text, begun = self._whole(chunk[begun : found.start()]), at
                self._has_ended = mark == "]"
                if text.strip() or self._has_comma or mark == ",":
                    yield text
                self._has_comma = self._has_comma or mark == ","
        self._keep(chunk[begun:])

    def end(self) -> None:
        """There is no more. Raises Broken where the array is not whole."""
        rest = "".join(self._parts).strip()
        if not self._has_ended:
            raise Broken("json", "the array breaks off in an event" if rest else "the array does not end")
        if rest:
            raise Broken("json", f"after the array stands {rest[:20]!r}")

    def _whole(self, last: str) -> str:
        text = "".join([*self._parts, last])
        self._parts, self._size = [], 0
        return text

    def _keep(self, part: str) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > MOST_CHARACTERS:
            raise Broken("frame-size", f"it has more than {MOST_CHARACTERS:,} characters")
