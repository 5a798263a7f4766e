"""One call of the command line: which ledger it is about, how it answers, and the options that every command takes."""

import contextlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from runfold.ledger import Ledger
    from runfold.queries.reading import Reading
    from runfold.settings import Settings

P = ParamSpec("P")

PATIENCE_SECONDS = 0.4
EVERYWHERE = "On every command"


@dataclass(frozen=True)
class Call:
    """What the person at the command line asked for, beside the command's own words."""

    json: bool = False
    verbose: bool = False
    overrides: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def out(self) -> "Console":
        """Where data goes."""
        from runfold.cli.terminal import console

        return console(sys.stdout)

    @cached_property
    def err(self) -> "Console":
        """Where progress, notes and errors go."""
        from runfold.cli.terminal import console

        return console(sys.stderr)

    def settings(self, **more: Any) -> "Settings":
        """Flag > environment > `--env-file` > default. Raises UsageError for a value that is none."""
        from pydantic import ValidationError

        from runfold.errors import UsageError
        from runfold.settings import Settings

        try:
            return Settings(**self.overrides, **more)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = f"RUNFOLD_{'_'.join(str(part) for part in first['loc'])}".upper()
            raise UsageError(f"{name}: {first['msg']}; give it another value, or unset it", setting=name) from None

    @contextlib.contextmanager
    def ledger(self, **more: Any) -> Iterator["Ledger"]:
        """The ledger, open."""
        from runfold.ledger import Ledger

        settings = self.settings(**more)
        if "structlog" in sys.modules:  # it takes a sixth of our start-up, and only who logs has loaded it
            from runfold import logs

            logs.configure(settings.log_level)
        with self.busy("Opening the ledger"):
            ledger = Ledger.open(settings=settings)
        with ledger:
            yield ledger

    @contextlib.contextmanager
    def busy(self, doing: str) -> Iterator[Callable[[str], None]]:
        """Say on a terminal what is waited for, once that takes longer than a moment. Gives a function that is told more."""
        if not self.err.is_terminal:
            yield lambda _: None
            return
        from rich.markup import escape

        status = self.err.status(f"{doing} …")
        later = threading.Timer(PATIENCE_SECONDS, status.start)
        later.start()
        try:
            yield lambda more: status.update(f"{doing} … {escape(more)}")
        finally:
            later.cancel()
            later.join()
            status.stop()

    def answer(self, value: Any) -> None:
        """Print the answer for a machine."""
        from runfold.cli.terminal import print_json

        print_json(value)

    def note(self, text: str) -> None:
        """Tell a person something beside the data."""
        if not self.json:
            self.err.print(text, style="dim", soft_wrap=True)


_SHARED: dict[str, tuple[Any, Any]] = {
    "json": (bool, typer.Option("--json", help="Answer in JSON: one object, or one a line.", rich_help_panel=EVERYWHERE)),
    "database_url": (
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            rich_help_panel=EVERYWHERE,
            help="PostgreSQL to use (RUNFOLD_DATABASE_URL); without one, the embedded PostgreSQL.",
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
            help="File with more settings (RUNFOLD_ENV_FILE); no .env is read unless it is named here.",
        ),
    ),
    "unsafe_durability": (
        bool,
        typer.Option(
            "--unsafe-durability",
            rich_help_panel=EVERYWHERE,
            help="Work even where a crash would lose acknowledged events (RUNFOLD_UNSAFE_DURABILITY).",
        ),
    ),
    "verbose": (bool, typer.Option("--verbose", help="Add the trace to an error.", rich_help_panel=EVERYWHERE)),
}


def shared_parameters() -> list[inspect.Parameter]:
    """The options that every command takes, as parameters of a function."""
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False if kind is bool else None, annotation=Annotated[kind, option]
        )
        for name, (kind, option) in _SHARED.items()
    ]


def call_of(ctx: typer.Context, given: dict[str, Any]) -> Call:
    """What was asked before the command's name (`ctx.obj`) or after it, which wins."""
    asked: dict[str, Any] = {}
    for said in (ctx.obj or {}, given):
        asked.update({name: value for name, value in said.items() if value})
    return Call(json=asked.pop("json", False), verbose=asked.pop("verbose", False), overrides=asked)


def with_call(function: Callable[Concatenate[Call, P], None]) -> Callable[..., None]:
    """Make a command of a function whose first parameter is the call."""
    own = inspect.signature(function, eval_str=True)
    parameters = list(own.parameters.values())[1:]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

    def run(ctx: typer.Context, **given: Any) -> None:
        shared = {name: given.pop(name) for name in _SHARED}
        function(call_of(ctx, shared), **given)  # type: ignore[call-arg]  # typer gives what the signature below asks for

    signature = own.replace(parameters=[context, *parameters, *shared_parameters()])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    run.__doc__, run.__name__ = reflowed(function.__doc__ or ""), function.__name__
    return run


def reflowed(text: str) -> str:
    """Each paragraph on one line, so that the terminal alone decides where lines end."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def pinned(ledger: "Ledger", at: str | None) -> "Reading":
    """The ledger at a position or a time, or as it stands now; either way at one position, which `up_to` names."""
    from runfold.queries.reading import parse_moment

    return ledger.now.at(ledger.position() if at is None else parse_moment(at))
