"""`runfold approvals`, `approve` and `deny`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call
from runfold.cli.calling.identity import As, person
from runfold.cli.calling.lists import answer, asking, page_of, print_page, with_words
from runfold.cli.calling.options import At, CommentOrReason, Fold, HappenedAt

if TYPE_CHECKING:
    from runfold.commands.submitted import Receipt
    from runfold.ledger import Ledger

ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL", help="The approval's id, as `runfold approvals` shows it.")]


def approvals(
    call: Call,
    *,
    open: Annotated[bool, typer.Option("--open", help="Only open approvals, oldest first.")] = False,
    at: At = None,
    happened_at: HappenedAt = None,
    fold: Fold = False,
    **asked: Any,
) -> None:
    """List approvals: what waits for a decision, and who decided what.

    Newest first; with --open only open ones, oldest first. The arguments shown are the granted ones where somebody edited
    them. In JSON each item has its texts (exact arguments, votes) under `words`.
    """
    if open:
        asked["status"] = ["open", *asked.get("status", ())]
    with asking(call, "approval_queue", fold=fold, at=at, happened_at=happened_at) as reading:
        page = page_of(reading.approvals, asked)
        words = reading.approval_words(page.items)
    if call.json:
        answer(call, page, with_words(page.items, (words[row.approval_id] for row in page.items)))
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
    comment: CommentOrReason = None,
    response: Annotated[
        str | None,
        typer.Option("--response", metavar="JSON", help="The answer, a JSON object, if the approval asks for one."),
    ] = None,
    who: As = None,
) -> None:
    """Vote yes on an approval. The last vote of the quorum grants it, and its run resumes once no other approval is open.

    Needs no read model. Repeating a vote changes nothing.
    """
    from runfold.domain.json_text import parse_json

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
    comment: CommentOrReason = None,
    who: As = None,
) -> None:
    """Vote no on an approval, which denies it. Its tool call fails with the comment, and the agent may try something else.

    Needs no read model. Repeating a vote changes nothing.
    """
    with call.ledger() as ledger:
        approval = ledger.approval(ledger.now.approval(approval_id).id)
        receipt = approval.deny(comment, actor=person(call, who))
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
