"""`runfold webhooks`: addresses to which events are sent as they are recorded."""

from typing import TYPE_CHECKING, Annotated

import typer

from runfold.cli.calling.call import Call, pinned
from runfold.cli.calling.identity import actor_for
from runfold.cli.calling.lists import asking
from runfold.cli.calling.options import Agents, At, BodyContent, BodyFormat, Comment, Goals, OfRun, OfThread, RunId, narrowing

if TYPE_CHECKING:
    from runfold.commands.submitted import Receipt
    from runfold.queries.reading import Reading
    from runfold.queries.webhooks import AttemptView

HELP = """Send events to addresses of others as they are recorded, signed, each at least once under the same id.

They are sent by `runfold work`, and so beside `runfold serve`. How it ended is recorded as events (callback.delivered,
callback.abandoned), and every attempt is kept for thirty days."""

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id, as `runfold webhooks list` shows it.")]
Who = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="KIND:ID",
        help="Who you are, for this call, such as human:ada. Without it, RUNFOLD_ACTOR, the remembered person, or you are asked.",
    ),
]
_LOOK_SECONDS = 0.1


def create(  # noqa: PLR0913  each is an option
    call: Call,
    address: Annotated[str, typer.Argument(metavar="URL", help="Where to, such as https://hooks.example.com/runs.")],
    *,
    label: Annotated[str | None, typer.Option("--label", metavar="TEXT", help="Label for lists.")] = None,
    type: Annotated[
        list[str] | None,
        narrowing("--type", "TYPE", "Only events of this type, such as run.*."),
    ] = None,
    thread_id: OfThread = None,
    run_id: OfRun = None,
    agent: Agents = None,
    goal: Goals = None,
    user: Annotated[list[str] | None, narrowing("--user", "USER", "Only events of this user's threads.")] = None,
    actor: Annotated[
        list[str] | None,
        narrowing("--actor", "KIND:ID", "Only events recorded by this actor."),
    ] = None,
    format: BodyFormat = "runfold",
    content: BodyContent = "thin",
    after: Annotated[
        int | None,
        typer.Option(
            "--after", metavar="P", min=0, help="Only events after this position, 0 for all; those from now on if not given."
        ),
    ] = None,
    webhook_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Your own id, webhook_…; repeating the call then creates no other.")
    ] = None,
    who: Who = None,
) -> None:
    """Create a webhook, and print its id and the secret that its receiver verifies signatures with.

    The address must lead to a public host, over https (see RUNFOLD_WEBHOOK_ALLOW for development).
    """
    with call.ledger() as ledger:
        ledger.executor.require_address(address, "url")  # before keys of secrets are made, if they are not there
        ledger.command_executor.sealed_secrets.require_keys()  # else it would be there, and its secret could not be shown
        made = ledger.create_webhook(
            address,
            label=label,
            types=type,
            thread_id=thread_id,
            run_id=run_id,
            agent_id=agent,
            goal_id=goal,
            user_id=user,
            by_actor=actor,
            format=format,
            content=content,
            after=after,
            webhook_id=webhook_id,
            actor=actor_for(call, who),
        )
        view, secret = ledger.now.webhook(made.id), ledger.webhook_secrets(made.id)[0].secret
    if call.json:
        call.answer({"position": made.receipt.position, "secret": secret, "webhook": view.model_dump(mode="json")})
        return
    call.out.print(view.id, soft_wrap=True)
    call.out.print(secret, soft_wrap=True)
    call.note("Its receiver verifies signatures with this secret (Standard Webhooks); `runfold webhooks secret` shows it again.")


def list_webhooks(
    call: Call,
    *,
    deleted: Annotated[bool, typer.Option("--deleted", help="Also those that were deleted.")] = False,
    at: At = None,
) -> None:
    """List the webhooks of this tenant, oldest first, and what waits to be sent to each."""
    with call.ledger() as ledger:
        position = pinned(call, ledger, at).up_to
        reading = ledger.now if at is None else ledger.at(position)
        views = reading.webhooks(include_deleted=deleted)
    if call.json:
        call.answer({"as_of": position, "items": [view.model_dump(mode="json") for view in views]})
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.text import counted
    from runfold.terminal.webhooks import webhook_table

    print_whole(call.out, webhook_table(views))
    call.out.print(f"{counted(len(views), 'webhook')} as of position {position}", style="dim")


def show(call: Call, webhook_id: WebhookId, *, at: At = None) -> None:
    """Show a webhook: what it is sent, and, unless it is as of a moment, how far it is and what waits."""
    with asking(call, fold=False, at=at) as reading:
        view = reading.webhook(webhook_id)
    if call.json:
        call.answer(view.model_dump(mode="json"))
        return
    from runfold.terminal.webhooks import webhook_facts

    call.out.print(webhook_facts(view))


def secret(
    call: Call,
    webhook_id: Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id; `callbacks` for callback_url of runs.")],
) -> None:
    """Print the secrets that a receiver verifies signatures with, the present one first."""
    with call.ledger() as ledger:
        found = ledger.webhook_secrets(webhook_id)
    if call.json:
        call.answer({"items": [each.model_dump(mode="json") for each in found]})
        return
    for each in found:
        call.out.print(each.secret, soft_wrap=True)


