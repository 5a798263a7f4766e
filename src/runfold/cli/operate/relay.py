"""`runfold relay`: sends the events of the log on to what many services read from."""

import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.options import Agents, BodyContent, BodyFormat, Goals, OfThread, Users, narrowing

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from runfold.delivery.relay.jetstream import Login
    from runfold.delivery.relay.relaying import Relay, Relayed, Told
    from runfold.errors import LedgerError
    from runfold.ledger import Ledger
    from runfold.settings import Settings

HELP = """Send events on, each once and in order, to what many services read from.

How far it is stands in the ledger and in what it sends to: whatever dies in between, nothing is left out, and nothing comes
twice."""


def relay_to_nats(
    call: Call,
    address: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="NATS servers, with commas between them: nats://host:4222, tls://… (RUNFOLD_NATS_URL).",
        ),
    ] = None,
    *,
    stream: Annotated[
        str | None,
        typer.Option("--stream", metavar="NAME", help="The stream, made if it is missing; RUNFOLD-TENANT if not given."),
    ] = None,
    subject: Annotated[
        str,
        typer.Option("--subject", metavar="PATTERN", help="What each is published under, of {tenant}, {type} and {thread}."),
    ] = "runfold.{tenant}.{type}",
    replicas: Annotated[
        int,
        typer.Option("--replicas", min=1, max=5, metavar="N", help="How many servers keep a stream that is made here."),
    ] = 1,
    after: Annotated[
        str,
        typer.Option(
            "--after",
            metavar="P|TIME|now",
            help="Only events after this position, or time; a stream that has events goes on behind those.",
        ),
    ] = "0",
    types: Annotated[list[str] | None, narrowing("--type", "TYPE", "Only events of this type, or a pattern ('run.*').")] = None,
    thread: OfThread = None,
    agent_id: Agents = None,
    goal_id: Goals = None,
    user_id: Users = None,
    format: BodyFormat = "runfold",
    content: BodyContent = "whole",
    once: Annotated[
        bool, typer.Option("--once/--follow", help="Send what is there now, then exit; or go on until Ctrl-C.")
    ] = False,
) -> None:
    """Publish the events of this tenant to a stream of NATS JetStream, each once and in order, until Ctrl-C.

    Each message has the event's id as its own. One process at a time relays to a stream; others wait, and take over when it dies.
    A server that is away is waited for. It needs the extra `nats` (`pip install 'runfold[nats]'`).
    """
    from runfold.feed.asked import Asked, after_of

    wanted: dict[str, Any] = {"types": types, "thread_id": thread, "agent_id": agent_id, "goal_id": goal_id, "user_id": user_id}
    asked = Asked.of(after_of(after, call.zone), **{name: value for name, value in wanted.items() if value})
    with call.ledger() as ledger, _shown(call, follow=not once) as told:
        relay = _relay(ledger, asked, address, stream, subject, replicas, (format, content), told)
        done = _until_stopped(relay, follow=not once)
    _conclude(call, done)


def _relay(
    ledger: "Ledger",
    asked: Any,
    address: str | None,
    stream: str | None,
    subject: str,
    replicas: int,
    form: "tuple[Literal['runfold', 'cloudevents'], Literal['thin', 'whole']]",
    told: "Told",
) -> "Relay":
    from importlib.util import find_spec

    from runfold.delivery.relay.bodies import relayed_body
    from runfold.delivery.relay.relaying import Relay
    from runfold.delivery.relay.subjects import STREAM_NAME, Subjects, as_word
    from runfold.domain.security import AUDITED
    from runfold.errors import UsageError
    from runfold.feed.asked import find

    if find_spec("nats") is None:
        raise UsageError("the relay to NATS needs a library that is not installed; install `runfold[nats]`")
    from runfold.delivery.relay.jetstream import JetStream

    settings, tenant = ledger.settings, ledger.caller.tenant_id
    name = stream or f"RUNFOLD-{as_word(tenant)}"
    if not STREAM_NAME.fullmatch(name):
        raise UsageError(f"{name[:100]!r} is no name of a stream; choose up to 200 letters, digits, - and _", option="--stream")
    subjects = Subjects(subject, tenant)
    found = find(ledger.now.reader, asked, () if asked.types else AUDITED)  # what concerns keys only where it is asked for
    receiver = JetStream(_urls(settings, address), name, subjects, _login(settings), replicas=replicas)
    return Relay(
        f"relay.{receiver.name}.{tenant}",
        ledger.recorder.reader,
        ledger.tail,
        receiver,
        found.filter,
        relayed_body(*form, settings.public_url),
        begins_after=found.after,
        told=told,
    )


