"""`runfold witness …`: signs the checkpoints of logs that somebody else keeps, if they have only grown."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    from runfold.evidence.publishing.witness import Witness

HELP = "Be a witness: sign checkpoints of logs that have only grown. Needs no database."
_Folder = Annotated[
    Path, typer.Option("--folder", metavar="FOLDER", help="Where the key is, and the last checkpoint of each log.")
]
_Name = Annotated[str, typer.Option("--name", metavar="NAME", help="The name it signs under, as witness.example.com/one.")]
_Policy = Annotated[Path, typer.Option("--policy", metavar="FILE", help="A policy with the keys of the logs that it signs for.")]


def key(call: Call, name: _Name, folder: _Folder = Path("witness")) -> None:
    """Show the public key of a witness, for the policy of those who verify. It is made on first use, one for each folder."""
    from runfold.evidence.publishing.witness import Witness
    from runfold.file_errors import at_home

    witness = Witness(at_home(folder), name, [])
    if call.json:
        call.answer({"key": str(witness.key), "made": witness.is_new, "file": str(witness.key_file)})
        return
    call.out.print(str(witness.key), soft_wrap=True, highlight=False)
    if not _told_of_new_key(call, witness):
        call.note(f"the key was in {witness.key_file} before; for a witness of its own, give another --folder")


def _told_of_new_key(call: Call, witness: "Witness") -> bool:
    """Tell of a key that was made now, as one is where a folder was mistaken; return whether one was."""
    if witness.is_new:
        call.note(f"a new key was made in {witness.key_file}; keep a copy of it, and give it to those who verify")
    return witness.is_new


def serve(
    call: Call,
    name: _Name,
    policy: _Policy,
    folder: _Folder = Path("witness"),
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = "127.0.0.1:8799",
) -> None:
    """Serve as a witness until Ctrl-C: POST /add-checkpoint, as C2SP's tlog-witness.

    It signs a checkpoint if a log of the policy has signed it and it proves that the log has only grown since the last one that
    was signed here. Put a server with TLS before it. `runfold evidence --witness URL` asks it.
    """
    from contextlib import suppress

    from runfold.errors import UsageError
    from runfold.evidence.publishing.witness import server
    from runfold.file_errors import why

    witness = _witness(name, policy, folder)
    _told_of_new_key(call, witness)
    host, _, port = listen.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) < 6):
        raise UsageError(f"--listen: {listen!r} is no HOST:PORT, such as 127.0.0.1:8799")
    try:
        serving = server(witness, host, int(port))
    except (OSError, OverflowError, ValueError) as error:
        raise UsageError(f"--listen: {listen!r} cannot be listened at ({why(error)}); take another HOST:PORT") from None
    call.note(f"{witness.key}\nlistening at http://{host}:{serving.server_address[1]}; Ctrl-C ends it")
    with suppress(KeyboardInterrupt), serving:
        serving.serve_forever()


def sign(
    call: Call,
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST", help="A file with an add-checkpoint request, or - for standard input.")
    ],
    name: _Name,
    policy: _Policy,
    folder: _Folder = Path("witness"),
) -> None:
    """Sign one checkpoint that was handed over as a file; exit 1 if it is not to be signed."""
    from runfold.errors import UsageError
    from runfold.evidence.publishing.witness import MOST_BYTES
    from runfold.file_errors import at_home

    try:
        if str(request) == "-":
            raw = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with at_home(request).open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{request} cannot be read ({error.strerror})") from None
    witness = _witness(name, policy, folder)
    _told_of_new_key(call, witness)
    answer = witness.add_checkpoint(raw[:MOST_BYTES])
    if call.json:
        call.answer(answer._asdict())
    elif answer.status == 200:
        call.out.print(answer.text, soft_wrap=True, highlight=False, end="")
    else:
        call.note(f"not signed ({answer.status}): {answer.text.strip()}")
    if answer.status != 200:
        raise typer.Exit(1)


def _witness(name: str, policy: Path, folder: Path) -> "Witness":
    from runfold.errors import UsageError
    from runfold.evidence.publishing.witness import Witness
    from runfold.file_errors import at_home
    from runfold.proofs.policy import PolicyRefused, read_policy

    try:
        logs = read_policy(at_home(policy).read_text(encoding="utf-8-sig")).logs
    except (OSError, ValueError) as error:
        what = error if isinstance(error, PolicyRefused) else type(error).__name__
        raise UsageError(f"--policy: {policy} cannot be read ({what})") from None
    return Witness(at_home(folder), name, logs)
