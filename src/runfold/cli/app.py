"""The Typer app: every command of the table, with the options that all commands take, and those of lists."""

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from runfold.cli.calling.lists import list_options, page_options
from runfold.cli.calling.options import SHARED_FLAGS, reflowed, shared_parameters, with_call
from runfold.cli.commands import COMMANDS, GROUPS, Command
from runfold.cli.reading.read_models import list_of

_STYLE: dict[str, Any] = {
    "no_args_is_help": True,
    "rich_markup_mode": "rich",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class Commands(TyperGroup):
    """The commands of the table, and a plain one for each list that has none there."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name; None where there is none."""
        return super().get_command(ctx, cmd_name) or plain_list(cmd_name)


def _before_the_command(ctx: typer.Context, **given: Any) -> None:
    """The ledger of record for AI-agent runs.

    Every lifecycle change, message, tool call, decision and approval is an event in one append-only PostgreSQL log.
    Start with `runfold demo`.
    """
    del given["version"]  # who asked for it is not here any more
    ctx.obj = given


def _show_version(is_asked: bool) -> None:
    """Print the version and end, as most programs do; `runfold version` tells of the libraries as well."""
    if is_asked:
        from importlib import metadata

        typer.echo(f"runfold {metadata.version('runfold')}")
        raise typer.Exit


class ListCommand(TyperCommand):
    """The command of a list. It loads the description of its options when they are needed, so that others start fast."""

    @cached_property
    def whole(self) -> Any:
        """The command with the options of its description."""
        called = getattr(self.callback, "__name__", "")
        (command,) = (each for each in COMMANDS if _described(each) and each.function.__name__ == called)
        panel = "What a sample is drawn from" if command.narrowed_by else None
        return _with_list_options(command.name, command.function, _described(command), self.epilog, panel)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters."""
        return list(self.whole.get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Carry the command out."""
        return self.whole.invoke(ctx)


def _described(command: Command) -> str:
    """The question whose description has options of a command; empty where none has."""
    return command.question or command.narrowed_by or ""


def _with_list_options(
    name: str, function: Callable[..., None], question: str, epilog: str | None = None, panel: str | None = None
) -> Any:
    alone = typer.Typer(add_completion=False, **_STYLE)
    alone.command(name, epilog=epilog)(with_call(function, [*list_options(question, panel), *page_options(question)]))
    return typer.main.get_command(alone)


def plain_list(name: str) -> Any:
    """The command of a list by its name in the table of routes, such as `tool-calls`; None where there is no such list."""
    from runfold.api.table import QUESTIONS

    public = f"{name.replace('-', '_')}.list"
    question = next((route.method.__name__ for route in QUESTIONS if route.name == public and not route.path_names), None)
    return None if question is None else _with_list_options(name, list_of(question), question)


def program(given: Sequence[str] = ()) -> Any:
    """Return the command line for a call, of which only the command that it names is made; all of them where it names none."""
    first = _first_word(given)
    named = [command for command in COMMANDS if command.name.split()[0] == first]
    return typer.main.get_command(_app(named or COMMANDS))


def _first_word(given: Sequence[str]) -> str | None:
    """Return what stands first after the options that every command takes; None where that is an option of another kind."""
    words = iter(given)
    for word in words:
        if not word.startswith("-"):
            return word
        if (flag := word.partition("=")[0]) not in SHARED_FLAGS:
            return None
        if SHARED_FLAGS[flag] and flag == word:
            next(words, None)
    return None


def _app(commands: Sequence[Command]) -> typer.Typer:
    app = typer.Typer(name="runfold", cls=Commands, add_completion=False, pretty_exceptions_enable=False, **_STYLE)
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    option = typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    version = inspect.Parameter("version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option])
    signature = inspect.Signature([context, *shared_parameters(), version])
    _before_the_command.__signature__ = signature  # type: ignore[attr-defined]
    _before_the_command.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    app.callback(help=reflowed(_before_the_command.__doc__ or ""))(_before_the_command)
    wanted = {command.name.partition(" ")[0] for command in commands}
    groups = {name: typer.Typer(help=reflowed(text), **_STYLE) for name, (_, text) in GROUPS.items() if name in wanted}
    for name, group in groups.items():
        app.add_typer(group, name=name, rich_help_panel=GROUPS[name][0])
    for command in commands:
        first, _, second = command.name.partition(" ")
        _add(groups[first] if second else app, second or first, command, None if second else command.panel)
    return app


def _add(place: typer.Typer, name: str, command: Command, panel: str | None) -> None:
    epilog = "\n".join(["Examples:", *(f"  {example}" for example in command.examples)]).replace("[", "\\[")
    kind = ListCommand if _described(command) else None
    place.command(name, cls=kind, rich_help_panel=panel, epilog=epilog)(with_call(command.function, command.options))
