"""What people type or paste into a field: numbers and times as the pages themselves show them.

A number may have its thousands apart, and a time without a zone is one in UTC, as all times on pages are.
"""

import re
from datetime import datetime

from runfold.domain.times import parse_day

_APART = re.compile(r"[0-9]{1,3}(,[0-9]{3})+")


def as_number(text: str) -> str:
    """Return a number as HTTP takes it; what is none stays as it is."""
    said = text.strip()
    return said.replace(",", "") if _APART.fullmatch(said) else said


def as_time(text: str) -> str:
    """Return a time as HTTP takes it, with its zone; a day, and what is no time, stay as they are."""
    said = text.strip()
    try:
        parse_day(said)
    except ValueError:
        return f"{said}Z" if _is_without_zone(said) else said
    return said


def as_moment(text: str) -> str:
    """Return a position or a time as HTTP takes it; what is neither stays as it is."""
    said = as_number(text)
    return said if said.isdecimal() else as_time(said)


def _is_without_zone(text: str) -> bool:
    if "W" in text:  # a week, which Python takes for its Monday
        return False
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False
