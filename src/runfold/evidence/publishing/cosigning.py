"""Asks witnesses for their signatures under a checkpoint."""

import base64
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from runfold.domain.web_address import read_safe_url
from runfold.errors import SealingRefused, UsageError
from runfold.evidence.publishing.asking import NoAnswer, post
from runfold.proofs.note import NoteRefused, read_note

_SECONDS = 4.0
_MOST_BYTES = 64 * 1024
MOST_LINES, _MOST_CHARACTERS = 4, 4096
"""Of one witness, which may be changing its key; so that a note has room for all of them."""
Consistency = Callable[[int, int], list[bytes]]
"""The proof that a log of one size is the beginning of that of another. Raises LookupError where it never had that size."""


def cosigned(note: str, addresses: Sequence[str], consistency: Consistency) -> str:
    """Return a note with the signatures of witnesses. Raises SealingRefused where one cannot be had, UsageError."""
    for address in addresses:
        note += signatures(note, require_address(address), consistency)
    read_note(note)
    return note


def shown(address: str) -> str:
    """An address as it is told: without a password that may stand in it."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{'' if parts.port is None else f':{parts.port}'}{parts.path.rstrip('/')}"


def require_address(address: str) -> str:
    """Return where a witness is. Raises UsageError."""
    try:
        read_safe_url(address)
    except ValueError as error:
        step = "write RUNFOLD_SEAL_WITNESSES or --witness as https://witness.example"
        raise UsageError(f"the address of a witness {error}; {step}") from None
    return address.rstrip("/")


def signatures(note: str, address: str, consistency: Consistency, *, old: int = 0, seconds: float = _SECONDS) -> str:
    """Return the lines by which a witness signs a note; `old` is what it is believed to have signed before.

    Raises SealingRefused where it does not.
    """
    parts, size = urlsplit(address), read_note(note).checkpoint().size
    for _ in range(3):
        try:
            proof = consistency(old, size)
        except LookupError:
            raise SealingRefused(
                f"the witness at {parts.hostname} has signed {old} events of this log, and the checkpoint has {size}",
                "run `runfold verify --full`: the log may have been rolled back",
            ) from None
        lines = "".join(f"{base64.b64encode(hash_).decode()}\n" for hash_ in proof)
        request = f"old {old}\n{lines}\n{note}".encode()
        try:
            status, kind, raw = post(f"{address}/add-checkpoint", request, seconds=seconds, most_bytes=_MOST_BYTES)
        except NoAnswer as error:
            raise SealingRefused(f"the witness at {parts.hostname} has not signed: {error}", "try again later") from None
        said = raw.decode(errors="replace").removesuffix("\n")
        if status == 200:
            return _own_lines(note, said, str(parts.hostname))
        if status != 409 or kind != "text/x.tlog.size" or not (said.isascii() and said.isdecimal() and len(said) < 19):
            break
        if int(said) == old:
            break
        old = int(said)
    raise SealingRefused(
        f"the witness at {parts.hostname} has not signed the checkpoint: it answers {status}, {said[:200]!r}",
        "if it says 409 or 422, it has seen another history of this log; run `runfold verify --full`",
    )


def _own_lines(note: str, said: str, host: str) -> str:
    """Return what a witness answered, if a note stays one with it. Raises SealingRefused.

    What the signatures are worth is for those to find who know its key; the log's own nobody else may give, right or wrong, nor
    so many that there is no room for those of others.
    """
    before = read_note(note)
    try:
        after = read_note(f"{note}{said}\n")
    except NoteRefused as error:
        raise _not_signed(host, f"what it answers cannot stand under a note ({error}): {said[:200]!r}") from None
    added = after.signatures[len(before.signatures) :]
    if after.body != before.body or len(added) > MOST_LINES or len(said) > _MOST_CHARACTERS:
        raise _not_signed(host, f"it answers more than {MOST_LINES} signatures, or what is none: {said[:200]!r}")
    if any(name == before.checkpoint().origin for name, _ in added):
        raise _not_signed(host, "it answers a signature under the name of the log, which is not its own")
    return f"{said}\n"


def _not_signed(host: str, fact: str) -> SealingRefused:
    step = "see that the address is that of a witness, and ask whoever runs it"
    return SealingRefused(f"the witness at {host} has not signed the checkpoint: {fact}", step)
