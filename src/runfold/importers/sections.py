"""Files in which several sessions stand one after the other, as `cat` and `zcat` leave them: each is a part of its file."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import orjson

from runfold.errors import InvalidEvent
from runfold.importers.files import Part, SourceFile, TextFile
from runfold.importers.sources import BLANKS, raw_lines

Found = Literal["begins", "waits", "goes on"]
"""What a line is: the first of another session than the lines before it; the next session's, if one begins right after it; or
the same session's."""
Watch = Callable[[bytes], Found]
"""Told the lines of one file, one after the other."""


def object_of(raw: bytes) -> dict[str, Any]:
    """Return the object on a line, for a look at it; none is empty, and what is wrong with it is told when it is read."""
    try:
        found = orjson.loads(raw.strip(BLANKS))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def sections(file: SourceFile, watch: Callable[[], Watch]) -> list[SourceFile]:
    """Return the parts of a file that are a session each; the file itself where it holds no more than one."""
    parts = file.looked_at("sections", lambda: _parts(file, watch()))
    return [replace(file, part=part) for part in parts] or [file]


def _parts(file: SourceFile, watch: Watch) -> list[Part]:
    """The lines of each session; nothing where there is no more than one."""
    begun = list[tuple[int, int]]()
    skipped: int | None = None
    with contextlib.suppress(InvalidEvent, OSError):  # told when it is read
        begun.extend(_begun(file, watch))  # what was found until then stays
        skipped = file.bytes_before_text()
    if not begun:
        return []
    text = _text_of(file) if skipped is None else None
    starts, (last, beginning) = [(1, 0), *begun[:-1]], begun[-1]
    parts = [Part(line, at, end, skipped, text) for (line, at), (_, end) in zip(starts, begun, strict=True)]
    return [*parts, Part(last, beginning, None, skipped)]  # the last one tells where the file itself breaks off


def _text_of(file: SourceFile) -> TextFile | None:
    """The text of a file as a file of its own; None where there is no room for it."""
    with contextlib.suppress(OSError):
        held = tempfile.NamedTemporaryFile(prefix="runfold-import-")  # noqa: SIM115  closed once nobody holds it
        with contextlib.suppress(InvalidEvent):
            held.writelines(file.chunks())
        held.flush()
        return TextFile(held.name, held)
    return None


def _begun(file: SourceFile, watch: Watch) -> Iterator[tuple[int, int]]:
    """The lines with which further sessions begin, and how many bytes of text stand before each."""
    waiting, at = None, 0
    for number, (raw, _) in enumerate(raw_lines(file), 1):
        here = watch(raw)
        if here == "begins":
            yield waiting or (number, at)
        if here == "waits":
            waiting = waiting or (number, at)
        elif raw.strip():
            waiting = None
        at += len(raw) + 1
