"""How things are written on pages: recorded text made harmless, moments, lengths, counts, costs."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from runfold.terminal.text import counted, duration

_PICTURES = {code: chr(0x2400 + code) for code in range(32) if code not in {9, 10}} | {0x7F: "\N{SYMBOL FOR DELETE}"}
_NAMED = re.compile(
    "[\x80-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters that nobody sees, or that turn round what stands beside them; and halves of pairs, which no page can hold."""


def shown(text: str) -> str:
    """Return text in which control characters and those that turn text round are visible marks.

    Lines and tabs stay. It stays text: a template writes it escaped, as all else.
    """
    return _NAMED.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n").translate(_PICTURES))


class Given(str):
    """A text as it was given: the value of a field, which is sent again and must stay the same, whatever is in it."""

    __slots__ = ()


def moment(time: datetime | None) -> str:
    """Return a time to the second, in UTC; empty where there is none."""
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def machine_time(time: datetime | None) -> str:
    """Return a time whole, as `datetime` of a `time` element has it."""
    return "" if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def count(number: float | None, noun: str = "") -> str:
    """Return a number with its thousands apart, and with its noun if one is given; empty where there is none."""
    if number is None:
        return ""
    return counted(int(number), noun) if noun else f"{number:,}"


def cost(amount: Decimal | float | Mapping[str, Any] | None, currency: str = "") -> str:
    """Return an amount with its currency; of several currencies each; empty where it is not known."""
    if amount is None:
        return ""
    if isinstance(amount, Mapping):
        return ", ".join(cost(value, name) for name, value in sorted(amount.items()))
    number = Decimal(str(amount))
    places = 2 if number == 0 or abs(number) >= 1 else 4
    return f"{number:,.{places}f} {currency}".rstrip()


def length(nanoseconds: int | None) -> str:
    """Return a duration in the units that fit it; empty where there is none."""
    return duration(nanoseconds)


def span(lasted: timedelta) -> str:
    """Return a length of time in the units that fit it."""
    return duration(lasted // timedelta(microseconds=1) * 1000)


def as_json(value: Any) -> str:
    """Return a value as JSON for people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def in_words(name: str) -> str:
    """Return a name of the ledger as words: `end_turn` as `end turn`."""
    return name.replace("_", " ")


FILTERS = {
    "given": Given,
    "shown": shown,
    "moment": moment,
    "machine_time": machine_time,
    "count": count,
    "size": len,
    "cost": cost,
    "length": length,
    "span": span,
    "as_json": as_json,
    "in_words": in_words,
}
