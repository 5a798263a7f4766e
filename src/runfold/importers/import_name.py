"""The name of an import, by which what it brought is told from what others did."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runfold.domain.values import Label
from runfold.errors import UsageError

MOST_OF_A_PLACE = 200
"""Characters of a place that a name holds, its last ones."""
_STANDARD_INPUT = "-"
_LABEL: TypeAdapter[str] = TypeAdapter(Label)


def name_of_import(format: str, paths: Iterable[str | Path]) -> str:
    """The format and where the files lie, as in `tau2:~/runs/retail`; of several paths, the folder that holds all of them."""
    given = [os.path.realpath(path) for path in paths if str(path) != _STANDARD_INPUT]
    return f"{format}:{_place(given) if given else _STANDARD_INPUT}"


def _place(paths: Sequence[str]) -> str:
    place = Path(os.path.commonpath(paths))
    with contextlib.suppress(RuntimeError, ValueError):  # nobody's home, or not in it
        place = "~" / place.relative_to(Path.home())
    text = os.fsencode(place).decode(errors="replace")
    return text if len(text) <= MOST_OF_A_PLACE else f"…{text[1 - MOST_OF_A_PLACE :]}"


def checked_name(name: str) -> str:
    """The name that somebody gives an import. Raises UsageError for text that can be none."""
    try:
        return _LABEL.validate_python(name)
    except ValidationError as error:
        raise UsageError(f"{name[:60]!r} cannot name an import: {error.errors()[0]['msg']}; give 1 to 500 characters") from None