def rotate(
    call: Call,
    webhook_id: WebhookId,
    *,
    keep_for: Annotated[
        str, typer.Option("--keep-for", metavar="DURATION", help="Sign with the secret before, too, for this long: 1h, 7d …")
    ] = "24h",
    who: Who = None,
) -> None:
    """Sign with a new secret, and print it. For a while both are good, so that the receiver can change over."""
    with call.ledger() as ledger:
        ledger.now.webhook(webhook_id)  # which is refused where it is not there, and no keys of secrets are made
        ledger.command_executor.sealed_secrets.require_keys()
        receipt = ledger.webhook(webhook_id).rotate_secret(keep_for=keep_for, actor=actor_for(call, who))
        found = ledger.webhook_secrets(webhook_id)
    if call.json:
        call.answer({"position": receipt.position, "items": [each.model_dump(mode="json") for each in found]})
        return
    call.out.print(found[0].secret, soft_wrap=True)
    if found[1:]:
        from runfold.terminal.text import to_the_minute

        call.note(f"The secret before it is good until {to_the_minute(found[1].until)} (UTC).")


def disable(
    call: Call,
    webhook_id: WebhookId,
    *,
    comment: Comment = None,
    who: Who = None,
) -> None:
    """Send nothing more until it is enabled again. Disabling it again changes nothing."""
    with call.ledger() as ledger:
        _done(call, ledger.webhook(webhook_id).disable(comment, actor=actor_for(call, who)), webhook_id, "disabled")


def enable(call: Call, webhook_id: WebhookId, *, who: Who = None) -> None:
    """Send events again, from where it stood: what was recorded meanwhile too."""
    with call.ledger() as ledger:
        _done(call, ledger.webhook(webhook_id).enable(actor=actor_for(call, who)), webhook_id, "active")


def delete(call: Call, webhook_id: WebhookId, *, who: Who = None) -> None:
    """End a webhook for ever: nothing more is sent, and its secrets are erased."""
    with call.ledger() as ledger:
        _done(call, ledger.webhook(webhook_id).delete(actor=actor_for(call, who)), webhook_id, "deleted")


def replay(
    call: Call,
    webhook_id: WebhookId,
    *,
    after: Annotated[int, typer.Option("--after", metavar="P", min=0, help="Only events after this position.")] = 0,
    up_to: Annotated[
        int | None,
        typer.Option("--up-to", metavar="P", min=1, help="Only events up to this position; the last one if not given."),
    ] = None,
    who: Who = None,
) -> None:
    """Send events again, as far as the webhook's filter lets them pass. They have the ids that they had."""
    with call.ledger() as ledger:
        receipt = ledger.webhook(webhook_id).replay(after=after, up_to=up_to, actor=actor_for(call, who))
    if call.json:
        call.answer({"webhook_id": webhook_id, "position": receipt.position})
    else:
        call.out.print(f"recorded at position {receipt.position}; `runfold work` sends them", style="dim", soft_wrap=True)


def send_test(
    call: Call,
    webhook_id: WebhookId,
    *,
    wait: Annotated[
        str, typer.Option("--wait", metavar="DURATION", help="How long to wait until a worker has sent it: 20s, 2m …")
    ] = "20s",
    who: Who = None,
) -> None:
    """Send a test event (webhook.tested), and wait until a worker has tried. Exit 1 if the receiver did not accept it."""
    from runfold.domain.durations import duration

    seconds = duration("wait", wait).total_seconds()
    with call.ledger() as ledger:
        receipt = ledger.webhook(webhook_id).test(actor=actor_for(call, who))
        with call.busy("Waiting for a worker"):
            tried = _attempt(ledger.now, webhook_id, receipt.position, seconds)
    is_accepted = tried is not None and tried.error is None
    if call.json:
        attempt = tried and tried.model_dump(mode="json")
        call.answer({"webhook_id": webhook_id, "position": receipt.position, "attempt": attempt, "ok": is_accepted})
    elif tried is None:
        call.out.print(f"nobody has sent it within {wait}; start `runfold work`", soft_wrap=True)
    else:
        from runfold.terminal.text import shown

        said = f"accepted with {tried.status_code}" if is_accepted else f"not accepted: {tried.error}"
        call.out.print(shown(f"{said}, after {tried.milliseconds} ms"), soft_wrap=True)
    if not is_accepted:
        raise typer.Exit(1)


def attempts(
    call: Call,
    webhook_id: WebhookId,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only attempts that failed.")] = False,
) -> None:
    """List the last attempts to send something to a webhook, the last first."""
    with call.ledger() as ledger:
        found = ledger.now.webhook_attempts(webhook_id, failed=failed)
    if call.json:
        call.answer({"items": [view.model_dump(mode="json") for view in found]})
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.text import counted
    from runfold.terminal.webhooks import attempt_table

    print_whole(call.out, attempt_table(found))
    call.out.print(counted(len(found), "attempt"), style="dim")


def callback(call: Call, run_id: RunId, *, at: At = None) -> None:
    """Show what became of the call that a run asked for (callback_url)."""
    with asking(call, fold=False, at=at) as reading:
        view = reading.callback(run_id)
    if call.json:
        call.answer(view.model_dump(mode="json"))
        return
    from runfold.terminal.webhooks import callback_facts

    call.out.print(callback_facts(view))


def _done(call: Call, receipt: "Receipt", webhook_id: str, state: str) -> None:
    if call.json:
        call.answer({"webhook_id": webhook_id, "position": receipt.position, "appended": receipt.appended, "status": state})
        return
    call.out.print(f"{webhook_id} is {state}", soft_wrap=True)
    done = f"recorded at position {receipt.position}" if receipt.appended else "it was so already; nothing was added"
    call.out.print(done, style="dim")


def _attempt(reading: "Reading", webhook_id: str, position: int, seconds: float) -> "AttemptView | None":
    import time

    end = time.monotonic() + seconds
    while True:
        tried = next((each for each in reading.webhook_attempts(webhook_id) if each.position == position), None)
        if tried is not None or time.monotonic() >= end:
            return tried
        time.sleep(_LOOK_SECONDS)
