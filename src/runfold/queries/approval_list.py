"""Approvals, listed: what waits for a person, and who decided what, on which arguments."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args

from runfold.domain.approval_events import ApprovalDenied, ApprovalGranted, ApprovalRequested, ApprovalStatus, Choice, Vote
from runfold.history.views import View
from runfold.projections.approval_queue import ApprovalQueue, ApprovalRow
from runfold.queries.paging import Listing, Paging, Sort
from runfold.queries.read_models import Page, Snapshot
from runfold.queries.where import OneOrMore, Where, Within, given, moment, span, texts, words
from runfold.store.reader import Reader

_APPROVALS = Listing(
    ApprovalQueue(),
    {
        "requested_position": (Sort("requested_position"),),
        "expires_at": (Sort("expires_at", datetime, nullable=True),),
        "decided_position": (Sort("decided_position", nullable=True),),
    },
)
_BY_TEXT = (
    "thread_id",
    "run_id",
    "agent_id",
    "user_id",
    "goal_id",
    "action",
    "requested_by",
    "decided_by",
    "call_id",
    "decision_id",
)


class ApprovalsAsked(Paging, total=False):
    """What a list of approvals can be narrowed and sorted by. Where several values are given, any of them will do."""

    status: Annotated[OneOrMore | None, Within(get_args(ApprovalStatus))]
    """open, granted, denied, expired, withdrawn. One past its time stays open until its expiry is recorded."""
    thread_id: OneOrMore | None
    run_id: OneOrMore | None
    agent_id: OneOrMore | None
    user_id: OneOrMore | None
    goal_id: OneOrMore | None
    action: OneOrMore | None
    requested_by: OneOrMore | None
    """As kind:id, like `decided_by`."""
    decided_by: OneOrMore | None
    call_id: OneOrMore | None
    decision_id: OneOrMore | None
    older_than: str | timedelta | None
    """Asked for at least so long ago: 90s, 15m, 1h, 7d or a timedelta."""
    expires_before: datetime | None
    """Those that may be recorded as expired before then; none that never may."""
    order_by: Literal["requested_position", "expires_at", "decided_position"] | None
    """requested_position where nothing is said. What never expires comes after all that does; likewise what is open."""


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


def approval_list(snapshot: Snapshot, asked: ApprovalsAsked) -> Page[ApprovalRow]:
    """A page of approvals: open ones oldest first, unless it says otherwise; any others newest first. Raises UsageError."""
    wanted = given(asked, ApprovalsAsked)
    where = Where()
    statuses = words("status", wanted.get("status"), get_args(ApprovalStatus))
    where.one_of("status", statuses)
    for name in _BY_TEXT:
        where.one_of(name, texts(name, wanted.get(name)))
    if "older_than" in wanted:
        where.add('now() - t."requested_at" >= %b', span("older_than", wanted["older_than"]))
    if "expires_before" in wanted:
        where.add('t."expires_at" < %b', moment("expires_before", wanted["expires_before"]))
    order = "asc" if statuses == ("open",) else "desc"
    return _APPROVALS.page(snapshot, where, wanted, order_by="requested_position", order=order)


def approval_words(reader: Reader, rows: Iterable[ApprovalRow]) -> dict[str, ApprovalWords]:
    """What some approvals say, by their ids: one look into the log for all of them. Raises UnreadableEvent."""
    rows = list(rows)
    positions = [position for row in rows for position in (row.requested_position, row.decided_position) if position is not None]
    recorded = {position: found.event for position, found in reader.at_positions(positions).items()}
    return {row.approval_id: _words(recorded[row.requested_position], recorded.get(row.decided_position or 0)) for row in rows}


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
