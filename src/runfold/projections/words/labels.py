"""What the index of words is narrowed by: labels, which stand beside the words and which no word is like.

Where something stands in the log is a label too: a word that is in half of all events is looked for in a part of them.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

LONGEST = 100
SMALL, LARGE = 10, 14
"""In bits: a part of the log is 1,024 positions, and sixteen of these together are a part, too."""
MOST_DAYS = 100
_AT_ONCE = 1 << (LARGE - SMALL)


def label(kind: str, value: object) -> str:
    """A label: of what kind, and which. Long ones are told apart by a digest: PostgreSQL takes 2,046 bytes."""
    text = str(value)
    if len(text) > LONGEST:
        text = hashlib.sha256(text.encode()).hexdigest()
    return f"{kind}={text}"


def day_labels(first: datetime, last: datetime) -> list[str]:
    """The labels of the UTC days from one moment to another; none where these are more than an index is well asked for."""
    start, end = first.astimezone(UTC).date(), last.astimezone(UTC).date()
    days = (end - start).days + 1
    return [day_label(start + timedelta(days=number)) for number in range(days)] if days <= MOST_DAYS else []


@lru_cache(maxsize=1024)
def day_label(day: date) -> str:
    """The label of a UTC day."""
    return label("d", day)


def place_labels(tenant_id: str, position: int) -> tuple[str, str]:
    """The parts of the log that a position is in."""
    number = position >> SMALL
    return _part_labels(tenant_id, number, number // _AT_ONCE)


@lru_cache(maxsize=1024)
def _part_labels(tenant_id: str, small: int, large: int) -> tuple[str, str]:
    """The labels of a small part and of the large one that it is in: the same for all that stand there."""
    return label("s", f"{small}@{tenant_id}"), label("l", f"{large}@{tenant_id}")


def parts_between(tenant_id: str, first: int, last: int) -> Iterable[str]:
    """The labels of as few parts of the log as hold all positions from one to another."""
    number, end = first >> SMALL, last >> SMALL
    while number <= end:
        if number % _AT_ONCE == 0 and number + _AT_ONCE - 1 <= end:
            yield label("l", f"{number // _AT_ONCE}@{tenant_id}")
            number += _AT_ONCE
        else:
            yield label("s", f"{number}@{tenant_id}")
            number += 1
