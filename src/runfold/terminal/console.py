"""Writing to a terminal or a pipe: colours for terminals only, recorded control characters never, JSON for machines."""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, NoReturn, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment

from runfold.terminal.text import CONTROLS, REPLACED

PLAIN_WIDTH = 100
"""Columns where there is no terminal to ask."""
_ENDLESS = 100_000

_ESCAPED = {code: f"\\u{code:04x}" for code in CONTROLS}
"""In JSON they only occur inside strings, where this says the same."""


class _Console(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Replace control characters in everything that is printed."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=segment.text.translate(REPLACED))

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the caller how to end when nobody reads any more."""
        raise BrokenPipeError


def console(stream: TextIO) -> Console:
    """A console on a stream: colours only for a terminal, and none at all under NO_COLOR."""
    plain = bool(os.environ.get("NO_COLOR"))
    columns = os.environ.get("COLUMNS", "")
    is_width = columns.isascii() and columns.isdigit() and int(columns) > 0
    environment = os.environ if is_width else {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    width = None if stream.isatty() or is_width else PLAIN_WIDTH
    return _Console(
        file=stream,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
        color_system=None if plain else "auto",
        no_color=plain,
        _environ=environment,
    )


def print_whole(out: Console, renderable: RenderableType) -> None:
    """Print a table or a tree. Where no terminal sets a width it is as wide as it needs to be, and nothing is cut."""
    endless = out.options.update(width=_ENDLESS, max_width=_ENDLESS)
    needed = 0 if out.is_terminal else Measurement.get(out, endless, renderable).maximum
    print_fitted(out, renderable, max(out.width, needed))


def print_fitted(out: Console, renderable: RenderableType, width: int | None = None) -> None:
    """Print what wraps at a width. Where there is no terminal, lines end without blanks."""
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
    """Print one JSON value on one line."""
    stream = stream or sys.stdout
    unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not unicode, separators=(",", ":"), default=str)
    stream.write(text.translate(_ESCAPED) + "\n")
    stream.flush()