def _urls(settings: "Settings", address: str | None) -> "Sequence[str]":
    from runfold.domain.web_address import read_nats_url
    from runfold.errors import UsageError
    from runfold.settings import listed

    if address is None:
        address = settings.nats_url.get_secret_value() if settings.nats_url else ""
    if not (urls := listed(address)):
        raise UsageError("no NATS server is named; give --url nats://host:4222, or set RUNFOLD_NATS_URL", option="--url")
    for url in urls:
        try:
            read_nats_url(url)
        except ValueError as error:
            raise UsageError(f"--url {error}; give nats://host:4222 or tls://host", option="--url") from None
    return urls


def _login(settings: "Settings") -> "Login":
    from runfold.delivery.relay.jetstream import Login

    return Login(
        settings.nats_user,
        None if settings.nats_password is None else settings.nats_password.get_secret_value(),
        None if settings.nats_token is None else settings.nats_token.get_secret_value(),
        None if settings.nats_creds is None else str(settings.nats_creds),
        None if settings.nats_ca is None else str(settings.nats_ca),
    )


def _until_stopped(relay: "Relay", *, follow: bool) -> "Relayed":
    """Relay, and end at once with Ctrl-C and TERM."""
    import threading

    from runfold.cli.calling.following import ended_by_signals

    with ended_by_signals() as stop, relay:
        threading.Thread(target=_stop_with, args=(stop, relay), daemon=True).start()
        return relay.run(follow=follow)


def _stop_with(stop: "threading.Event", relay: "Relay") -> None:
    stop.wait()
    relay.stop()


@contextlib.contextmanager
def _shown(call: Call, *, follow: bool) -> "Iterator[Told]":
    """Say how it goes on stderr: on a terminal in one line that is written anew."""
    from runfold.delivery.relay.relaying import Told
    from runfold.terminal.text import counted, one_line, shown

    status = call.err.status("Connecting …") if call.err.is_terminal and not call.json else None

    def went_on(sent: int, position: int, head: int) -> None:
        if status is not None:
            status.update(shown(f"{counted(sent, 'event')} sent, up to position {position:,} of {max(head, position):,}"))

    def failed(error: "LedgerError", seconds: float) -> None:
        if call.json:
            _tell({"failed": str(error), "again_after_seconds": seconds})
        else:
            call.err.print(shown(f"{one_line(str(error), 400)}; again in {seconds:g} s", "yellow"), soft_wrap=True)

    def began(position: int) -> None:
        if call.json:
            _tell({"began_after": position})
        else:
            call.note(f"relaying after position {position:,}{'; press Ctrl-C to stop; nothing is lost' if follow else ''}")

    waits = {"is_told": False}

    def waiting() -> None:
        if not waits["is_told"]:
            waits["is_told"] = True
            if call.json:
                _tell({"waits": True})
            else:
                call.note("another process relays to this stream; waiting to take over from it")

    told = Told(waits=waiting, began=began, went_on=went_on, failed=failed)
    with status or contextlib.nullcontext():
        yield told


def _tell(facts: dict[str, Any]) -> None:
    import sys

    from runfold.terminal.console import print_json

    print_json(facts, sys.stderr)


def _conclude(call: Call, done: "Relayed") -> None:
    if call.json:
        call.answer({"sent": done.sent, "position": done.position, "cursor": done.cursor})
        return
    from runfold.terminal.text import counted

    up_to = "" if done.cursor is None else f", up to {done.cursor}"
    call.out.print(f"{counted(done.sent, 'event')} sent{up_to}", soft_wrap=True)
