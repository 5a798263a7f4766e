"""`runfold serve`: the ledger over HTTP, with a worker process beside it."""

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.identity import checked_person, login
from runfold.cli.operate.serve_start import Started, announce, sign_in_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from runfold.http.folding import FoldingBeside
    from runfold.ledger import Ledger

MOST_WORKERS = 64

_NO_KEYS = (
    "{address} can be reached from other machines, and there are no API keys yet; create one with"
    " `runfold keys create --owner human:NAME --scope admin`, or listen on 127.0.0.1"
)


_NO_FIRST_KEY = (
    "there are no API keys yet, and this database is read-only (a standby, or set so); create one on the primary with"
    " `runfold keys create --owner human:NAME --scope admin`, and start again once it is replicated"
)


def serve(
    call: Call,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="Name or address to listen on (RUNFOLD_HOST, 127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", help="Port to listen on (RUNFOLD_PORT, 8765); 0 picks a free one.")
    ] = None,
    work: Annotated[
        bool, typer.Option("--work/--no-work", help="Run a worker beside the server, as `runfold work` does.")
    ] = True,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep/--no-sweep", help="Let the worker beside the server let approvals expire, and what else RUNFOLD_SWEEP says."
        ),
    ] = True,
    deliver: Annotated[
        bool,
        typer.Option("--deliver/--no-deliver", help="Let the worker beside the server send to webhooks and to callback_url."),
    ] = True,
    seal: Annotated[bool, typer.Option("--seal/--no-seal", help="Let the worker beside the server seal the log.")] = True,
    projection: Annotated[
        list[str] | None,
        typer.Option(
            "--projection",
            metavar="MODULE:CLASS",
            help="A read model of your own to fold and to serve (may be repeated).",
        ),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            "--agent",
            metavar="NAME=SOURCE",
            help="An agent for AG-UI's clients: `demo`, NAME=MODULE:FUNCTION, or NAME=URL of another AG-UI server"
            " (may be repeated).",
        ),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="human:NAME", help="Owner of the first key; your login name if not given."),
    ] = None,
    pages: Annotated[
        bool | None,
        typer.Option("--pages/--no-pages", help="Serve pages for people under /ui (RUNFOLD_PAGES, yes).", show_default=False),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the pages in a browser, signed in.", show_default=False)
    ] = False,
    workers: Annotated[
        int,
        typer.Option("--workers", min=1, max=MOST_WORKERS, help="How many processes share the port and answer."),
    ] = 1,
) -> None:
    """Serve the ledger over HTTP until Ctrl-C.

    It prints its address once it accepts requests and, where no API key exists yet, a first key, which is shown only once.
    Where only this machine can connect it also prints an address that signs its owner in with a browser, once, within ten
    minutes; everywhere /ui takes a key.
    See /docs for people, /openapi.json for programs, and /healthz, /readyz and /metrics for monitoring. On an address that
    other machines can reach it starts only if keys exist.

    With --workers several processes answer on the same port, within the same limits; one that dies is started again.
    """
    from runfold import logs
    from runfold.access.keys import Keys
    from runfold.access.limits import Limits
    from runfold.cli.calling.folding import reacting, reactor_kinds, supervisor
    from runfold.errors import UsageError
    from runfold.http.agents.agent import named_agents
    from runfold.http.app import create_app
    from runfold.http.folding import FoldingBeside
    from runfold.http.server import listening, url_of
    from runfold.http.server import serve as serve_on
    from runfold.projections.registry import chosen, known

    person = checked_person("--owner", owner) if owner else login()
    own, agents = chosen(projection) if projection else {}, named_agents(agent or [])
    said = {name: value for name, value in (("host", host), ("port", port), ("pages", pages)) if value is not None}
    settings = call.settings(**said)
    if open_browser and not settings.pages:
        raise UsageError("--open opens the pages, and --no-pages leaves them out; give one of them")
    logs.configure(settings.log_level)
    with listening(settings.host, settings.port) as listener, call.ledger(**said) as ledger:
        key, address = _first_key(ledger, listener, person), url_of(listener)
        sign_in = sign_in_address(ledger, listener, person) if settings.pages else None
        started = Started(address, key, sign_in, settings.pages, open_browser)
        names = [*known(), *projection] if projection else []
        beside = reacting(reactor_kinds(sweep=sweep, deliver=deliver, seal=seal))
        folding = FoldingBeside(supervisor(ledger, names, beside=beside)[0]) if work else None
        if workers > 1:
            ready = partial(announce, call, started)
            _serve_by_several(ledger, listener, workers, (projection or [], agent or []), folding, ready)
            return
        app = create_app(ledger, Keys(ledger), Limits.of(settings), projections=own.values(), agents=agents)
        serve_on(app, listener, folding, lambda: announce(call, started, [os.getpid()]))


def _serve_by_several(
    ledger: "Ledger",
    listener: "socket.socket",
    workers: int,
    own: "tuple[list[str], list[str]]",
    folding: "FoldingBeside | None",
    ready: "Callable[[Sequence[int]], None]",
) -> None:
    import asyncio

    from runfold.access.limits import Limits
    from runfold.http.processes.crew import Crew, ServerProcessFailed
    from runfold.settings import environment

    async def serve() -> None:
        settings = environment(ledger.settings)
        await Crew(listener, workers, Limits.of(ledger.settings), settings, own, folding).run(ready)

    if folding is not None:
        folding.start()
    try:
        asyncio.run(serve())
    except ServerProcessFailed:
        raise typer.Exit(1) from None
    finally:
        if folding is not None:
            folding.stop()


def _first_key(ledger: "Ledger", listener: "socket.socket", owner: str | None) -> tuple[str, str] | None:
    """Create an admin key and return its text and owner, if no key is active and only this machine can connect.

    Servers that start at the same time create one key together. Raises UsageError.
    """
    from runfold.access.keys import keys_of_all
    from runfold.errors import UsageError
    from runfold.http.server import is_loopback, url_of

    keys = keys_of_all(ledger)
    if any(key.status == "active" for key in keys):
        return None
    if not is_loopback(listener):
        raise UsageError(_NO_KEYS.format(address=url_of(listener)))
    if ledger.recorder.reader.rows("SELECT current_setting('transaction_read_only')") == [("on",)]:
        raise UsageError(_NO_FIRST_KEY)
    if owner is None:
        raise UsageError("there are no API keys yet, and your login name is not known; pass --owner human:NAME")
    caller_ledger = ledger.on_behalf(ledger.caller._replace(key=f"first key after {len(keys)}", key_of="server"))
    text = caller_ledger.create_key(owner=owner, scopes=["admin"], label="first key, created by runfold serve").text
    return None if text is None else (text, owner)
