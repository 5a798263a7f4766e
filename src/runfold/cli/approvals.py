"""`runfold approvals`, `approve` and `deny`: what waits for a person, and the person's answer."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.identity import As, person
from runfold.cli.pages import Cursor, Limit, Order, Some, answer, conclude, moment, on_day
from runfold.cli.projections import Fold, ready

if TYPE_CHECKING:
    from runfold.commands.submitted import Receipt
    from runfold.ledger import Ledger
    from runfold.projections.approval_queue import ApprovalRow
    from runfold.queries.approval_list import ApprovalWords
    from runfold.queries.read_models import Page

_STYLES = {"open": "cyan", "granted": "green", "denied": "red", "expired": "yellow", "withdrawn": "yellow"}

ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL", help="The approval's id, as `runfold approvals` shows it.")]


def approvals(  # noqa: PLR0913  one option for each thing that approvals can be found by
    call: Call,
    *,
    open: Annotated[bool, typer.Option("--open", help="Only those that wait for somebody, the oldest first.")] = False,
    status: Annotated[
        Some, typer.Option("--status", metavar="STATUS", help="open, granted, denied, expired or withdrawn.")
    ] = None,
    thread: Annotated[Some, typer.Option("--thread", metavar="THREAD", help="In this thread.")] = None,
    run: Annotated[Some, typer.Option("--run", metavar="RUN", help="Of this run.")] = None,
    agent: Annotated[Some, typer.Option("--agent", metavar="AGENT", help="Of this agent's runs.")] = None,
    user: Annotated[Some, typer.Option("--user", metavar="USER", help="In threads of this user.")] = None,
    action: Annotated[Some, typer.Option("--action", metavar="ACTION", help="For this action.")] = None,
    requested_by: Annotated[Some, typer.Option("--requested-by", metavar="KIND:ID", help="Asked by this actor.")] = None,
    decided_by: Annotated[Some, typer.Option("--decided-by", metavar="KIND:ID", help="Decided by this actor's vote.")] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Asked so long ago: 90s, 15m, 1h, 7d.")
    ] = None,
    expires_before: Annotated[
        str | None, typer.Option("--expires-before", metavar="TIME", help="That may expire before then.")
    ] = None,
    order_by: Annotated[
        str,
        typer.Option("--order-by", metavar="WHAT", help="requested_position, expires_at or decided_position."),
    ] = "requested_position",
    order: Order = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    fold: Fold = False,
) -> None:
    """List approvals: what waits for a person, and who decided what.

    Newest first; with --open only those that wait, the oldest first. The arguments shown are those that were granted, where
    somebody edited them. In JSON each item has its words (arguments to the letter, votes) under `words`.
    """
    asked: dict[str, Any] = {
        "status": ["open", *(status or ())] if open else status,
        "thread_id": thread,
        "run_id": run,
        "agent_id": agent,
        "user_id": user,
        "action": action,
        "requested_by": requested_by,
        "decided_by": decided_by,
        "older_than": older_than,
        "expires_before": moment("--expires-before", expires_before),
        "order_by": order_by,
        "order": order,
        "limit": limit,
        "cursor": cursor,
    }
    with call.ledger() as ledger:
        ready(call, ledger, "approval_queue", fold=fold)
        page = ledger.now.approvals(**asked)
        words = ledger.now.approval_words(page.items)
    if call.json:
        items = [{**row.model_dump(mode="json"), "words": words[row.approval_id].model_dump(mode="json")} for row in page.items]
        answer(call, page, items)
    else:
        _print(call, page, words)


def approve(
    call: Call,
    approval_id: ApprovalId,
    arguments: Annotated[
        str | None,
        typer.Option("--arguments", metavar="JSON", help="Allow these arguments instead, which replace the asked ones whole."),
    ] = None,
    comment: Annotated[str | None, typer.Option("--comment", metavar="TEXT", help="What to say with the vote.")] = None,
    response: Annotated[
        str | None, typer.Option("--response", metavar="JSON", help="The answer, an object, where one was asked for.")
    ] = None,
    who: As = None,
) -> None:
    """Vote yes on an approval. The quorum's last yes grants it, and its run goes on once nothing else is open.

    Needs no read model. Giving the same vote again changes nothing.
    """
    from runfold.domain.values import parse_json

    if arguments is not None:
        parse_json(arguments, "--arguments")  # the ledger takes any text to the letter; here it is meant to be JSON
    said = None if response is None else _object(parse_json(response, "--response"))
    with call.ledger() as ledger:
        approval = ledger.approval(ledger.now.approval(approval_id).id)  # nobody is asked who they are for nothing
        receipt = approval.grant(comment=comment, arguments=arguments, response=said, actor=person(call, who))
        _answer_vote(call, ledger, approval_id, receipt)


def deny(
    call: Call,
    approval_id: ApprovalId,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why not; the agent sees it.")] = None,
    who: As = None,
) -> None:
    """Vote no on an approval, which decides it. Its tool call fails with the reason, and the agent may go on otherwise.

    Needs no read model. Giving the same vote again changes nothing.
    """
    with call.ledger() as ledger:
        approval = ledger.approval(ledger.now.approval(approval_id).id)
        receipt = approval.deny(reason, actor=person(call, who))
        _answer_vote(call, ledger, approval_id, receipt)


def _object(response: Any) -> dict[str, Any]:
    from runfold.errors import InvalidEvent

    if not isinstance(response, dict):
        raise InvalidEvent("--response", 'is no object; write one such as \'{"size": "L"}\'')
    return response


def _answer_vote(call: Call, ledger: "Ledger", approval_id: str, receipt: "Receipt") -> None:
    view = ledger.now.approval(approval_id)
    if call.json:
        call.answer({"position": receipt.position, "appended": receipt.appended, "approval": view.model_dump(mode="json")})
        return
    from runfold.cli.terminal import one_line, shown

    votes = ", ".join(f"{vote.voter} voted {vote.verdict}" for vote in view.votes)
    call.out.print(shown(f"{view.id} is {view.status}: {votes}"), soft_wrap=True)
    arguments = view.effective_arguments_text or view.arguments_text
    call.out.print(shown(one_line(f"{view.action} {arguments}")), soft_wrap=True)
    done = f"recorded at position {receipt.position}" if receipt.appended else "that vote stood already; nothing was added"
    call.out.print(done, style="dim")


def _print(call: Call, page: "Page[ApprovalRow]", words: "dict[str, ApprovalWords]") -> None:
    from runfold.cli.terminal import one_line, print_whole, shown, table

    rows = [
        (
            row.approval_id,
            shown(row.status, _STYLES.get(row.status, "")),
            one_line(row.action, 40),
            one_line(words[row.approval_id].effective_arguments_text or words[row.approval_id].arguments_text, 80),
            row.run_id,
            on_day(row.requested_at),
            on_day(row.expires_at),
            row.decided_by or "",
        )
        for row in page.items
    ]
    heads = ("id", "status", "action", "arguments", "run", "asked (UTC)", "expires", "decided by")
    print_whole(call.out, table(heads, rows, wraps="arguments"))
    conclude(call, page, "approval")
