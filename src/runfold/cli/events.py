"""`runfold events`: a page of the log, or the feed with --follow."""

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.lists import ListOption
from runfold.cli.options import At

if TYPE_CHECKING:
    from datetime import datetime

    from runfold.domain.event import Recorded
    from runfold.domain.times import DayCounts
    from runfold.ledger import Ledger
    from runfold.store.reader import Head


def _filter(name: str, flag: str, metavar: str, help: str) -> ListOption:
    """An option that may be repeated, and says what an argument of the SDK says."""
    option = typer.Option(flag, metavar=metavar, help=f"{help} May be repeated.", show_default=False)
    declared = inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[list[str] | None, option]
    )
    return ListOption(name, flag, declared, lambda _, given: {name: given})


def _time(name: str, flag: str, day: "DayCounts", help: str) -> ListOption:
    option = typer.Option(flag, metavar="TIME|DAY", help=help, show_default=False)
    declared = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option])
    return ListOption(name, flag, declared, lambda call, given: {name: call.time(given, day=day, option=flag)})


OPTIONS = (
    _filter("agent_id", "--agent", "AGENT", "Only events of this agent's runs."),
    _filter("goal_id", "--goal", "GOAL", "Only events of runs towards this goal."),
    _filter("user_id", "--user", "USER", "Only events of this user's runs."),
    _filter("actor", "--actor", "KIND:ID", "Only events recorded by this actor, as human:ada."),
    _time("since", "--from", "from", "Only events recorded then or later. A day counts from its beginning."),
    _time("until", "--to", "to", "Only events recorded then or earlier. A day is included."),
)
"""What events are narrowed by, beside threads, runs and types."""


def events(
    call: Call,
    after: Annotated[
        str,
        typer.Option(
            "--after",
            metavar="P|TIME|now",
            help="Only events after this position, cursor (1234@1f2e3d4c) or time of the database's clock, or from now on.",
        ),
    ] = "0",
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="How many at most; 100 if not given, with --follow unlimited."),
    ] = None,
    thread: Annotated[str | None, typer.Option("--thread", metavar="THREAD", help="Only events of this thread.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only events of this run and its approvals.")] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only this type, such as tool.called or 'approval.*' (may be repeated)."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new events as they are recorded; of one run, until it ends.")
    ] = False,
    past_run_end: Annotated[
        bool, typer.Option("--past-run-end", help="With --follow and --run: go on after the run has ended.")
    ] = False,
    *,
    at: At = None,
    **filters: Any,
) -> None:
    """List events in the order of the ledger, the oldest first, as what happened is read; with --follow, keep printing new ones.

    In JSON each event is one line, and stderr gets the cursor up to which the ledger was searched: continue after it, and no
    event is missed or seen twice. If the ledger was restored from a backup, a cursor beyond the common history is refused
    with the last common position (exit 4).
    """
    from runfold.errors import UsageError
    from runfold.feed.asked import after_of

    asked: Any = {
        "after": after_of(after, call.zone),
        "types": types or [],
        "thread_id": thread,
        "run_id": run,
        **filters,
    }
    since, until = asked.pop("since", None), asked.pop("until", None)
    if follow and not (at is None and until is None):
        raise UsageError("--follow goes on with what comes; leave out --at and --to", option="--follow")
    with call.ledger() as ledger:
        asked["after"] = _place(ledger, asked["after"], since)
        if follow:
            _follow(call, ledger, asked, limit, until_run_ends=not past_run_end)
            return
        head, most = _head(call, ledger, at), limit or 100
        end = head.position if until is None else min(head.position, _at(ledger, until))
        page = ledger.events(up_to=end, limit=most, **asked)
    for recorded in page:
        _print(call, recorded)
    is_full = len(page) == most
    _conclude(call, len(page), page[-1].position if is_full else end, head)


def _head(call: Call, ledger: "Ledger", at: str | None) -> "Head":
    """Where the ledger ends, or ended."""
    head = ledger.head()
    return head if at is None else head._replace(position=_at(ledger, call.moment(at)))


def _at(ledger: "Ledger", moment: "int | datetime") -> int:
    return ledger.now.at(moment).up_to


def _place(ledger: "Ledger", after: Any, since: "datetime | None") -> Any:
    """After what to begin: the later of a place and of all that was recorded before a time."""
    from datetime import timedelta

    from runfold.feed.asked import Asked

    if since is None:
        return after
    before = _at(ledger, since - timedelta(microseconds=1))
    return after if ledger.find(Asked.of(after)).after >= before else before


def _follow(call: Call, ledger: "Ledger", asked: dict[str, Any], limit: int | None, *, until_run_ends: bool) -> None:
    def caught_up(cursor: str) -> None:
        _told(call, {"caught_up": cursor}, f"caught up at position {subscription.position}; waiting for more")

    subscription = ledger.subscribe(**asked, until_run_ends=until_run_ends, when_caught_up=caught_up)
    call.note(f"following after position {subscription.position}; press Ctrl-C to stop")
    shown = subscription.cursor
    try:
        with subscription:
            for number, recorded in enumerate(subscription, start=1):
                _print(call, recorded)
                shown = subscription.cursor
                if number == limit:
                    break
        shown = subscription.cursor
    finally:  # what could not be shown is shown the next time
        _told(call, {"next_after": shown}, f"go on with --after {shown}")


def _told(call: Call, facts: dict[str, str], words: str) -> None:
    """Say something of the stream itself on stderr, as JSON where events are."""
    if not call.json:
        call.note(words)
        return
    import sys

    from runfold.terminal.console import print_json

    print_json(facts, sys.stderr)


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
