"""Parts of many streams, as those of the runs of a path: how many are asked for with one question, and the question."""

from collections import deque
from functools import cache
from typing import NamedTuple

from runfold.store.codec import COLUMNS
from runfold.store.queries import filled, named_queries
from runfold.store.reading.filter import PAGE_BYTES

FEW = 100
"""So many events of each part are asked for together with others; what is longer is read on by itself."""
_QUERY = named_queries("runfold.store.reading", "stream_parts.sql")["parts of streams"]


class StreamPart(NamedTuple):
    """Some of a stream: after one of its versions and up to another, as far as it was at a position."""

    stream: str
    after_version: int
    up_to_version: int
    up_to: int


def together(left: deque[StreamPart], most: int) -> list[StreamPart]:
    """Take from the left as many parts as have at most so many events to give at once, or one."""
    asked = [left.popleft()]
    room = most - _at_once(asked[0])
    while left and (room := room - _at_once(left[0])) >= 0:
        asked.append(left.popleft())
    return asked


def _at_once(part: StreamPart) -> int:
    return min(FEW, part.up_to_version - part.after_version)


@cache
def parts_query(*, of_types: bool) -> str:
    """Return the query for parts of streams, of all types or of some."""
    types = "AND log.topic LIKE ANY(%b)" if of_types else ""
    return filled(_QUERY, columns=COLUMNS, of_types=types, most_bytes=str(PAGE_BYTES))
