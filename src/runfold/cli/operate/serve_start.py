"""What `runfold serve` says once it serves: where, with which key, and the address that signs a person in with a browser."""

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    import socket

    from runfold.ledger import Ledger

LABEL = "sign-in address of runfold serve"
"""Of the key that is made for a person who has none; nobody knows its text."""


class Started(NamedTuple):
    """A server that is about to accept requests."""

    address: str
    key: tuple[str, str] | None
    """The first key and its owner, if it was made just now."""
    sign_in: str | None
    """The address that signs its owner in; None where others could read it, or nobody is known to sign in."""
    has_pages: bool
    opens_browser: bool


def sign_in_address(ledger: "Ledger", listener: "socket.socket", person: str | None) -> str | None:
    """Return an address that signs a person in once, within ten minutes.

    Whoever starts a server may make keys, so where that person has none, one is made. It is printed only where this machine
    alone can connect: elsewhere what a server prints is often kept where many read it.
    """
    from runfold.access.sessions import BrowserSessions, SignedIn
    from runfold.errors import LedgerUnavailable
    from runfold.http.server import is_loopback, url_of

    if person is None or ledger.settings.public_hosts or ledger.settings.trusted_proxies or not is_loopback(listener):
        return None
    try:
        key = SignedIn(ledger.caller.tenant_id, _key_of(ledger, person))
        token = BrowserSessions(ledger.recorder.store).sign_in_token(key)
    except LedgerUnavailable:  # a standby: nothing can be written, and /ui says so
        return None
    return f"{url_of(listener)}/ui/login?token={token}"


def _key_of(ledger: "Ledger", person: str) -> str:
    """Return the key of a person that may do most, of several the newest."""
    all_keys = ledger.keys()
    keys = [key for key in all_keys if key.status == "active" and key.owner == person]
    if not keys:
        return ledger.create_key(owner=person, scopes=["admin"], label=LABEL).id
    return max(keys, key=lambda key: ("admin" in key.scopes, len(key.scopes), key.created_position)).id


def announce(call: Call, started: Started, workers: Sequence[int]) -> None:
    """Say where it serves, and open the pages if that was asked for."""
    if call.json:
        key, owner = started.key or (None, None)
        facts = {"address": started.address, "key": key, "owner": owner, "sign_in": started.sign_in}
        call.answer({**facts, "pid": os.getpid(), "workers": list(workers)})
    else:
        for line in _lines(started, workers):
            call.out.print(line, soft_wrap=True)
        call.out.file.flush()
    if started.opens_browser:
        threading.Thread(target=_open, args=(call, started.sign_in or f"{started.address}/ui"), daemon=True).start()


def _open(call: Call, address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        call.err.print("no browser can be opened here; open the printed address in one", soft_wrap=True)


def _lines(started: Started, workers: Sequence[int]) -> list[str]:
    address, (key, owner) = started.address, started.key or (None, None)
    by = f" with {len(workers)} processes" if len(workers) > 1 else ""
    said = f"Key: {key}  (of {owner}, shown only once; " if key else "Key: one you have already  ("
    with_key = '-H "Authorization: Bearer $RUNFOLD_KEY"'
    as_json = "-H 'Content-Type: application/json'"
    thread, run = '{"thread_id": "thread_hello", "agent_id": "support"}', '{"run_id": "run_hello", "input": {"ticket": 42}}'
    return [
        f"Runfold serves {address}{by}; press Ctrl-C to stop; nothing is lost.",
        f"{said}`runfold keys create` creates more)",
        "",
        "Try, in another terminal:",
        f"  export RUNFOLD_KEY={key or 'rf_…'}",
        f"  curl {address}/threads {with_key} {as_json} -d '{thread}'",
        f"  curl {address}/threads/thread_hello/runs {with_key} {as_json} -d '{run}'",
        f"  curl -N '{address}/events?after=0' {with_key} -H 'Accept: text/event-stream'",
        "",
        f"For people {address}/docs, for programs {address}/openapi.json",
        *_in_browser(started),
    ]


def _in_browser(started: Started) -> list[str]:
    if started.sign_in is not None:
        return [f"In a browser: {started.sign_in}  (signs you in once, within 10 minutes)"]
    return [f"In a browser: {started.address}/ui  (sign in with a key)"] if started.has_pages else []
