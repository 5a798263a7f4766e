"""Who uses the command line: named with --as, set by RUNFOLD_ACTOR, remembered, or asked on a terminal."""

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.former_words import formerly

if TYPE_CHECKING:
    from runfold.domain.values import Actor

FILE = "identity"

As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="KIND:ID",
        help="Who you are, such as human:ada; remembered when first given. Without it, RUNFOLD_ACTOR, or you are asked.",
    ),
    formerly("--actor"),
]

_WHO = typer.Option(
    "--as",
    metavar="KIND:ID",
    help="Who you are, for this call, such as human:ada. Without it, RUNFOLD_ACTOR, the remembered person, or you are asked.",
)
Who = Annotated[str | None, _WHO]
WhoOrActor = Annotated[str | None, _WHO, formerly("--actor")]
"""Of commands whose `--as` was `--actor` in the version before."""


def person(call: Call, said: str | None) -> str:
    """The person a command acts for, as `kind:id`. Raises UsageError where it is not known and nobody can be asked."""
    if (known := _known(call, said)) is not None:
        if said is not None and known.startswith("human:") and _remembered(call.settings().home) is None:
            _remember(call, call.settings().home, known)
        return known
    if not _can_ask(call):
        from runfold.errors import UsageError

        place = call.settings().home / FILE
        raise UsageError(f"who you are is not known; pass --as human:NAME (remembered in {place}), or set RUNFOLD_ACTOR")
    return _ask(call)


def actor_for(call: Call, said: str | None) -> str:
    """The actor of a command that programs use too: the person if known or asked, else RUNFOLD_ACTOR."""
    if (known := _known(call, said)) is not None:
        return known
    return _ask(call) if _can_ask(call) else call.settings().actor


def checked_person(option: str, said: str) -> str:
    """Check an option that names a person. Raises UsageError."""
    from runfold.errors import InvalidEvent, UsageError

    try:
        actor = _actor(said)
    except InvalidEvent as error:
        raise UsageError(f"{option}: {error.reason}; write human:NAME") from None
    if actor.kind != "human":
        raise UsageError(f"{option} takes a person, not {actor}; write human:NAME (`keys create` creates keys for other actors)")
    return str(actor)


def login() -> str | None:
    """The person who is logged in, as `human:name`; None where the system does not tell."""
    try:
        return f"human:{getpass.getuser()}"
    except (OSError, KeyError, ImportError):
        return None


def _known(call: Call, said: str | None) -> str | None:
    settings = call.settings()
    if said is not None:
        return str(_actor(said))
    return settings.actor if "actor" in settings.model_fields_set else _remembered(settings.home)


def _can_ask(call: Call) -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and call.err.is_terminal


def _ask(call: Call) -> str:
    try:
        name = typer.prompt("Who are you? A name, or kind:id", default=login(), err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    actor = _actor(name if ":" in name else f"human:{name}")
    if actor.kind == "human":
        _remember(call, call.settings().home, str(actor))
    return str(actor)


def _actor(text: str) -> "Actor":
    """Parse `kind:id`. Raises InvalidEvent."""
    from runfold.domain.typed_actor import typed_actor

    return typed_actor(text)


def _remembered(home: Path) -> str | None:
    from runfold.errors import InvalidEvent, UsageError
    from runfold.file_errors import why

    place = home / FILE
    try:
        return str(_actor(place.read_text("utf-8").strip()))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, InvalidEvent) as error:
        raise UsageError(
            f"{place} is not readable as an identity ({why(error)}); write human:NAME into it, or remove it"
        ) from None


def _remember(call: Call, home: Path, name: str) -> None:
    from runfold.durable_files import write_whole

    place = home / FILE
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        write_whole(place, f"{name}\n".encode(), mode=0o644)
    except OSError as error:
        call.note(f"You are {name} for this call only: {place} cannot be written ({error.strerror}).")
    else:
        call.note(f"You are {name} from now on (stored in {place}); use --as to be somebody else for one call.")
