"""`runfold events`: a page of the log, or the feed with --follow."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.call import Call

if TYPE_CHECKING:
    from runfold.domain.event import Recorded
    from runfold.ledger import Ledger
    from runfold.store.reader import Head


def events(
    call: Call,
    after: Annotated[
        str, typer.Option("--after", metavar="P", help="Only events after this position or cursor, such as 1234@1f2e3d4c.")
    ] = "0",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="How many at most; 100 if not given, with --follow unlimited.")
    ] = None,
    thread: Annotated[str | None, typer.Option("--thread", metavar="THREAD", help="Only events of this thread.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only events of this run and its approvals.")] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only this type, such as tool.called or 'approval.*' (may be repeated)."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new events as they are recorded.")] = False,
) -> None:
    """List events in the order of the ledger; with --follow, keep printing new ones.

    In JSON each event is one line, and stderr gets the cursor up to which the ledger was searched: continue after it, and no
    event is missed or seen twice. If the ledger was restored from a backup, a cursor beyond the common history is refused
    with the last common position (exit 4).
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
    call.note(f"following after position {after}; press Ctrl-C to stop")
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

        from runfold.terminal.console import print_json

        print_json({"as_of": head.position, "events": count, "next_after": next_after}, sys.stderr)
        return
    from runfold.terminal.text import counted

    more = f"; more: --after {next_after}" if searched < head.position else ""
    call.out.print(f"{counted(count, 'event')} as of position {head.position}{more}", style="dim", soft_wrap=True)


def _print(call: Call, recorded: "Recorded") -> None:
    if call.json:
        call.answer(recorded.as_json())
        return
    from runfold.terminal.events import print_event

    print_event(call.out, recorded)
