"""Options that many commands take, and how a function becomes a command."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Concatenate, Literal, ParamSpec

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.former_words import as_now, flags_of, former_options, formerly
from runfold.cli.calling.ids import kinds_of, whole_ids
from runfold.cli.calling.lists import ListOption, as_asked
from runfold.cli.calling.refusals import naming_options

P = ParamSpec("P")

EVERYWHERE = "Options of every command"

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="P|TIME|DAY",
        help="As of a position, or a time by the database's clock (2026-01-31T09:30:00Z); a day is included.",
    ),
]
HappenedAt = Annotated[
    str | None,
    typer.Option(
        "--happened-at",
        metavar="TIME|DAY",
        help="Without what happened later by the clock of its producer, such as an imported file; of one thread or run."
        " A day is included.",
    ),
]
_COMMENT = typer.Option("--comment", metavar="TEXT", help="Why, in your words; it is kept with what you do.")
Comment = Annotated[str | None, _COMMENT]
CommentOrReason = Annotated[str | None, _COMMENT, formerly("--reason")]
"""Of commands whose comment was their reason in the version before."""
ThreadId = Annotated[str, typer.Argument(metavar="THREAD", help="The thread's id, as `runfold threads` shows it.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `runfold runs` shows it.")]
Fold = Annotated[bool, typer.Option("--fold", help="Bring the read models up to date first, as `runfold work --once` does.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="How many at most, 1 to 1000; 100 if not given.")]
Cursor = Annotated[
    str | None,
    typer.Option(
        "--cursor", metavar="CURSOR", help="The next page: `next_cursor` of the page before, asked for in the same order."
    ),
]


def narrowing(flag: str, metavar: str, help: str) -> Any:
    """Return an option of which any of several values will do."""
    return typer.Option(flag, metavar=metavar, help=f"{help} May be repeated.", show_default=False)


Agents = Annotated[list[str] | None, narrowing("--agent", "AGENT", "Only events of this agent's runs.")]
Goals = Annotated[list[str] | None, narrowing("--goal", "GOAL", "Only events of runs towards this goal.")]
Users = Annotated[list[str] | None, narrowing("--user", "USER", "Only events of this user's runs.")]
OfThread = Annotated[str | None, typer.Option("--thread", metavar="THREAD", help="Only events of this thread.")]
OfRun = Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only events of this run and its approvals.")]
BodyFormat = Annotated[
    Literal["runfold", "cloudevents"],
    typer.Option("--format", help="How the body is written: in Runfold's own words, or as a CloudEvent."),
]
BodyContent = Annotated[
    Literal["thin", "whole"],
    typer.Option("--content", help="The body says which event it is and where to read it, or holds all of it."),
]

_SHARED: dict[str, tuple[Any, Any]] = {
    "json": (bool, typer.Option("--json", help="Answer in JSON: one object, or one a line.", rich_help_panel=EVERYWHERE)),
    "database_url": (
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            rich_help_panel=EVERYWHERE,
            help="PostgreSQL to use (RUNFOLD_DATABASE_URL); the embedded PostgreSQL if not given.",
        ),
    ),
    "home": (
        str | None,
        typer.Option(
            "--home", metavar="FOLDER", help="Folder of the embedded database (RUNFOLD_HOME).", rich_help_panel=EVERYWHERE
        ),
    ),
    "env_file": (
        str | None,
        typer.Option(
            "--env-file",
            metavar="FILE",
            rich_help_panel=EVERYWHERE,
            help="File with more settings (RUNFOLD_ENV_FILE). A .env file is read only if it is named here.",
        ),
    ),
    "zone": (
        str | None,
        typer.Option(
            "--zone",
            metavar="ZONE",
            rich_help_panel=EVERYWHERE,
            help="Time zone of days and times given without one (RUNFOLD_ZONE), such as Europe/Berlin; UTC if not given.",
        ),
    ),
    "unsafe_durability": (
        bool,
        typer.Option(
            "--unsafe-durability",
            rich_help_panel=EVERYWHERE,
            help="Run even where a crash would lose acknowledged events (RUNFOLD_UNSAFE_DURABILITY).",
        ),
    ),
    "verbose": (bool, typer.Option("--verbose", help="Show the trace of an error.", rich_help_panel=EVERYWHERE)),
}


SHARED_FLAGS = {name: kind is not bool for kind, option in _SHARED.values() for name in flags_of(option)}
"""The options that every command takes, and whether a value follows."""


def shared_parameters() -> list[inspect.Parameter]:
    """The options that every command takes, as parameters of a function."""
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False if kind is bool else None, annotation=Annotated[kind, option]
        )
        for name, (kind, option) in _SHARED.items()
    ]


_OF_FILES = {"FILE", "FILE|URL", "FOLDER", "PATH…"}
"""What stands for the name of a file or a folder, which may be of any bytes."""


def _require_text(parameters: Sequence[inspect.Parameter], given: Mapping[str, Any]) -> None:
    """Raises UsageError for a value that is not UTF-8, which no id, name or time can be."""
    for parameter in parameters:
        found = next((each for each in getattr(parameter.annotation, "__metadata__", ()) if hasattr(each, "metavar")), None)
        value = given.get(parameter.name)
        for text in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(text, str) and not text.isascii() and getattr(found, "metavar", None) not in _OF_FILES:
                _require_utf8(_name_of(parameter, found), text)


def _name_of(parameter: inspect.Parameter, declared: Any) -> str:
    """Return what a person writes before a value, or what stands for it in the help."""
    flags = [] if declared is None else flags_of(declared)
    return next((flag for flag in flags if flag.startswith("--")), None) or getattr(declared, "metavar", None) or parameter.name


def _require_utf8(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        from runfold.errors import UsageError

        raise UsageError(f"{name} {text!r} is not UTF-8; write it in UTF-8, or as much of an id as is enough") from None


def with_call(function: Callable[Concatenate[Call, P], None], of_list: Sequence[ListOption] = ()) -> Callable[..., None]:
    """Make a command of a function whose first parameter is the call, with the options of a list for its `**asked`."""
    own = inspect.signature(function, eval_str=True)
    parameters = [each for each in list(own.parameters.values())[1:] if each.kind is not inspect.Parameter.VAR_KEYWORD]
    arguments = [each for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    options = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    now = [*(each.declared for each in of_list), *parameters]
    former, defaults = former_options(now), {each.name: each.default for each in now}

    def run(ctx: typer.Context, **given: Any) -> None:
        _require_text(declared, given)
        call = _call_of(ctx, {name: given.pop(name) for name in _SHARED})
        with (
            naming_options(lambda: _given(ctx, declared), call.of_options),
            whole_ids(call, kinds, as_now(call, former, given, defaults)) as whole,
        ):
            function(call, **as_asked(call, of_list, whole))  # type: ignore[call-arg]  # typer gives what is declared below

    of_lists = [each.declared for each in of_list]
    declared = [context, *arguments, *of_lists, *options, *(each.declared for each in former), *shared_parameters()]
    kinds = kinds_of(declared)
    run.__signature__ = inspect.Signature(declared)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in declared}
    run.__doc__, run.__name__ = reflowed(function.__doc__ or ""), function.__name__
    return run


def _given(ctx: typer.Context, declared: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return those parameters that a call gives, and that do not stand as they are by themselves."""
    return [each for each in declared if (source := ctx.get_parameter_source(each.name)) and source.name == "COMMANDLINE"]


def _call_of(ctx: typer.Context, given: dict[str, Any]) -> Call:
    """The call, from the options before the command's name (`ctx.obj`) and those after it, which win."""
    asked: dict[str, Any] = {}
    for said in (ctx.obj or {}, given):
        asked.update({name: value for name, value in said.items() if value})
    return Call(json=asked.pop("json", False), verbose=asked.pop("verbose", False), overrides=asked)


def reflowed(text: str) -> str:
    """Each paragraph on one line, so that the terminal alone decides where lines end."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
