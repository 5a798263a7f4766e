"""What a bundle is to show, as it says itself: how that is written, and read from somebody who must not be trusted."""

from typing import Any, NamedTuple

from runfold.proofs.container import BundleUnreadable
from runfold.proofs.fields import object_in, text_in
from runfold.proofs.leaf import canonical


class Absence(NamedTuple):
    """What a bundle shows that there is not: an event of a type in a thread, of one tool call where it is named."""

    thread: str
    type: str
    call: str | None = None


class Claims(NamedTuple):
    """What a bundle is to show."""

    threads: tuple[str, ...]
    """Those of which it holds everything."""
    log: bool = False
    """Whether it holds every leaf of the log."""
    absence: Absence | None = None


def write_claims(claims: Claims) -> str:
    """What a bundle is to show → the text of its claims."""
    said: dict[str, Any] = {"log": claims.log, "threads": list(claims.threads), "v": 1}
    if claims.absence is not None:
        said["absence"] = {name: value for name, value in claims.absence._asdict().items() if value is not None}
    return canonical(said) + "\n"


def read_claims(text: str) -> Claims:
    """The text of claims → what a bundle is to show. Raises BundleUnreadable."""
    said = object_in(text.removesuffix("\n").encode(), "claims.json")
    if said.get("v") != 1:
        raise BundleUnreadable("claims.json is of a version that this verifier does not know; take a newer one")
    threads, log, absent = said.get("threads"), said.get("log"), said.get("absence")
    if set(said) - {"v", "threads", "log", "absence"} or not isinstance(log, bool) or not isinstance(threads, list):
        raise BundleUnreadable("claims.json says what this verifier does not know")
    absence = None
    if absent is not None:
        if not isinstance(absent, dict) or set(absent) - set(Absence._fields) or not {"thread", "type"} <= set(absent):
            raise BundleUnreadable("claims.json does not say what is absent")
        absence = Absence(**{name: text_in(value, "claims.json") for name, value in absent.items()})
    return Claims(tuple(text_in(thread, "claims.json") for thread in threads), log, absence)
