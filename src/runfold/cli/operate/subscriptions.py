"""`runfold subscriptions`: what the ledger keeps for consumers that share the events of a subscription."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.options import Agents, Goals, OfRun, OfThread, Users, narrowing

if TYPE_CHECKING:
    from runfold.subscriptions.views import SubscriptionView

HELP = """Make, list and mend named subscriptions, whose place the ledger keeps and whose events several consumers share.

Consumers take events and acknowledge them over HTTP (`POST /subscriptions/NAME/take`) or with the SDK
(`ledger.subscription(NAME).consume()`). What fails too often is parked, and is given again when it is replayed."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="The subscription's name, as `runfold subscriptions list` shows it.")]
Positions = Annotated[list[int], typer.Argument(metavar="POSITION", help="Positions of parked events.")]


def put(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Up to 64 small letters, digits, . _ and -.")],
    *,
    after: Annotated[
        str,
        typer.Option(
            "--after", metavar="P|TIME|now", help="Only events after this position, or time; one that is there stays where it is."
        ),
    ] = "0",
    types: Annotated[
        list[str] | None, narrowing("--type", "TYPE", "Only events of this type, or a pattern ('approval.*').")
    ] = None,
    thread: OfThread = None,
    run: OfRun = None,
    agent_id: Agents = None,
    goal_id: Goals = None,
    user_id: Users = None,
    in_order_of: Annotated[
        str,
        typer.Option(
            "--in-order-of",
            metavar="stream|thread|nothing",
            help="An event waits until those before it of the same stream, or thread, are answered.",
        ),
    ] = "stream",
    lease_seconds: Annotated[
        float, typer.Option("--lease-seconds", metavar="N", help="For how long an event is one consumer's alone.")
    ] = 30.0,
    retry_seconds: Annotated[
        float,
        typer.Option("--retry-seconds", metavar="N", help="How long the first retry waits, each next one twice as long."),
    ] = 1.0,
    most_attempts: Annotated[
        int,
        typer.Option("--most-attempts", min=1, max=1000, metavar="N", help="How often one is given before it is parked."),
    ] = 10,
) -> None:
    """Make a subscription, or change what its consumers are promised. What it is narrowed by cannot be changed."""
    from runfold.subscriptions.views import checked_order

    wanted: dict[str, Any] = {"types": types, "thread_id": thread, "run_id": run}
    wanted |= {"agent_id": agent_id, "goal_id": goal_id, "user_id": user_id}
    with call.ledger() as ledger:
        view = ledger.subscription(name).put(
            after=after,
            in_order_of=checked_order(in_order_of),
            lease_seconds=lease_seconds,
            retry_seconds=retry_seconds,
            most_attempts=most_attempts,
            **{key: value for key, value in wanted.items() if value},
        )
    _show(call, [view], view.model_dump(mode="json"))


def list_subscriptions(call: Call) -> None:
    """List the subscriptions of this tenant: how far each is, and what is leased, waiting and parked."""
    with call.ledger() as ledger:
        found: list[SubscriptionView] = []
        while page := ledger.subscriptions.all(found[-1].name if found else ""):
            found += page
    _show(call, found, {"items": [view.model_dump(mode="json") for view in found]})


def show(call: Call, name: Name) -> None:
    """Show one subscription."""
    with call.ledger() as ledger:
        view = ledger.subscription(name).view()
    _show(call, [view], view.model_dump(mode="json"))


def parked(
    call: Call,
    name: Name,
    *,
    after: Annotated[int, typer.Option("--after", min=0, metavar="P", help="Only events after this position.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="How many at most.")] = 100,
) -> None:
    """List events that failed too often or were set aside: how often they were given, and what was said of the last attempt."""
    with call.ledger() as ledger:
        found = ledger.subscription(name).parked(after, limit)
    if call.json:
        call.answer({"items": [each.model_dump(mode="json") for each in found]})
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.subscription_tables import parked_table
    from runfold.terminal.text import counted

    print_whole(call.out, parked_table(found))
    more = f"; the next ones with --after {found[-1].position}" if len(found) == limit else ""
    call.out.print(f"{counted(len(found), 'event')}{more}", style="dim", soft_wrap=True)


def replay(
    call: Call,
    name: Name,
    positions: Annotated[
        list[int] | None, typer.Argument(metavar="POSITION", help="Only these; all that are parked if none is given.")
    ] = None,
) -> None:
    """Have parked events given again."""
    with call.ledger() as ledger:
        done = ledger.subscription(name).replay(positions or None)
    _done(call, done, "will be given again", positions)


def discard(call: Call, name: Name, positions: Positions) -> None:
    """Have parked events never given again. The log keeps them."""
    with call.ledger() as ledger:
        done = ledger.subscription(name).discard(positions)
    _done(call, done, "will not be given again", positions)


def reset(
    call: Call,
    name: Name,
    after: Annotated[
        str, typer.Option("--after", metavar="P|TIME|now", help="Only events after this position, or time, from now on.")
    ],
) -> None:
    """Go on after another place: what consumers hold is theirs no longer, and what is parked is forgotten."""
    with call.ledger() as ledger:
        view = ledger.subscription(name).reset(after)
    _show(call, [view], view.model_dump(mode="json"))


def delete(call: Call, name: Name) -> None:
    """Delete a subscription, with where it is and what is parked. The log is not touched."""
    with call.ledger() as ledger:
        ledger.subscription(name).delete()
    if call.json:
        call.answer({"name": name, "deleted": True})
    else:
        call.out.print(f"{name} is deleted", soft_wrap=True)


def _show(call: Call, views: "list[SubscriptionView]", answer: dict[str, Any]) -> None:
    if call.json:
        call.answer(answer)
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.subscription_tables import subscription_table
    from runfold.terminal.text import counted

    print_whole(call.out, subscription_table(views))
    call.out.print(counted(len(views), "subscription"), style="dim", soft_wrap=True)


def _done(call: Call, done: list[int], what: str, asked: list[int] | None) -> None:
    missing = sorted({*(asked or ())} - {*done})
    if call.json:
        call.answer({"positions": done, "not_parked": missing})
        return
    from runfold.terminal.text import counted

    call.out.print(f"{counted(len(done), 'event')} {what}", soft_wrap=True)
    if missing:
        call.note(f"Not parked: {', '.join(map(str, missing[:20]))}")
