"""`runfold approvals`, `approve` and `deny`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.folding import ready
from runfold.cli.identity import As, person
from runfold.cli.lists import Order, Some, answer, moment, print_page
from runfold.cli.options import Cursor, Fold, Limit

if TYPE_CHECKING:
    from runfold.commands.submitted import Receipt
    from runfold.ledger import Ledger

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
    """List approvals: what waits for a decision, and who decided what.

    Newest first; with --open only open ones, oldest first. The arguments shown are the granted ones where somebody edited
    them. In JSON each item has its texts (exact arguments, votes) under `words`.
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
        return
    from runfold.terminal.tables import approval_table

    print_page(call, approval_table(page.items, words), page, "approval")


def approve(
    call: Call,
    approval_id: ApprovalId,
    arguments: Annotated[
        str | None,
        typer.Option("--arguments", metavar="JSON", help="Grant these arguments instead of the requested ones."),
    ] = None,
    comment: Annotated[str | None, typer.Option("--comment", metavar="TEXT", help="A comment on the vote.")] = None,
    response: Annotated[
        str | None,
        typer.Option("--response", metavar="JSON", help="The answer, a JSON object, if the approval asks for one."),
    ] = None,
    who: As = None,
) -> None:
    """Vote yes on an approval. The last vote of the quorum grants it, and its run resumes once no other approval is open.

    Needs no read model. Repeating a vote changes nothing.
    """
    from runfold.domain.values import parse_json

    if arguments is not None:
        parse_json(arguments, "--arguments")  # the ledger stores any text; here it must be JSON
    said = None if response is None else _object(parse_json(response, "--response"))
    with call.ledger() as ledger:
        approval = ledger.approval(ledger.now.approval(approval_id).id)  # refuse an unknown id before asking who votes
        receipt = approval.grant(comment=comment, arguments=arguments, response=said, actor=person(call, who))
        _answer_vote(call, ledger, approval_id, receipt)


def deny(
    call: Call,
    approval_id: ApprovalId,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="The reason, which the agent sees.")] = None,
    who: As = None,
) -> None:
    """Vote no on an approval, which denies it. Its tool call fails with the reason, and the agent may try something else.

    Needs no read model. Repeating a vote changes nothing.
    """
    with call.ledger() as ledger:
        approval = ledger.approval(ledger.now.approval(approval_id).id)
        receipt = approval.deny(reason, actor=person(call, who))
        _answer_vote(call, ledger, approval_id, receipt)


def _object(response: Any) -> dict[str, Any]:
    from runfold.errors import InvalidEvent

    if not isinstance(response, dict):
        raise InvalidEvent("--response", 'is not an object; write one such as \'{"size": "L"}\'')
    return response


def _answer_vote(call: Call, ledger: "Ledger", approval_id: str, receipt: "Receipt") -> None:
    view = ledger.now.approval(approval_id)
    if call.json:
        call.answer({"position": receipt.position, "appended": receipt.appended, "approval": view.model_dump(mode="json")})
        return
    from runfold.terminal.text import one_line, shown

    votes = ", ".join(f"{vote.voter} voted {vote.verdict}" for vote in view.votes)
    call.out.print(shown(f"{view.id} is {view.status}: {votes}"), soft_wrap=True)
    arguments = view.effective_arguments_text or view.arguments_text
    call.out.print(shown(one_line(f"{view.action} {arguments}")), soft_wrap=True)
    done = f"recorded at position {receipt.position}" if receipt.appended else "this vote was already recorded; nothing was added"
    call.out.print(done, style="dim")
