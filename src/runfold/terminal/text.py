"""Recorded text on a terminal: made harmless, cut where it is long, counted, and times and durations for people."""

from datetime import datetime

from rich.text import Text

# These could move the cursor, ring, hide text or turn it round on a reader's terminal, and recorded text is anybody's text.
CONTROLS = [
    *range(9),
    *range(11, 32),
    *range(0x7F, 0xA0),
    0x061C,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
]
REPLACED = dict.fromkeys(CONTROLS, "\N{REPLACEMENT CHARACTER}")
"""A table for `str.translate` that replaces control characters."""

_MINUTES_FROM = 120


def shown(text: str, style: str = "") -> Text:
    """Text without control characters, in a style."""
    return Text(text.translate(REPLACED), style=style)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 run`, `2 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def one_line(text: str, limit: int = 200) -> str:
    """Text on one line, cut where it is longer than the limit."""
    flat = " ".join(text[: limit * 4].split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"


def to_the_minute(time: datetime | None) -> str:
    """A UTC time as `2026-01-31 09:30`; empty where there is none."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def duration(nanoseconds: int | None) -> str:
    """A duration in the units that fit it: `999 ms`, `1.5 s`, `2 m 00 s`, `1 h 00 m`; empty where there is none."""
    if nanoseconds is None:
        return ""
    seconds = nanoseconds / 10**9
    if seconds < 1:
        return f"{nanoseconds / 10**6:.0f} ms"
    if seconds < _MINUTES_FROM:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} m" if minutes >= 60 else f"{minutes} m {seconds:02} s"


def seconds(number: float | None) -> str:
    """A number of seconds as `1.5 s`; empty where there is none."""
    return "" if number is None else f"{number:,.1f} s"


def left_out(threads: int) -> str:
    """What to say of threads that an answer leaves out because others stand for them; empty where there are none."""
    return f"{counted(threads, 'superseded thread')} left out; --superseded counts them in" if threads else ""
