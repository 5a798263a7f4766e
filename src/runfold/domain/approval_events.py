"""What happens to an approval: what a person is asked to allow, who voted, how it ended, and that it was used once."""

from typing import Annotated, Literal

from pydantic import Field

from runfold.domain.event import Event
from runfold.domain.values import INT_LIMIT, ActorKind, Digest, Id, JsonObject, Label, RunId, Text, Time, Value

ClosedStatus = Literal["granted", "denied", "expired", "withdrawn"]
ApprovalStatus = Literal["open", ClosedStatus]
WithdrawalCause = Literal["run_cancelled", "run_failed", "new_input"]


ONLY_PEOPLE: tuple[ActorKind, ...] = ("human",)
"""Who may decide what a command asks for that says nothing of it."""


class ApprovalRule(Value):
    """How many must agree, and who may. What is absent was not said when it was asked, and then leaves it to anybody."""

    quorum: int = Field(1, ge=1, lt=INT_LIMIT)
    eligible: tuple[Label, ...] = ()
    """Actors as `kind:id`; empty means anybody."""
    requester_excluded: bool | None = None
    """Whether who asked may not vote, nor anybody on their behalf."""
    approver_kinds: Annotated[tuple[ActorKind, ...], Field(min_length=1)] | None = None
    """The kinds of actors that may vote, by who votes and not by whom they vote for: an agent's word is no person's."""


class Choice(Value):
    """One answer that the person may choose."""

    id: Id
    label: Text
    description: Text | None = None


class Vote(Value):
    """What one voter said."""

    voter: Label
    verdict: Literal["approve", "deny"]
    comment: Text | None = None


class ApprovalEvent(Event):
    """Something happened to an approval."""


class ApprovalRequested(ApprovalEvent, type="approval.requested"):
    """The agent stopped and asked a person before acting.

    `arguments_text` is the exact text that is to be approved, and `arguments_digest` its SHA-256. Reasons are AG-UI's
    `tool_call`, `input_required`, `confirmation`, or a framework's own as `framework:name`. What is granted before
    `expires_at` may be used until then, and while the run goes on.
    """

    derived = frozenset({"expires_at"})  # given as a duration, it is another moment each time

    run_id: RunId
    requested_by: Label
    call_id: Id | None = None
    decision_id: Id | None = None
    action: Label
    reason: Label
    message: Text | None = None
    arguments_text: Text
    arguments_digest: Digest
    choices: tuple[Choice, ...] = ()
    response_schema: JsonObject | None = None
    expires_at: Time | None = None
    rule: ApprovalRule = ApprovalRule()


class VoteEvent(ApprovalEvent):
    """What somebody said."""

    voter: Label
    on_behalf_of: Label | None = None
    """Whose vote it is, where the voter speaks for somebody: neither has another."""
    verdict: Literal["approve", "deny"]
    comment: Text | None = None
    edited_arguments_text: Text | None = None
    response: JsonObject | None = None


class ApprovalVoteCast(VoteEvent, type="approval.vote_cast"):
    """Somebody voted. Edited arguments replace the asked ones whole, and are another thing to agree on."""


class ApprovalVoteRefused(VoteEvent, type="approval.vote_refused"):
    """Somebody who might have decided it voted when it was closed. It changes nothing; who looks back sees both."""

    status: ClosedStatus
    """How it had ended."""


class ApprovalGranted(ApprovalEvent, type="approval.granted"):
    """Enough agreed. What may be done is the effective arguments, and nothing else."""

    effective_arguments_text: Text
    effective_digest: Digest
    edited: bool
    votes: tuple[Vote, ...]


class ApprovalDenied(ApprovalEvent, type="approval.denied"):
    """Somebody said no. The agent sees an error and may go on otherwise."""

    reason: Text | None = None
    votes: tuple[Vote, ...]


class ApprovalExpired(ApprovalEvent, type="approval.expired"):
    """Nobody answered in time."""


class ApprovalWithdrawn(ApprovalEvent, type="approval.withdrawn"):
    """The question fell away before it was answered."""

    cause: WithdrawalCause


class ApprovalConsumed(ApprovalEvent, type="approval.consumed"):
    """What was granted was used, once, for the arguments that were approved."""

    run_id: RunId
    call_id: Id | None = None
    execution_key: Id
    arguments_digest: Digest


AnyApprovalEvent = (
    ApprovalRequested
    | ApprovalVoteCast
    | ApprovalVoteRefused
    | ApprovalGranted
    | ApprovalDenied
    | ApprovalExpired
    | ApprovalWithdrawn
    | ApprovalConsumed
)
