"""What a command refuses, in the words of the command line: an option by its flag, not by its argument in Python."""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import get_args

from typer.models import OptionInfo

from runfold.cli.calling.former_words import flags_of
from runfold.errors import InvalidEvent, LedgerError

_NAMED = re.compile("(?P<name>[a-z_]+)(?= takes | is |: )|unknown (?P<word>[a-z]+_[a-z_]+)(?= ')")
"""The argument that a refusal begins with, as in `limit takes a whole number` and `unknown order_by 'size'`."""
_PREFIX = "RUNFOLD_"


def _flags(parameters: Iterable[inspect.Parameter]) -> Mapping[str, str]:
    """Return the flag of each option, by what its argument is called in Python: as the parameter, or as the flag."""
    found: dict[str, str] = {}
    for parameter in parameters:
        for said in get_args(parameter.annotation)[1:]:
            if isinstance(said, OptionInfo) and (flags := flags_of(said)):
                found |= {parameter.name: flags[0], flags[0].strip("-").replace("-", "_"): flags[0]}
    return found


@contextmanager
def naming_options(given: Callable[[], Iterable[inspect.Parameter]], settings: Collection[str] = ()) -> Iterator[None]:
    """Let what is refused within name options by their flags.

    `given` returns those that were given: of others no value is refused, and what has the same name is something else, such as
    a column. `settings` are those that options give: another option may be called as a setting is.
    """
    try:
        yield
    except LedgerError as error:
        said, flags = str(error), _flags(given())
        if (found := _NAMED.match(said)) and (flag := flags.get(found[found.lastgroup or 0])):
            error.args = (f"{said[: found.start(found.lastgroup or 0)]}{flag}{said[found.end() :]}",)
        elif isinstance(error, InvalidEvent) and (flag := _flag_of(error.path, flags)):
            error.args = (f"{flag}: {error.reason}",)
        elif (name := str(error.facts.get("setting", "")).removeprefix(_PREFIX).lower()) in settings:
            from runfold.refused_settings import NEXT_STEP, UNSET

            fact, semicolon, step = said.replace(f"{_PREFIX}{name.upper()}", f"--{name.replace('_', '-')}", 1).rpartition("; ")
            step = step.replace(NEXT_STEP, f"give a valid value, or {UNSET}").replace(UNSET, "leave it out")
            error.args = (f"{fact}{semicolon}{step}",)
        raise


def _flag_of(path: str, flags: Mapping[str, str]) -> str | None:
    """Return the flag of a field that cannot be recorded, such as `scopes.0`: an option that is repeated gives one each time."""
    field = path.partition(".")[0]
    return flags.get(field) or flags.get(field.removesuffix("s"))
