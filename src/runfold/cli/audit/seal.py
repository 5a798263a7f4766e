"""`runfold verify` and `runfold seal …`: whether the log is as it was sealed, and the keys that checkpoints are signed with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.operate.database import DAMAGE, first_findings

if TYPE_CHECKING:
    from runfold.evidence.sealer import Sealer
    from runfold.evidence.verifying.verify import LedgerVerification
    from runfold.ledger import Ledger

_MOST_AGAINST = 64 * 1024 * 1024
"""As many characters of a file are read as those of a hundred thousand tenants have."""
HELP = "Seal the log, and look after the keys that its checkpoints are signed with."


def verify(
    call: Call,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="FILE", help="A checkpoint that was handed over before (may be repeated)."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read every event again, from the first.")] = False,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="NAME+HASH+KEY", help="A public key of who signs; else those of this machine."),
    ] = None,
) -> None:
    """Verify the log against what was sealed of it; exit 5 if it was changed.

    Each event is compared with its leaf, the leaves with the tree, and the tree with the checkpoints: those of the database,
    those that were published, and those that you give. What was altered, lost, put in, reordered, cut off, rolled back or
    forked is named. It goes on after what was verified here before; --full reads all, and makes the map of threads anew. It
    writes nothing to the database, and a role that only reads is enough. What is not sealed yet is not covered: `runfold seal
    now` seals it.
    """
    import time

    from runfold.evidence.verifying.checkpoints import Kept
    from runfold.evidence.verifying.verify import LedgerVerification
    from runfold.terminal.progress import progress_bar

    kept = [Kept(text, str(file)) for file in against or () for text in _texts(file)]
    keys = [line for text in key or () for line in text.splitlines() if line.strip()]
    began = time.monotonic()
    with call.ledger() as ledger, progress_bar(call.err, "Verifying", "events") as told:
        verification = LedgerVerification(ledger, full, kept, keys, lambda done, total: told(done, total, ""))
        found, count = first_findings(verification.findings())
        lost = [each.as_json() for each in ledger.lineage() if (each.lost_position or 0) > each.from_position]
    read = verification.read
    assert read is not None, "it was read"  # noqa: S101
    seconds = time.monotonic() - began
    facts: dict[str, Any] = {
        "ok": not count,
        "as_of": read.position,
        "after": read.first_position,
        "events": read.events,
        "checkpoints": read.checkpoints,
        "signatures_verified": verification.knows_keys,
        "unsealed_events": read.unsealed,
        "unreachable": verification.unreachable,
        "after_losses": read.after_losses(),
        "lost": lost,
        "seconds": round(seconds, 3),
        "events_a_second": round(read.events / seconds),
        "trees": {each.origin: {"size": each.size, "root": each.root.hex()} for each in read.verified.values()},
    }
    if call.json:
        call.answer({**facts, "damages": count, "findings": [finding.as_json() for finding in found]})
    else:
        from runfold.terminal.checks import print_findings

        print_findings(call.out, found, more=count - len(found))
        _print(call, verification, facts, count)
    if count:
        raise typer.Exit(DAMAGE)


def _texts(file: Path) -> list[str]:
    """Read the checkpoints in a file: one, or those of several tenants, as `runfold seal now` shows them. Raises UsageError."""
    from runfold.errors import UsageError
    from runfold.file_errors import at_home, why
    from runfold.proofs.note import NoteRefused, notes_in, read_note

    try:
        with at_home(file).open(encoding="utf-8-sig") as opened:
            texts = notes_in(opened.read(_MOST_AGAINST + 1))
    except (OSError, ValueError) as error:
        raise UsageError(f"--against: {file} cannot be read ({why(error)}); name a file with a checkpoint") from None
    try:
        for text in texts:
            read_note(text).checkpoint()
    except NoteRefused as error:
        raise UsageError(f"--against: {file} is no checkpoint ({error}); name a file that holds one") from None
    return texts


def _print(call: Call, verification: "LedgerVerification", facts: dict[str, Any], count: int) -> None:
    from runfold.terminal.text import counted

    for reason in verification.unreachable:
        call.note(f"not compared: {reason}")
    if not verification.knows_keys:
        call.note("no signature was verified: the keys are not on this machine, and --key names none")
    for origin in facts["after_losses"]:
        step = "`runfold events --type security.loss_accepted` tells by whom, and why"
        call.note(f"{origin} was begun after events were lost, which somebody accepted; {step}")
    for each in facts["lost"]:
        began = f"history {each['epoch']} began ({each['reason']})"
        first, last = each["from_position"] + 1, each["lost_position"]
        which = f"positions {first} to {last} were" if first < last else f"position {first} was"
        seen = f"{which} seen before {began}, and gone then"
        call.note(f"{seen}; `--against` a checkpoint of before tells whether they were sealed")
    if facts["unsealed_events"]:
        call.note(f"{counted(facts['unsealed_events'], 'event')} not sealed yet; `runfold seal now` seals them")
    held = f"{counted(facts['checkpoints'], 'checkpoint')}, as of position {facts['as_of']}"
    since = f" after position {facts['after']}" if facts["after"] else ""
    said = f"{counted(count, 'difference')}" if count else "nothing was changed"
    call.out.print(
        f"{said} in {counted(facts['events'], 'event')}{since}, against {held}"
        f" ({facts['seconds']:.1f} s, {facts['events_a_second']:,} events/s)",
        style="bold red" if count else "bold green",
        soft_wrap=True,
    )


def now(call: Call) -> None:
    """Seal all events that are there, publish the checkpoint, and show it.

    `runfold work` and `runfold serve` do so by themselves every few seconds (RUNFOLD_SEAL_EVERY). It exits 1 where a place
    that is named for it could not be given the checkpoint.
    """
    from runfold.errors import LedgerError
    from runfold.terminal.text import counted

    with call.ledger() as ledger:
        sealer = _sealer(ledger)
        count = sealer.seal_all()
        trees = _trees(ledger)
    if call.json:
        call.answer({"sealed": count, "trees": trees})
    else:
        call.note(f"sealed {counted(count, 'event')}")
        for tree in trees:
            call.out.print(tree["checkpoint"], soft_wrap=True, highlight=False, end="")
    if sealer.unpublished:
        why = "; ".join(sealer.unpublished.values())
        raise LedgerError(f"sealed, and not published everywhere: {why}; see that it can be written, and seal again")


def keys(
    call: Call,
    policy: Annotated[
        bool, typer.Option("--as-policy", help="As a policy for runfold-verify, to which whoever verifies adds their witnesses.")
    ] = False,
) -> None:
    """Show the public keys of who signs here, for the policy of those who verify: one for each tenant and key."""
    from runfold.errors import SealingRefused
    from runfold.evidence.sealing.signing import read_signer

    with call.ledger() as ledger:
        trees = _trees(ledger)
        if not trees:
            raise SealingRefused(
                "nothing has been sealed yet, and a key has the name of a log", "seal it with `runfold seal now`"
            )
        signer = read_signer(ledger.settings.seal_key_file, may_make=False)
        found = [{"tenant_id": tree["tenant_id"], "keys": signer.verifier_keys(tree["origin"])} for tree in trees]
    if call.json:
        call.answer({"items": found})
        return
    for each in found:
        for text in each["keys"]:
            call.out.print(f"log {text}" if policy else text, soft_wrap=True, highlight=False)
    if policy:
        call.out.print("quorum none")


def rotate(
    call: Call,
    lost: Annotated[
        bool, typer.Option("--lost", help="The old keys are lost or stolen: from now on the new one signs alone.")
    ] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Everybody knows the new key: let the old ones sign no more.")] = False,
) -> None:
    """Make a new signing key. It and the old ones sign together until you give --finish.

    Name the new key (`runfold seal keys`) to those who verify while both sign. With --lost the new key signs alone at once, and
    those who verify take checkpoints of the old key up to the size that you tell them, and no longer ones.
    """
    from runfold.errors import UsageError
    from runfold.evidence.sealing.signing import add_key, keep_newest

    if lost and finish:
        raise UsageError("--lost and --finish exclude each other")
    settings = call.settings()
    file = settings.seal_key_file
    if finish:
        count = keep_newest(file)
        call.answer({"removed": count, "file": str(file)}) if call.json else call.note(f"{count} old keys sign no more")
        return
    add_key(file, only=lost)
    call.answer({"file": str(file)}) if call.json else call.note(
        f"{file} has a new key on its first line; start workers that seal anew, and name it (`runfold seal keys`) to who verifies"
    )


def accept_loss(
    call: Call,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why, in your words; it is kept with the new tree.")],
    also_changed: Annotated[
        bool,
        typer.Option(
            "--also-changed", help="Accept, too, that events which are left are not as they were sealed; each is named."
        ),
    ] = False,
) -> None:
    """Go on sealing after events were lost, as by restoring a backup: under another name, which those who verify have to learn.

    The new tree names the last checkpoint of the one before. Whoever holds that can still show what was lost. It is recorded as
    the event security.loss_accepted, of each tenant that lost events. Where what is left is not as it was sealed, it is refused:
    put that right from a backup, or accept it as well with --also-changed.
    """
    from runfold.errors import UsageError
    from runfold.evidence.losses import accept_losses, record_loss

    if not comment.strip():
        raise UsageError("--comment is empty; say why events were lost, for those who verify")
    with call.ledger() as ledger:
        sealer = _sealer(ledger)
        with sealer.datastore.reading() as connection:
            losses = accept_losses(
                connection,
                sealer.places,
                comment,
                lambda loss: record_loss(ledger, loss, comment),
                also_changed=also_changed,
            )
        sealer.seal_all()
    if call.json:
        call.answer({"losses": [loss._asdict() for loss in losses]})
        return
    for loss in losses:
        call.out.print(f"{loss.tenant_id} goes on as {loss.origin}: {loss.fact}", soft_wrap=True, highlight=False)
    if not losses:
        call.note("nothing that was published is missing here")


def _sealer(ledger: "Ledger") -> "Sealer":
    from runfold.evidence.sealer import Sealer

    return Sealer(ledger)


def _trees(ledger: "Ledger") -> list[dict[str, Any]]:
    from runfold.evidence.sealing.comparing import stored_trees

    with ledger.recorder.store.reading() as connection:
        found = stored_trees(connection)
    return [
        {
            "tenant_id": tree.tenant_id,
            "origin": tree.origin,
            "size": tree.size,
            "checkpoint": f"{tree.note or ''}{tree.cosignatures}",
        }
        for tree in found
    ]
