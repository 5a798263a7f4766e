"""What happens to an approval: what a person is asked to allow, who voted, how it ended, and that it was used once."""

from typing import Annotated, Literal

from pydantic import Field

from runfold.domain.event import Event
from runfold.domain.values import INT_LIMIT, ActorKind, Digest, Id, JsonObject, Label, RunId, Text, Time, Value

ClosedStatus = Literal["granted", "denied", "expired", "withdrawn"]
ApprovalStatus = Literal["open", ClosedStatus]
WithdrawalCause = Literal["run_cancelled", "run_failed", "new_input", "call_ended"]


ONLY_PEOPLE: tuple[ActorKind, ...] = ("human",)
"""The kinds of actors that may decide when the request does not say."""


class ApprovalRule(Value):
    """How many must agree, and who may decide. A field that is absent restricts nobody."""

    quorum: int = Field(1, ge=1, lt=INT_LIMIT)
    eligible: tuple[Label, ...] = ()
    """Actors as `kind:id`; empty means anybody."""
    requester_excluded: bool | None = None
    """Whether the requester, and anybody acting for the requester, is excluded from voting."""
    approver_kinds: Annotated[tuple[ActorKind, ...], Field(min_length=1)] | None = None
    """The kinds of actors that may vote. The voter counts, not whom they act for: an agent never votes as a person."""


class Choice(Value):
    """An answer that the person may choose."""

    id: Id
    label: Text
    description: Text | None = None


Verdict = Literal["approve", "deny"]
"""What a vote says."""


class Vote(Value):
    """The vote of one voter."""

    voter: Label
    verdict: Verdict
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
    """A vote was cast or refused."""

    voter: Label
    on_behalf_of: Label | None = None
    """Whose vote it is when the voter acts for somebody: neither of the two has another vote."""
    verdict: Verdict
    comment: Text | None = None
    edited_arguments_text: Text | None = None
    response: JsonObject | None = None


class ApprovalVoteCast(VoteEvent, type="approval.vote_cast"):
    """Somebody voted. Edited arguments replace the asked ones whole, and are another thing to agree on."""


class ApprovalVoteRefused(VoteEvent, type="approval.vote_refused"):
    """Somebody who might have decided it voted when it was closed. It changes nothing; who looks back sees both."""

    status: ClosedStatus
    """How the approval had ended."""


class ApprovalGranted(ApprovalEvent, type="approval.granted"):
    """Enough agreed. What may be done is the effective arguments, and nothing else."""

    effective_arguments_text: Text
    effective_digest: Digest
    edited: bool
    votes: tuple[Vote, ...]
    times_judged_by: Literal["producer"] | None = None
    """Whose clock said that it came in time, where it is history that was imported: nothing live may use it."""


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
