"""Approvals, listed: what waits for a person, and who decided what, on which arguments; and one at a glance."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Unpack, get_args

from runfold.domain.approval import Approval
from runfold.domain.approval_events import ApprovalDenied, ApprovalGranted, ApprovalRequested, ApprovalStatus, Choice, Vote
from runfold.errors import ApprovalNotFound
from runfold.history.views import ApprovalView, View
from runfold.projections.approval_queue import ApprovalQueue, ApprovalRow
from runfold.queries.lists.paging import Direction, Listing, Paging, Sort, direction, limit, ordered_by
from runfold.queries.lists.parameters import Parameter, checked, column, narrowed
from runfold.queries.lists.where import OneOrMore, before
from runfold.queries.page import Page
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource


class ApprovalParameters(Paging, total=False):
    """What a list of approvals can be narrowed and sorted by. Where several values are given, any of them will do."""

    status: Annotated[
        OneOrMore | None,
        column(
            "Only approvals with this status. One that is past its time stays open until its expiry is recorded.",
            get_args(ApprovalStatus),
        ),
    ]
    thread_id: Annotated[OneOrMore | None, column("Only approvals in this thread.")]
    run_id: Annotated[OneOrMore | None, column("Only approvals that this run asked for.")]
    agent_id: Annotated[OneOrMore | None, column("Only approvals that this agent's runs asked for.")]
    user_id: Annotated[OneOrMore | None, column("Only approvals in threads of this user.")]
    goal_id: Annotated[OneOrMore | None, column("Only approvals of runs towards this goal.")]
    action: Annotated[OneOrMore | None, column("Only approvals of this action.")]
    requested_by: Annotated[OneOrMore | None, column("Only approvals that this actor asked for, as kind:id.")]
    decided_by: Annotated[OneOrMore | None, column("Only approvals that this actor's vote decided, as kind:id.")]
    call_id: Annotated[OneOrMore | None, column("Only approvals of this tool call.")]
    decision_id: Annotated[OneOrMore | None, column("Only approvals of this decision.")]
    older_than: Annotated[str | timedelta | None, Parameter("Only approvals asked for at least so long ago: 90s, 15m, 1h, 7d.")]
    expires_before: Annotated[
        datetime | None,
        Parameter("Only approvals that may be recorded as expired before then; none that never may."),
    ]
    order_by: Annotated[
        Literal["requested_position", "expires_at", "decided_position"] | None,
        ordered_by("requested_position", "Approvals that never expire, or are open, come after all others."),
    ]
    order: Annotated[Direction | None, direction("desc", ", and asc for open approvals alone")]
    limit: Annotated[int | None, limit(100)]


_APPROVALS = Listing(
    ApprovalQueue(),
    ApprovalParameters,
    {
        "requested_position": (Sort("requested_position"),),
        "expires_at": (Sort("expires_at", datetime, nullable=True),),
        "decided_position": (Sort("decided_position", nullable=True),),
    },
)


class ApprovalWords(View):
    """What an approval says, from the log; its row has the rest."""

    message: str | None
    arguments_text: str
    """What was asked for, to the letter."""
    effective_arguments_text: str | None
    """What was granted: only that may be done."""
    choices: tuple[Choice, ...]
    response_schema: dict[str, Any] | None
    votes: tuple[Vote, ...]
    """All of them, once one decided it."""


@question
def approvals(source: LocalSource, **asked: Unpack[ApprovalParameters]) -> Page[ApprovalRow]:
    """A page of approvals: where only open ones are asked for the oldest first, else the newest.

    Raises UsageError, ReadModelBehind.
    """
    wanted = checked(asked, ApprovalParameters)
    where = narrowed(wanted, ApprovalParameters)
    if "older_than" in wanted:
        where.add('t."requested_at" <= %b', before(source.moment(), wanted["older_than"]))
    if "expires_before" in wanted:
        where.add('t."expires_at" < %b', wanted["expires_before"])
    if wanted.get("status") == ("open",):
        wanted = {"order": "asc", **wanted}
    with source.snapshot("approval_queue", within=source.threads_of(wanted), asked=wanted) as snapshot:
        return _APPROVALS.page(snapshot, where, wanted)


@question
def approval_words(source: LocalSource, approvals: Iterable[ApprovalRow]) -> dict[str, ApprovalWords]:
    """What approvals of a page say, by their ids: questions, arguments, votes. Raises UnreadableEvent."""
    rows = list(approvals)
    positions = [position for row in rows for position in (row.requested_position, row.decided_position) if position is not None]
    recorded = {position: found.event for position, found in source.reader.at_positions(positions).items()}
    return {row.approval_id: _words(recorded[row.requested_position], recorded.get(row.decided_position or 0)) for row in rows}


@question
def approval(source: LocalSource, approval_id: str) -> ApprovalView:
    """An approval at a glance. Raises ApprovalNotFound."""
    state = Approval(approval_id)
    return ApprovalView.of(state, *source.fold(state, ApprovalNotFound))


def _words(asked: Any, decided: Any) -> ApprovalWords:
    assert isinstance(asked, ApprovalRequested), "requested_position is that of the request"  # noqa: S101
    return ApprovalWords(
        message=asked.message,
        arguments_text=asked.arguments_text,
        choices=asked.choices,
        effective_arguments_text=decided.effective_arguments_text if isinstance(decided, ApprovalGranted) else None,
        response_schema=asked.response_schema,
        votes=decided.votes if isinstance(decided, ApprovalGranted | ApprovalDenied) else (),
    )
