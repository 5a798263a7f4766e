"""Asks witnesses for their signatures under a checkpoint."""

import base64
import re
import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from runfold.errors import SealingRefused, UsageError
from runfold.proofs.note import read_note

_SECONDS = 4.0
_MOST_BYTES = 64 * 1024
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_LINE = re.compile(r"— \S+ [A-Za-z0-9+/=]+")
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
    return f"{parts.scheme}://{parts.hostname}{'' if parts.port is None else f':{parts.port}'}{parts.path.rstrip('/')}"


def require_address(address: str) -> str:
    """Return where a witness is. Raises UsageError."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        step = "write RUNFOLD_SEAL_WITNESSES or --witness as https://witness.example"
        raise UsageError(f"{address!r} is not the https:// address of a witness; {step}")
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
        status, kind, text = _post(f"{address}/add-checkpoint", f"old {old}\n{lines}\n{note}", str(parts.hostname), seconds)
        said = text.removesuffix("\n")
        if status == 200 and all(_LINE.fullmatch(line) for line in said.split("\n")):
            return f"{said}\n"
        if status != 409 or kind != "text/x.tlog.size" or not (said.isascii() and said.isdecimal() and len(said) < 19):
            break
        if int(said) == old:
            break
        old = int(said)
    raise SealingRefused(
        f"the witness at {parts.hostname} has not signed the checkpoint: it answers {status}, {said[:200]!r}",
        "if it says 409 or 422, it has seen another history of this log; run `runfold verify --full`",
    )


def _post(address: str, body: str, host: str, seconds: float) -> tuple[int, str, str]:
    import httpx2  # noqa: PLC0415  few bundles are witnessed

    verify = address.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading certificates takes longest

    try:
        with (
            httpx2.Client(timeout=seconds, verify=verify, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", address, content=body.encode()) as answer,
        ):
            raw = b""
            for chunk in answer.iter_bytes():
                raw += chunk
                if len(raw) > _MOST_BYTES:
                    break
            return answer.status_code, answer.headers.get("Content-Type", ""), raw[:_MOST_BYTES].decode(errors="replace")
    except httpx2.HTTPError as error:
        raise SealingRefused(f"the witness at {host} does not answer ({type(error).__name__})", "try again later") from None
