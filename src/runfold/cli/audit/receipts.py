"""`runfold verify-receipt`: whether the log still says what a client was told when it appended."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.calling.call import Call
from runfold.cli.operate.database import DAMAGE, MOST_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runfold.proofs.receipt import ToldEvent
    from runfold.queries.sealed.told_events import ReceiptVerification, ToldEventView


def verify_receipt(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The receipt as it was kept; - for standard input.")],
) -> None:
    """Verify a receipt that was kept: whether its events stand in the log as they were told; exit 5 if one does not.

    A receipt is what `receipt.as_json()` returned, or what the server answered to a command with `Runfold-Receipt: full`. Each
    event is compared by its place and its digests, with the log and with what was sealed: it is as told, or differs, and in
    which fields, or is gone. What is not sealed yet is said. `runfold evidence --receipt FILE` makes a bundle that shows the
    same to others.
    """
    from runfold.evidence.sealing.signing import known_publics
    from runfold.proofs.receipt import as_json

    told = told_in(file)
    with call.ledger() as ledger:
        found = ledger.verify_receipt(as_json(told))
        publics = known_publics(ledger.settings.seal_key_file)
    unsigned = _unsigned(found, publics)
    if call.json:
        signed = {"signature_verified": publics is not None and found.checkpoint is not None, "not_signed": unsigned}
        call.answer({**found.model_dump(mode="json"), **signed, "ok": found.ok and unsigned is None})
    else:
        for line in _lines(found):
            call.out.print(line, soft_wrap=True, highlight=False, markup=False)
        _print_verdict(call, found)
        if unsigned is not None:
            call.out.print(f"NOT SIGNED: {unsigned}", style="bold red", soft_wrap=True, highlight=False)
        elif publics is None and found.checkpoint is not None:
            call.note("the checkpoint's signature was not verified: the keys are not on this machine")
    if not found.ok or unsigned is not None:
        raise typer.Exit(DAMAGE)


def _unsigned(found: "ReceiptVerification", publics: "Sequence[bytes] | None") -> str | None:
    """Return why the checkpoint is none that somebody who signs here has signed; None where it is, or that is not known."""
    from runfold.evidence.sealing.signing import not_signed

    return None if found.checkpoint is None or publics is None else not_signed(found.checkpoint.checkpoint, publics)


def told_in(file: Path) -> "tuple[ToldEvent, ...]":
    """Read a receipt that was kept. Raises UsageError."""
    from runfold.errors import UsageError
    from runfold.file_errors import at_home, what_helps, why
    from runfold.proofs.receipt import MOST_BYTES, ReceiptUnreadable, read_receipt

    try:
        if str(file) == "-":
            return read_receipt(sys.stdin.buffer.read(MOST_BYTES + 1))
        with at_home(file).open("rb") as opened:
            return read_receipt(opened.read(MOST_BYTES + 1))
    except ReceiptUnreadable as error:
        raise UsageError(f"{file} is no receipt: {error}; give what `receipt.as_json()` returned, as JSON") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({why(error)}); {what_helps(error, 'name a file with a receipt')}") from None


def _lines(found: "ReceiptVerification") -> "Iterator[str]":
    wrong = [each for each in found.events if each.verdict != "as_told"]
    right = [each for each in found.events if each.verdict == "as_told"]
    shown = [*wrong, *right][:MOST_SHOWN]
    for each in shown:
        yield f"{_verdict(each):<9}{each.type}, version {each.version} of {each.stream}, at position {each.position}{_more(each)}"
    if len(found.events) > len(shown):
        yield f"… and {len(found.events) - len(shown)} more"


def _verdict(each: "ToldEventView") -> str:
    return {"as_told": "as told", "differs": "DIFFERS", "gone": "GONE"}[each.verdict]


def _more(each: "ToldEventView") -> str:
    if each.verdict == "gone" and each.inclusion is None and not each.differs:
        return "; nothing is sealed of it here"
    differs = f": {', '.join(each.differs)} not as told" if each.differs else ""
    if each.inclusion is not None:
        return f"{differs}; sealed as told, event {each.inclusion.seq} of the tree"
    return differs if any(name.startswith("sealed") for name in each.differs) else f"{differs}; not sealed yet"


def _print_verdict(call: Call, found: "ReceiptVerification") -> None:
    from runfold.terminal.text import counted

    if waiting := found.unsealed - sum(each.verdict == "gone" and each.inclusion is None for each in found.events):
        call.note(f"{counted(waiting, 'event')} not sealed yet; `runfold seal now` seals what is there")
    bad = sum(each.verdict != "as_told" for each in found.events)
    said = (
        f"{counted(bad, 'event')} of {len(found.events)} not as told" if bad else f"{counted(len(found.events), 'event')} as told"
    )
    under = ""
    if found.checkpoint is not None and found.unsealed < len(found.events):
        under = f", under the checkpoint of {counted(found.checkpoint.size, 'event')} of {found.checkpoint.origin}"
    call.out.print(f"{said}{under}", style="bold red" if bad else "bold green", soft_wrap=True, highlight=False)
