"""The handle of an approval, and the command of a run that requests one."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Unpack

from runfold.commands.caller import Envelope, TimedEnvelope
from runfold.commands.json_schema import mismatch, require_schema
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.approval import Approval as ApprovalState
from runfold.domain.approval_events import (
    ONLY_PEOPLE,
    ApprovalExpired,
    ApprovalRequested,
    ApprovalRule,
    ApprovalVoteRefused,
    Choice,
    Verdict,
)
from runfold.domain.durations import later, positive_duration
from runfold.domain.event import Event
from runfold.domain.run import ENDED
from runfold.domain.run import Run as RunState
from runfold.domain.subjects import about_question
from runfold.domain.tool_call import Failure, ToolFailed
from runfold.domain.values import Actor, ActorKind, ApprovalId, digest
from runfold.errors import ApprovalsLeftOpen, CommandRefused, InvalidEvent
from runfold.handles.calling.arguments import arguments_of, checked
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.handle import Handle
from runfold.handles.calling.judging import UNKNOWN, judgement
from runfold.handles.calling.run_plan import run_state

_FAILURES = {"denied": "approval_denied", "expired": "approval_expired"}


class Approval(Handle):
    """Names what a person is asked to allow."""

    @command
    def vote(
        self,
        verdict: Verdict,
        *,
        comment: str | None = None,
        arguments: Any = None,
        response: dict[str, Any] | None = None,
        expected_open: Iterable[str] | None = None,
        **envelope: Unpack[TimedEnvelope],
    ) -> Plan[Receipt]:
        """Vote. The quorum's last yes grants, and the run goes on once nothing else is open; one no decides it.

        `arguments` replace the asked ones whole; a quorum must agree on the same ones. The voter is `actor`, and what a no
        says in `comment` is what the agent hears. With `expected_open`, refused where the run waits for other approvals
        than those.
        """
        checked(Verdict, "verdict", verdict)
        if verdict == "deny" and (arguments is not None or response is not None):
            raise InvalidEvent("verdict", "is deny: nothing is done with `arguments` or `response` then; leave them out")
        edited = None if arguments is None else arguments_of(arguments)[0]
        together = None if expected_open is None else frozenset(expected_open)
        return self._vote(verdict, comment, edited, response, together, envelope)

    def grant(
        self,
        *,
        comment: str | None = None,
        arguments: Any = None,
        response: dict[str, Any] | None = None,
        **envelope: Unpack[TimedEnvelope],
    ) -> Receipt:
        """Vote yes. `arguments` replace the asked ones whole."""
        return self.vote("approve", comment=comment, arguments=arguments, response=response, **envelope)

    def deny(self, reason: str | None = None, **envelope: Unpack[TimedEnvelope]) -> Receipt:
        """Vote no, which decides it. Its tool call fails with the reason, and the agent may go on otherwise."""
        return self.vote("deny", comment=reason, **envelope)

    @command
    def expire(self, **envelope: Unpack[TimedEnvelope]) -> Plan[Receipt]:
        """Record that nobody answered in time. Refused before its time."""
        return self._resolving(lambda approval: approval.expire(judgement(self.executor, envelope).at), envelope)

    @command
    def consume(self, arguments: Any, *, execution_key: str, **envelope: Unpack[TimedEnvelope]) -> Plan[Receipt]:
        """Use what was granted: once, only for the arguments that were approved, before `expires_at` and the end of its run.

        Again with the same key changes nothing.
        """
        asked_digest = digest(arguments_of(arguments)[0])

        def work(session: Session) -> None:
            approval = session.approval(self.id)
            session.expect(approval, envelope.get("expected_version"))
            ended = ended_run(session.run(approval.request.run_id))
            now, whose = judgement(self.executor, envelope)
            session.record(approval, approval.consume(asked_digest, execution_key, now, ended, times_judged_by=whose))

        return Plan(self.id, work, itself, envelope)

    submit_vote = submitting(vote)

    def submit_grant(
        self,
        *,
        comment: str | None = None,
        arguments: Any = None,
        response: dict[str, Any] | None = None,
        **envelope: Unpack[TimedEnvelope],
    ) -> Submitted[Receipt]:
        """Do as `grant` does, but return at once."""
        return self.submit_vote("approve", comment=comment, arguments=arguments, response=response, **envelope)

    def submit_deny(self, reason: str | None = None, **envelope: Unpack[TimedEnvelope]) -> Submitted[Receipt]:
        """Do as `deny` does, but return at once."""
        return self.submit_vote("deny", comment=reason, **envelope)

    submit_expire = submitting(expire)
    submit_consume = submitting(consume)

    def _vote(
        self,
        verdict: Verdict,
        comment: str | None,
        edited: str | None,
        response: dict[str, Any] | None,
        together: frozenset[str] | None,
        envelope: TimedEnvelope,
    ) -> Plan[Receipt]:
        voter = Actor.parse(envelope.get("actor", self.executor.actor))

        def decide(approval: ApprovalState) -> list[Event]:
            now, whose = judgement(self.executor, envelope)
            if approval.is_late(now):
                return approval.expire(now)
            schema = approval.request.response_schema
            if schema is not None and response is not None and (fault := mismatch("response", response, schema)):
                raise InvalidEvent(fault.path, f"is not what the approval's response_schema says: {fault.reason}")
            try:
                return approval.vote(voter, verdict, comment, edited, response, times_judged_by=whose)
            except CommandRefused:
                if kept := approval.vote_too_late(voter, verdict, comment, edited, response):
                    return kept
                raise

        return self._resolving(decide, envelope, self._voted, together)

    def _voted(self, receipt: Receipt) -> Receipt:
        """Return the answer to a vote, when it is first given and ever after. Raises CommandRefused where it came too late."""
        for event in receipt.events:
            if isinstance(event, ApprovalExpired):
                raise CommandRefused("vote", self.id, "its time is over; that it expired is recorded now", "expired")
            if isinstance(event, ApprovalVoteRefused):
                rule = "only an open approval accepts votes; that this vote came too late is recorded"
                raise CommandRefused("grant" if event.verdict == "approve" else "deny", self.id, rule, event.status)
        return receipt

    def _resolving(
        self,
        decide: Callable[[ApprovalState], list[Event]],
        envelope: Envelope,
        answer: Callable[[Receipt], Receipt] = itself,
        together: frozenset[str] | None = None,
    ) -> Plan[Receipt]:
        """Plan a command that may decide the approval: then its run hears of it, in the same transaction."""

        def work(session: Session) -> None:
            approval = session.approval(self.id)
            session.expect(approval, envelope.get("expected_version"))
            run = session.run(approval.request.run_id)
            if together is not None and not together.issuperset(run.waiting_for):
                raise ApprovalsLeftOpen(run.id, run.waiting_for, sorted(together), run.describe())
            if (call_id := approval.request.call_id) is not None and run.calls.is_open(call_id):
                session.look_up_calls(run, (call_id,))
            session.record(approval, decide(approval))
            if approval.status != "open":
                _tell_run(session, run, approval)

        return Plan(self.id, work, answer, envelope)


def ended_run(run: RunState) -> str | None:
    """Return the state of a run that has ended, in words."""
    return run.describe() if run.status in ENDED else None


def _tell_run(session: Session, run: RunState, approval: ApprovalState) -> None:
    if approval.id not in run.waiting_for:
        return
    call_id, code = approval.request.call_id, _FAILURES.get(approval.status)
    if code is not None and call_id is not None and run.calls.is_open(call_id):
        reason = next((ballot.vote.comment for ballot in approval.ballots.values() if ballot.vote.verdict == "deny"), None)
        failure = Failure(code=code, message=reason or f"the approval was {approval.status}")
        session.record(run, run.calls.end(ToolFailed(call_id=call_id, error=failure)))
    session.record(run, run.approval_resolved(approval.id))


@command
def request_approval(  # noqa: PLR0913  one for each thing that can be said of what is asked
    self: Handle,
    action: str,
    *,
    arguments: Any = None,
    call_id: str | None = None,
    decision_id: str | None = None,
    reason: str | None = None,
    message: str | None = None,
    expires_in: str | timedelta | None = None,
    expires_at: datetime | None = None,
    quorum: int = 1,
    eligible: Iterable[str] = (),
    approver_kinds: Iterable[ActorKind] | None = ONLY_PEOPLE,
    requester_excluded: bool | None = True,
    choices: Iterable[Choice | Mapping[str, Any]] = (),
    response_schema: dict[str, Any] | None = None,
    approval_id: str | None = None,
    **envelope: Unpack[TimedEnvelope],
) -> Plan[Approval]:
    """Stop and ask a person. The run waits until every approval it asked for is decided.

    `arguments` is exactly what is to be approved: text to the letter, or JSON. `expires_in` is `90s`, `15m`, `1h`, `7d`:
    what is granted before is to be used until then, and before the run ends; a time that has passed is refused, but in
    history. People decide, others than who asked, unless
    `approver_kinds` or `requester_excluded` say otherwise; null says nothing, and leaves it to anybody.
    A `response` that comes with a yes is held to `response_schema`, a JSON Schema that stands by itself.
    """
    text, _ = arguments_of(arguments)
    require_schema("response_schema", response_schema)
    asked_at, whose = judgement(self.executor, envelope)
    if expires_in is not None:
        if expires_at is not None:
            raise InvalidEvent("expires_in", "is given beside expires_at, which says the same otherwise; give one of them")
        if asked_at == UNKNOWN:
            raise InvalidEvent("occurred_at", "is needed with expires_in in an import: it counts from when it was asked")
        expires_at = later("expires_in", asked_at, positive_duration("expires_in", expires_in))
    requested = ApprovalRequested(
        run_id=self.id,
        requested_by=str(Actor.parse(envelope.get("actor", self.executor.actor))),
        call_id=call_id,
        decision_id=decision_id,
        action=action,
        reason=reason or ("tool_call" if call_id else "confirmation"),
        message=message,
        arguments_text=text,
        arguments_digest=digest(text),
        choices=tuple(item if isinstance(item, Choice) else Choice.model_validate(item) for item in choices),
        response_schema=response_schema,
        expires_at=expires_at,
        rule=ApprovalRule(
            quorum=quorum,
            eligible=tuple(eligible),
            requester_excluded=requester_excluded,
            approver_kinds=None if approver_kinds is None else tuple(approver_kinds),
        ),
    )
    asked_id = self.executor.new_id("approval") if approval_id is None else checked(ApprovalId, "approval_id", approval_id)

    def decide(session: Session) -> None:
        run, approval = run_state(session, self.id, envelope), session.new(ApprovalState, asked_id)
        asked = approval.ask(requested, None if whose == "producer" else asked_at)
        if call_id is not None:
            session.look_up_calls(run, (call_id,))
        carried_on = () if call_id is None else run.calls.ask_about(call_id)
        waiting = run.wait_for_approval(asked_id, carried_on)
        context = session.context_of(run)._replace(action=action, **about_question(run, call_id, decision_id))
        session.begin(approval, asked, session.thread_of(run), context)
        session.record(run, waiting)

    return Plan(self.id, decide, lambda receipt: Approval(asked_id, self.executor, receipt), envelope)
