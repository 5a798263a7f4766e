"""An approval: its state, and the rules by which it is voted on, ends, and is used once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NoReturn, assert_never, cast

from runfold.domain.approval_events import (
    ONLY_PEOPLE,
    AnyApprovalEvent,
    ApprovalConsumed,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRule,
    ApprovalStatus,
    ApprovalVoteCast,
    ApprovalVoteRefused,
    ApprovalWithdrawn,
    Verdict,
    Vote,
    WithdrawalCause,
)
from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.values import Actor, digest, same
from runfold.errors import CommandRefused, InvalidEvent


@dataclass(frozen=True)
class Ballot:
    """One voter's vote, and the arguments it is for."""

    vote: Vote
    arguments_text: str
    edited_text: str | None
    response: dict[str, object] | None = None

    def says(self, verdict: str, edited_text: str | None, response: dict[str, object] | None) -> bool:
        """Return whether it is the same vote again."""
        return (self.vote.verdict, self.edited_text) == (verdict, edited_text) and same(self.response, response)


class Approval:
    """The state of an approval after its events. At version 0 it has not been requested."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self.requested: ApprovalRequested | None = None
        self.status: ApprovalStatus = "open"
        self.ballots: dict[str, Ballot] = {}
        self.voices: dict[str, str] = {}
        """The people who have voted, themselves or through somebody, and who cast each vote."""
        self.too_late: set[str] = set()
        """The people who voted after it was closed."""
        self.granted: ApprovalGranted | None = None
        self.consumed: ApprovalConsumed | None = None

    @property
    def exists(self) -> bool:
        """Tell whether the approval was requested."""
        return self.requested is not None

    @property
    def request(self) -> ApprovalRequested:
        """Return the request; only call it when the approval exists."""
        assert self.requested is not None, f"{self.id} was never requested"  # noqa: S101  the executor checks
        return self.requested

    def describe(self) -> str:
        """Describe the approval's state in words."""
        return f"{self.status} at version {self.version}" if self.exists else "not requested"

    def refuse(self, command: str, rule: str) -> NoReturn:
        """Raise CommandRefused with this approval's state."""
        raise CommandRefused(command, self.id, rule, self.describe())

    def ask(self, requested: ApprovalRequested, now: datetime | None) -> Events:
        """Request the approval, `now` or, where that is None, in the past. Repeating it under the same id records nothing."""
        if self.requested is not None:
            raise AlreadyRecorded("approval", self.id, self.id, 1, _as_before(requested, self.requested.rule))
        if requested.arguments_digest != digest(requested.arguments_text):
            self.refuse("request_approval", "arguments_digest does not match arguments_text, the text that is approved")
        if now is not None and requested.expires_at is not None and requested.expires_at <= now:
            fact = f"{requested.expires_at.isoformat()} has passed: it is {now.isoformat()}, and nobody could decide it"
            raise InvalidEvent("expires_at", f"{fact}; give a later time", requested.type)
        rule, able = requested.rule, set(requested.rule.eligible)
        if rule.requester_excluded:
            able.discard(requested.requested_by)
        if rule.approver_kinds is not None:
            able = {name for name in able if name.partition(":")[0] in rule.approver_kinds}
        if rule.eligible and len(able) < rule.quorum:
            more = "more" if rule.approver_kinds is None else f"more of kind {' or '.join(rule.approver_kinds)}"
            self.refuse("request_approval", f"{len(able)} may decide it, but {rule.quorum} must agree; name {more}")
        return [requested]

    def is_late(self, now: datetime) -> bool:
        """Tell whether it is open past its expiry. Only a recorded expiry closes it."""
        expires_at = self.request.expires_at
        return self.status == "open" and expires_at is not None and now >= expires_at

    def vote(
        self,
        voter: Actor,
        verdict: Verdict,
        comment: str | None = None,
        edited: str | None = None,
        response: dict[str, object] | None = None,
        *,
        times_judged_by: Literal["producer"] | None = None,
    ) -> Events:
        """Cast a vote. The quorum's last yes for the same arguments grants, one no denies; repeating a vote changes nothing."""
        command = "grant" if verdict == "approve" else "deny"
        name = str(voter)
        cast_already = self.ballots.get(name)
        if cast_already and cast_already.says(verdict, edited, response):
            return []
        if self.status != "open":
            self.refuse(command, "only an open approval accepts votes; request another one (`request_approval`)")
        if cast_already:
            self.refuse(command, f"{name} has already voted {cast_already.vote.verdict}; votes are final")
        self._check_voter(command, voter)
        self._check_voices(command, voter)
        vote = ApprovalVoteCast(
            voter=name,
            on_behalf_of=voter.on_behalf_of,
            verdict=verdict,
            comment=comment,
            edited_arguments_text=edited,
            response=response,
        )
        return [vote, *self._decided_by(Vote(voter=name, verdict=verdict, comment=comment), edited, times_judged_by)]

    def _decided_by(self, vote: Vote, edited: str | None, times_judged_by: Literal["producer"] | None) -> Events:
        """Return the decision that one more vote makes, if it makes one."""
        votes = (*(ballot.vote for ballot in self.ballots.values()), vote)
        if vote.verdict == "deny":
            return [ApprovalDenied(reason=vote.comment, votes=votes)]
        effective = self.request.arguments_text if edited is None else edited
        agreeing = 1 + sum(
            ballot.vote.verdict == "approve" and ballot.arguments_text == effective for ballot in self.ballots.values()
        )
        if agreeing < self.request.rule.quorum:
            return []
        granted = ApprovalGranted(
            effective_arguments_text=effective,
            effective_digest=digest(effective),
            edited=effective != self.request.arguments_text,
            votes=votes,
            times_judged_by=times_judged_by,
        )
        return [granted]

    def _check_voices(self, command: str, voter: Actor) -> None:
        """Refuse the vote of somebody for whom, or by whom, a vote was cast before."""
        for person in _voices(voter) & self.voices.keys():
            self.refuse(
                command,
                f"{self.voices[person]} has already voted for {person}; each person has one vote, so somebody else must decide",
            )

    def vote_too_late(
        self,
        voter: Actor,
        verdict: Verdict,
        comment: str | None = None,
        edited: str | None = None,
        response: dict[str, object] | None = None,
    ) -> Events:
        """Record, once for each eligible voter, that a vote came after the approval was closed."""
        name = str(voter)
        if self.status == "open" or name in self.ballots or name in self.too_late:
            return []
        self._check_voter("vote", voter)
        return [
            ApprovalVoteRefused(
                voter=name,
                on_behalf_of=voter.on_behalf_of,
                verdict=verdict,
                comment=comment,
                edited_arguments_text=edited,
                response=response,
                status=self.status,
            )
        ]

    def expire(self, now: datetime) -> Events:
        """Close the approval because nobody answered in time."""
        if self.status == "expired":
            return []
        if self.status != "open":
            self.refuse("expire", "only an open approval can expire")
        if not self.is_late(now):
            when = f"expires at {self.request.expires_at}" if self.request.expires_at else "never expires"
            self.refuse("expire", f"it {when}, and it is now {now.isoformat()}")
        return [ApprovalExpired()]

    def withdraw(self, cause: WithdrawalCause) -> Events:
        """Withdraw the request. Withdrawing a closed approval changes nothing."""
        return [ApprovalWithdrawn(cause=cause)] if self.status == "open" else []

    def consume(
        self,
        arguments_digest: str,
        execution_key: str,
        now: datetime,
        run_ended: str | None = None,
        *,
        times_judged_by: Literal["producer"] | None = None,
    ) -> Events:
        """Use what was granted: once, only for the arguments that were approved, before `expires_at` and the end of its run.

        `run_ended` is the state of its run in words where that has ended. The same use again changes nothing, whenever it is
        repeated. What an import granted is used by an import alone.
        """
        if self.granted is None:
            self.refuse("consume", f"only a granted approval can be used; {self._to_use_it()}")
        if self.consumed and self.consumed.execution_key == execution_key and self.consumed.arguments_digest == arguments_digest:
            return []
        if self.consumed:
            self.refuse("consume", f"execution {self.consumed.execution_key} has already used it; it can be used once")
        if arguments_digest != self.granted.effective_digest:
            self.refuse(
                "consume",
                f"it was granted for {self.granted.effective_digest}, not {arguments_digest}; give the arguments as granted",
            )
        if self.granted.times_judged_by == "producer" and times_judged_by is None:
            self.refuse("consume", "it was granted in history that was imported, and is not for use now; request a new approval")
        if run_ended is not None:
            self.refuse("consume", f"{self.request.run_id} is {run_ended}, which ended its approvals; request a new one")
        expires_at = self.request.expires_at
        if expires_at is not None and now >= expires_at:
            until = f"it could be used until {expires_at.isoformat()}, and it is now {now.isoformat()}"
            self.refuse("consume", f"{until}; request a new approval")
        asked = self.request
        return [
            ApprovalConsumed(
                run_id=asked.run_id, call_id=asked.call_id, execution_key=execution_key, arguments_digest=arguments_digest
            )
        ]

    def _to_use_it(self) -> str:
        return "have it granted first (`grant()`)" if self.status == "open" else "request another one (`request_approval`)"

    def evolve(self, event: Event) -> None:
        """Update the state by one event."""
        self.version += 1
        match cast("AnyApprovalEvent", event):
            case ApprovalRequested() as requested:
                self.requested = requested
            case ApprovalVoteCast() as cast_now:
                text = cast_now.edited_arguments_text
                vote = Vote(voter=cast_now.voter, verdict=cast_now.verdict, comment=cast_now.comment)
                effective = self.request.arguments_text if text is None else text
                self.ballots[cast_now.voter] = Ballot(vote, effective, text, cast_now.response)
                self.voices |= dict.fromkeys(_names(cast_now.voter, cast_now.on_behalf_of), cast_now.voter)
            case ApprovalVoteRefused() as refused:
                self.too_late.add(refused.voter)
            case ApprovalGranted() as granted:
                self.status, self.granted = "granted", granted
            case ApprovalDenied():
                self.status = "denied"
            case ApprovalExpired():
                self.status = "expired"
            case ApprovalWithdrawn():
                self.status = "withdrawn"
            case ApprovalConsumed() as consumed:
                self.consumed = consumed
            case never:
                assert_never(never)

    def _check_voter(self, command: str, voter: Actor) -> None:
        rule, name = self.request.rule, str(voter)
        if rule.eligible and name not in rule.eligible:
            self.refuse(command, f"{name} may not decide it; {', '.join(rule.eligible)} may")
        if rule.approver_kinds is not None and voter.kind not in rule.approver_kinds:
            kinds = " or ".join(rule.approver_kinds)
            self.refuse(command, f"{name} may not decide it: only voters of kind {kinds} may; vote as {kinds}:NAME")
        if rule.requester_excluded and self.request.requested_by in _voices(voter):
            self.refuse(command, f"{self.request.requested_by} requested it and may not decide it; another approver must")


def _voices(voter: Actor) -> set[str]:
    return _names(str(voter), voter.on_behalf_of)


def _names(voter: str, on_behalf_of: str | None) -> set[str]:
    """Return whose vote it is: the voter, and the person that the voter acts for."""
    return {voter} if on_behalf_of is None else {voter, on_behalf_of}


def _as_before(requested: ApprovalRequested, recorded: ApprovalRule) -> ApprovalRequested:
    """Return a repeated request as it was recorded when requests did not yet say who may decide."""
    rule = requested.rule
    if recorded.approver_kinds is not None or rule.approver_kinds not in {None, ONLY_PEOPLE}:
        return requested
    excluded = rule.requester_excluded if rule.requester_excluded is False else recorded.requester_excluded
    unsaid = {"approver_kinds": None, "requester_excluded": excluded}
    return requested.model_copy(update={"rule": rule.model_copy(update=unsaid)})
