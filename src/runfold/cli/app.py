"""The Typer app: every command of the table, with the options that all of them take."""

import inspect
from typing import Any

import typer

from runfold.cli.commands import COMMANDS, GROUPS
from runfold.cli.options import reflowed, shared_parameters, with_call

_STYLE: dict[str, Any] = {
    "no_args_is_help": True,
    "rich_markup_mode": "rich",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

app = typer.Typer(name="runfold", add_completion=False, pretty_exceptions_enable=False, **_STYLE)


def _before_the_command(ctx: typer.Context, **given: Any) -> None:
    """The ledger of record for AI-agent runs.

    Every lifecycle change, message, tool call, decision and approval is an event in one append-only PostgreSQL log.
    Start with `runfold demo`.
    """
    ctx.obj = given


def _register() -> None:
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    signature = inspect.Signature([context, *shared_parameters()])
    _before_the_command.__signature__ = signature  # type: ignore[attr-defined]
    _before_the_command.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    app.callback(help=reflowed(_before_the_command.__doc__ or ""))(_before_the_command)
    groups = {name: typer.Typer(help=reflowed(text), **_STYLE) for name, (_, text) in GROUPS.items()}
    for name, group in groups.items():
        app.add_typer(group, name=name, rich_help_panel=GROUPS[name][0])
    for name, panel, function, examples in COMMANDS:
        epilog = "\n".join(["Examples:", *(f"  {example}" for example in examples)]).replace("[", "\\[")
        first, _, second = name.partition(" ")
        if second:
            groups[first].command(second, epilog=epilog)(with_call(function))
        else:
            app.command(name, rich_help_panel=panel, epilog=epilog)(with_call(function))


_register()
