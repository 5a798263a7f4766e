"""`runfold events`: a page of the log, or the feed with --follow."""

import inspect
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.lists import Every, ListOption
from runfold.cli.calling.options import At, OfRun, OfThread, narrowing

if TYPE_CHECKING:
    from datetime import datetime

    from runfold.domain.recorded import Recorded
    from runfold.domain.times import DayCounts
    from runfold.ledger import Ledger
    from runfold.store.reading.reader import Head


def _filter(name: str, flag: str, metavar: str, help: str) -> ListOption:
    """An option that may be repeated, and says what an argument of the SDK says."""
    annotation = Annotated[list[str] | None, narrowing(flag, metavar, help)]
    declared = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
    return ListOption(name, flag, declared, lambda _, given: {name: given})


def _time(name: str, flag: str, day: "DayCounts", help: str) -> ListOption:
    option = typer.Option(flag, metavar="TIME|DAY", help=help, show_default=False)
    declared = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option])
    return ListOption(name, flag, declared, lambda call, given: {name: call.time(given, day=day, option=flag)})


MOST = 1000
"""How many are read at once where all are asked for."""

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
    thread: OfThread = None,
    run: OfRun = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only this type, such as tool.called; those that begin so (tool), or a pattern ('approval.*'). May be repeated.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new events as they are recorded; of one run, until it ends.")
    ] = False,
    past_run_end: Annotated[
        bool, typer.Option("--past-run-end", help="With --follow and --run: go on after the run has ended.")
    ] = False,
    *,
    order: Annotated[
        str | None,
        typer.Option("--order", metavar="asc|desc", help="Which way round; asc if not given, as what happened is read."),
    ] = None,
    every: Every = None,
    at: At = None,
    **filters: Any,
) -> None:
    """List events in the order of the ledger, or the last ones first; with --follow, keep printing new ones.

    In JSON each event is one line, and stderr gets the cursor up to which the ledger was searched: continue after it, and no
    event is missed or seen twice. If the ledger was restored from a backup, a cursor beyond the common history is refused
    with the last common position (exit 4).
    """
    from runfold.errors import UsageError
    from runfold.feed.asked import after_of

    asked: Any = {
        "after": after_of(after, call.zone),
        "types": types,
        "thread_id": thread,
        "run_id": run,
        **filters,
    }
    since, until = asked.pop("since", None), asked.pop("until", None)
    if follow and not (at is None and until is None and order is None and every is None):
        raise UsageError("--follow goes on with what comes; leave out --at, --to, --order and --all", option="--follow")
    if every and limit is not None:
        raise UsageError("--all is all there is, and --limit so many of them; give one of the two", option="--all")
    with call.ledger() as ledger:
        if follow:
            _follow(call, ledger, {**asked, "recorded_from": since}, limit, until_run_ends=not past_run_end)
            return
        head = _head(call, ledger, at)
        asked |= {"recorded_from": since, "recorded_to": until, "order": order or "asc"}
        _list(call, ledger, head, asked, MOST if every else limit or 100, every=bool(every))


def _list(call: Call, ledger: "Ledger", head: "Head", asked: dict[str, Any], most: int, *, every: bool) -> None:
    """Print a page, or all of them, and where the next one begins."""
    is_backwards, count, end = asked["order"] == "desc", 0, head.position
    while True:
        page = ledger.events(up_to=end if is_backwards else head.position, limit=most, **asked)
        for recorded in page:
            _print(call, recorded)
        count += len(page)
        is_last = len(page) < most
        if is_backwards and page:
            end = page[-1].position - 1
        elif page:
            asked["after"] = page[-1].position
        if is_last or not every:
            break
    if is_backwards:
        _conclude_back(call, count, None if is_last else end, head)
    else:
        _conclude(call, count, head.position if is_last else page[-1].position, head)


def _head(call: Call, ledger: "Ledger", at: str | None) -> "Head":
    """Where the ledger ends, or ended."""
    head = ledger.head()
    return head if at is None else head._replace(position=_at(ledger, call.moment(at)))


def _at(ledger: "Ledger", moment: "int | datetime") -> int:
    return ledger.now.at(moment).up_to


def _conclude_back(call: Call, count: int, rest: int | None, head: "Head") -> None:
    if call.json:
        from runfold.terminal.console import print_json

        print_json({"as_of": head.position, "events": count, "next_at": rest}, sys.stderr)
        return
    from runfold.terminal.text import counted

    more = f"; more: --at {rest}" if rest else ""
    call.out.print(f"{counted(count, 'event')} as of position {head.position}{more}", style="dim", soft_wrap=True)


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
    from runfold.terminal.console import print_json

    print_json(facts, sys.stderr)


def _conclude(call: Call, count: int, searched: int, head: "Head") -> None:
    from runfold.store.cursor import cursor_of

    next_after = cursor_of(searched, head.epoch)
    if call.json:
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
