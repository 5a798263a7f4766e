"""How the command line speaks: tables and text for people, JSON for machines; data on stdout, all else on stderr."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 100
"""Columns where there is no terminal to ask."""
_ENDLESS = 100_000

# What could move the cursor, ring, hide or turn text round on a reader's terminal: recorded text is anybody's text.
_CONTROLS = [
    *range(9),
    *range(11, 32),
    *range(0x7F, 0xA0),
    0x061C,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
]
_UNSHOWN = dict.fromkeys(_CONTROLS, "\N{REPLACEMENT CHARACTER}")
_ESCAPED = {code: f"\\u{code:04x}" for code in _CONTROLS}
"""In JSON they only occur inside strings, where this says the same."""


class _Console(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Whatever is printed, by whichever command: no text of it is a command to the terminal."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=segment.text.translate(_UNSHOWN))

    def on_broken_pipe(self) -> NoReturn:
        """Nobody reads any more; `main` ends quietly."""
        raise BrokenPipeError


def console(stream: TextIO) -> Console:
    """A console on a stream: colours only for a terminal, and none at all under NO_COLOR."""
    plain = bool(os.environ.get("NO_COLOR"))
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else PLAIN_WIDTH
    return _Console(
        file=stream,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
        color_system=None if plain else "auto",
        no_color=plain,
    )


def shown(text: str, style: str = "") -> Text:
    """Recorded text as it may go to a terminal: without control characters."""
    return Text(text.translate(_UNSHOWN), style=style)


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def one_line(text: str, limit: int = 200) -> str:
    """Text on one line, cut where it is long."""
    flat = " ".join(text[: limit * 4].split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], wraps: str = "") -> Table:
    """A table whose cells stay whole, but for the column that `wraps` names."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for name in columns:
        fits = name == wraps
        made.add_column(
            name, no_wrap=not fits, overflow="fold" if fits else "ellipsis", justify="right" if name.startswith("#") else "left"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else shown("" if cell is None else str(cell)) for cell in row))
    for column in made.columns:
        column.header = str(column.header).removeprefix("#")
    return made


def print_whole(out: Console, renderable: RenderableType) -> None:
    """Print a table or a tree. Where no terminal sets a width it is as wide as it needs to be, and nothing is cut."""
    endless = out.options.update(width=_ENDLESS, max_width=_ENDLESS)
    needed = 0 if out.is_terminal else Measurement.get(out, endless, renderable).maximum
    print_fitted(out, renderable, max(out.width, needed))


def print_fitted(out: Console, renderable: RenderableType, width: int | None = None) -> None:
    """Print what wraps at a width. Where there is no terminal, no blanks trail."""
    if out.is_terminal:
        out.print(renderable, width=width)
        return
    usual, out.width = out.width, width or out.width
    with out.capture() as captured:
        out.print(renderable)
    out.width = usual
    out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    out.file.flush()


def print_json(value: Any, stream: TextIO | None = None) -> None:
    """One JSON value on one line."""
    stream = stream or sys.stdout
    unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not unicode, separators=(",", ":"), default=str)
    stream.write(text.translate(_ESCAPED) + "\n")
    stream.flush()
