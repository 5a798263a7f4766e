"""The ids of AG-UI's clients, which are any text, and the ledger's."""

import re

from runfold.ids import stable_id

_ID = r"[A-Za-z0-9_](?:\.?[A-Za-z0-9_:@=+~-])*"
_OWN = re.compile(rf"(?P<kind>thread|run)_{_ID}\Z")
_ANY = re.compile(rf"{_ID}\Z")
MOST = 200


def thread_id_of(text: str) -> str:
    """Return the ledger's id of a client's thread: its own, if it is one."""
    return text if _is_own("thread", text) else stable_id("thread", "ag-ui", text)


def run_id_of(thread_id: str, text: str) -> str:
    """Return the ledger's id of a client's run in a thread."""
    return text if _is_own("run", text) else stable_id("run", "ag-ui", thread_id, text)


def message_id_of(text: str) -> str:
    """Return the id of a message or a tool call: as it was given, if the ledger takes it."""
    return text if len(text) <= MOST and _ANY.match(text) else stable_id("id", "ag-ui", text)


def _is_own(kind: str, text: str) -> bool:
    found = _OWN.match(text) if len(text) <= MOST else None
    return found is not None and found["kind"] == kind
