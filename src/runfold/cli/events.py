"""`runfold events`: the feed, a page of it or for ever."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call

if TYPE_CHECKING:
    from runfold.domain.event import Recorded
    from runfold.ledger import Ledger
    from runfold.store.reader import Head

_NOT_WORDS = frozenset(
    {
        "thread_id",
        "run_id",
        "request_digest",
        "arguments_digest",
        "effective_digest",
        "arguments",
        "metadata",
        "raw",
        "options",
        "votes",
        "ordinal",
        "execution_key",
        "agent_version",
        "code_version",
        "state_changes",
        "expires_at",
    }
)
_FIRST_WORDS = ("role", "name", "title", "intent", "action", "severity", "content", "text", "description", "message", "reason")


def events(
    call: Call,
    after: Annotated[
        str, typer.Option("--after", metavar="P", help="Only events after this position or cursor, such as 1234@1f2e3d4c.")
    ] = "0",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="How many at most: 100 if not given; with --follow, no end.")
    ] = None,
    thread: Annotated[str | None, typer.Option("--thread", metavar="THREAD", help="Only those of a thread.")] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Only those of a run, its approvals among them.")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only of this type, such as tool.called or 'approval.*'.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events as they are recorded.")] = False,
) -> None:
    """List events in the order of the ledger, or with --follow go on for ever.

    In JSON each event is one line. On stderr stands the cursor up to which the ledger was searched: go on after that
    one, and no event is missed or seen twice. Where the ledger was put back to an older copy, a cursor that has seen more
    than both hold is refused with the last common position (exit 4).
    """
    from runfold.domain.catalogue import event_types

    with call.ledger() as ledger:
        wanted = types or []
        event_types.require(wanted)
        if follow:
            _follow(call, ledger, after, limit, wanted, thread, run)
            return
        head, most = ledger.head(), limit or 100
        page = ledger.events(after=after, up_to=head.position, limit=most, types=wanted, thread_id=thread, run_id=run)
    for recorded in page:
        _print(call, recorded)
    is_full = len(page) == most
    _conclude(call, len(page), page[-1].position if is_full else head.position, head)


def _follow(
    call: Call, ledger: "Ledger", after: str, limit: int | None, types: list[str], thread: str | None, run: str | None
) -> None:
    call.note(f"following after position {after}; Ctrl-C ends")
    with ledger.subscribe(after=after, types=types, thread_id=thread, run_id=run) as subscription:
        for number, recorded in enumerate(subscription, start=1):
            _print(call, recorded)
            if number == limit:
                return


def _conclude(call: Call, count: int, searched: int, head: "Head") -> None:
    from runfold.store.cursor import cursor_of

    next_after = cursor_of(searched, head.epoch)
    if call.json:
        import sys

        from runfold.cli.terminal import print_json

        print_json({"as_of": head.position, "events": count, "next_after": next_after}, sys.stderr)
        return
    from runfold.cli.terminal import counted

    more = f"; more: --after {next_after}" if searched < head.position else ""
    call.out.print(f"{counted(count, 'event')} as of position {head.position}{more}", style="dim", soft_wrap=True)


def _print(call: Call, recorded: "Recorded") -> None:
    if call.json:
        call.answer(recorded.as_json())
        return
    from rich.text import Text

    from runfold.cli.terminal import shown

    stream = _short(recorded.stream) if call.out.is_terminal else recorded.stream
    line = Text.assemble(
        (f"{recorded.position:>8} ", "bold"),
        (f"{recorded.recorded_at:%Y-%m-%d %H:%M:%S} ", "dim"),
        (f"{recorded.type:<25} ", "cyan"),
        f"{stream} ",
        shown(summary(recorded), "dim"),
    )
    if call.out.is_terminal:
        call.out.print(line, no_wrap=True, overflow="ellipsis")
    else:
        call.out.print(line, soft_wrap=True)


def _short(stream: str) -> str:
    """A stream's id as a line on a terminal has room for it: a UUID's end tells it from its neighbours."""
    return stream if len(stream) <= 24 else f"{stream.partition('_')[0]}_…{stream[-8:]}"


def summary(recorded: "Recorded") -> str:
    """What an event says, in a few words: its fields, without those that only machines read."""
    from runfold.cli.terminal import one_line
    from runfold.domain.values import json_text

    fields = {
        name: value
        for name, value in recorded.event.model_dump(mode="json", exclude_defaults=True).items()
        if name not in _NOT_WORDS and value not in (None, "", [], {})
    }
    if "content" in fields:
        fields["content"] = " ".join(str(part.get("text") or part["type"]) for part in fields["content"])
    words = [str(fields.pop(name)) for name in _FIRST_WORDS if name in fields]
    words += [f"{name}={value if isinstance(value, str) else json_text(value)}" for name, value in fields.items()]
    return one_line("  ".join(words))
