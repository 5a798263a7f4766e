"""Options under the words that they had before: they are understood in this version, and shown nowhere."""

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin

import typer

if TYPE_CHECKING:
    from runfold.cli.calling.call import Call


class Formerly(NamedTuple):
    """Stands beside a `typer.Option` in its `Annotated`: other words for the same option."""

    flags: tuple[str, ...]


class FormerOption(NamedTuple):
    """A hidden option, and the one that it is now."""

    declared: inspect.Parameter
    name: str
    """The parameter of the option that it is now."""
    former: str
    flag: str


def formerly(*flags: str) -> Formerly:
    """Words that an option had before."""
    return Formerly(flags)


def former_options(parameters: Iterable[inspect.Parameter]) -> list[FormerOption]:
    """A hidden option for each option that was called otherwise."""
    return [found for parameter in parameters if (found := _former(parameter)) is not None]


def _former(parameter: inspect.Parameter) -> FormerOption | None:
    if get_origin(parameter.annotation) is not Annotated:
        return None
    kind, *told = get_args(parameter.annotation)
    words = next((each for each in told if isinstance(each, Formerly)), None)
    if words is None:
        return None
    option = next(each for each in told if isinstance(each, typer.models.OptionInfo))
    declared = inspect.Parameter(
        f"former_{parameter.name}",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, typer.Option(*words.flags, hidden=True, metavar=option.metavar)],
    )
    return FormerOption(declared, parameter.name, words.flags[0], flags_of(option)[0])


def flags_of(option: Any) -> list[str]:
    """The words of an option, as Typer keeps them; none of an argument."""
    said = (option.default, *(option.param_decls or ()))
    return [each for each in said if isinstance(each, str) and each.startswith("-")]


def as_now(
    call: "Call", options: Iterable[FormerOption], given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """What was given, under the names of now. Raises UsageError where an option is given under both of its words."""
    from runfold.errors import UsageError

    found = dict(given)
    for option in options:
        value = found.pop(option.declared.name)
        if value is None or value == []:
            continue
        if found[option.name] not in (None, [], defaults.get(option.name)):
            raise UsageError(
                f"{option.former} and {option.flag} are the same option; give {option.flag} alone", option=option.flag
            )
        call.note(f"{option.former} is {option.flag} now; the next version no longer takes {option.former}")
        found[option.name] = value
    return found
