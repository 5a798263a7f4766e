"""The commands that begin a run, hold it up, say what it is, and end it. `Run` has each of them as a method."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.json_schema import mismatch
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.approval_events import WithdrawalCause
from runfold.domain.durations import later, positive_duration
from runfold.domain.event import Event
from runfold.domain.run import Run as RunState
from runfold.domain.run import WaitingReason
from runfold.domain.run_events import RunLeaseRenewed, StuckRule
from runfold.domain.tool_call import Failure
from runfold.domain.values import Actor
from runfold.errors import CancellationRequested, CommandRefused
from runfold.handles.calling.arguments import checked
from runfold.handles.calling.command import command
from runfold.handles.calling.handle import Handle
from runfold.handles.calling.run_plan import run_plan, run_state

AfterLease = Literal["claimable", "failed"]
"""What becomes of a run whose worker let the lease expire."""


@command
def start(
    self: Handle,
    *,
    attempt: int | None = None,
    agent_version: str | None = None,
    code_version: str | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[Receipt]:
    """Begin, or with the next `attempt` begin again."""
    return run_plan(self.id, lambda run: run.start(agent_version, code_version, attempt), envelope)


@command
def claim(
    self: Handle,
    worker: str,
    *,
    lease: str | timedelta = "5m",
    execution_id: str | None = None,
    take_over: bool = False,
    **envelope: Unpack[Envelope],
) -> Plan[str]:
    """Take the run for one worker and return the execution id. Claiming again with it renews the lease.

    Refused while another holds it; after its lease expired, unless `take_over`.
    """
    execution = self.executor.new_id("exec") if execution_id is None else execution_id
    length = positive_duration("lease", lease)

    def decide(run: RunState) -> list[Event]:
        now = self.executor.clock()
        return run.lease.claim(execution, worker, later("lease", now, length), now, take_over=take_over)

    return run_plan(self.id, decide, envelope, lambda _: execution)


@command
def renew(self: Handle, execution_id: str, *, lease: str | timedelta = "5m", **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Keep the run for its worker, for so much longer from now. Refused once somebody else has it, or nobody.

    Raises CancellationRequested where somebody wants the run to stop: the lease is renewed all the same, so that there is time.
    """
    length = positive_duration("lease", lease)

    def answer(receipt: Receipt) -> Receipt:
        for event in receipt.events:
            if isinstance(event, RunLeaseRenewed) and event.cancellation_requested:
                raise CancellationRequested(receipt.stream)
        return receipt

    def decide(run: RunState) -> list[Event]:
        return run.lease.renew(execution_id, later("lease", self.executor.clock(), length))

    return run_plan(self.id, decide, envelope, answer)


@command
def expire_lease(
    self: Handle,
    execution_id: str,
    *,
    then: AfterLease = "claimable",
    **envelope: Unpack[Envelope],
) -> Plan[Receipt]:
    """Record that a worker did not renew its lease in time: the run is stuck, and any worker may claim it, or it fails.

    Refused before the lease expires. Where that execution holds the run no more, nothing changes.
    """
    checked(AfterLease, "then", then)

    def work(session: Session) -> None:
        run = run_state(session, self.id, envelope)
        lost = run.lease.lose(execution_id, self.executor.clock())
        if not lost:
            return
        if then == "failed":
            session.look_up_calls(run, run.calls.open_ids)
        session.record(run, lost)
        if then == "failed":
            told = f"the worker did not renew the lease of {execution_id} in time"
            error = Failure(code="lease_expired", message=told, retriable=True)
            session.record(run, run.fail(error, "lease_expired"))

    return Plan(self.id, work, itself, envelope)


@command
def release(self: Handle, execution_id: str, reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Give the run back."""
    return run_plan(self.id, lambda run: run.lease.release(execution_id, reason), envelope)


@command
def wait(self: Handle, reason: WaitingReason, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Wait for input or for something outside. For an approval, `request_approval`."""
    checked(WaitingReason, "reason", reason)
    return run_plan(self.id, lambda run: run.wait(reason), envelope)


@command
def resume(self: Handle, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Go on after `wait`."""
    return run_plan(self.id, lambda run: run.resume(), envelope)


@command
def mark_stuck(
    self: Handle, rule: StuckRule = "manual", detail: str | None = None, **envelope: Unpack[Envelope]
) -> Plan[Receipt]:
    """Say that the run makes no progress. Any progress ends that by itself."""
    return run_plan(self.id, lambda run: run.mark_stuck(rule, detail), envelope)


@command
def complete(
    self: Handle, output: Any = None, *, stop_reason: str = "end_turn", narrative: str | None = None, **envelope: Unpack[Envelope]
) -> Plan[Receipt]:
    """Complete the run."""
    return run_plan(self.id, lambda run: run.complete(stop_reason, output, narrative), envelope)


@command
def fail(
    self: Handle,
    message: str,
    *,
    code: str = "error",
    stop_reason: str = "error",
    error_type: str | None = None,
    retriable: bool | None = None,
    **envelope: Unpack[Envelope],
) -> Plan[Receipt]:
    """End badly. Open tool calls fail, open approvals are withdrawn, in the same transaction."""
    error = Failure(code=code, message=message, type=error_type, retriable=retriable)
    return ending(self.id, lambda run: run.fail(error, stop_reason), "run_failed", envelope)


@command
def cancel(
    self: Handle, reason: str | None = None, *, stop_reason: str = "cancelled", **envelope: Unpack[Envelope]
) -> Plan[Receipt]:
    """Stop. Open tool calls are cancelled, open approvals withdrawn, in the same transaction. What was said stays."""
    return ending(self.id, lambda run: run.cancel(reason, stop_reason), "run_cancelled", envelope)


@command
def request_cancellation(self: Handle, reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Ask the agent to stop."""
    actor = str(Actor.parse(envelope.get("actor", self.executor.actor)))
    return run_plan(self.id, lambda run: run.request_cancellation(reason, actor), envelope)


@command
def link(self: Handle, workflow_id: str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Say which workflow of another system the run belongs to."""
    return run_plan(self.id, lambda run: run.details.link(workflow_id), envelope)


@command
def merge_metadata(self: Handle, patch: dict[str, Any], **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Set keys of the metadata; null removes one."""
    return run_plan(self.id, lambda run: run.details.merge_metadata(patch), envelope)


@command
def record_output(
    self: Handle, output: Any, *, schema: dict[str, Any] | None = None, **envelope: Unpack[Envelope]
) -> Plan[Receipt]:
    """Record the output before the end. The last one counts.

    With `schema` it is held to that JSON Schema: a run whose output is something else fails with the code
    `invalid_output`, and CommandRefused says where. Raises InvalidEvent for a schema that is none.
    """
    fault = None if schema is None else mismatch("output", output, schema)
    if fault is None:
        return run_plan(self.id, lambda run: run.details.record_output(output, schema), envelope)
    error = Failure(code="invalid_output", message=str(fault))

    def answer(receipt: Receipt) -> Receipt:
        rule = f"the output is not what its schema says ({fault}); the run has failed with that"
        raise CommandRefused("record_output", receipt.stream, rule, "failed")

    plan = ending(self.id, lambda run: run.fail(error, "invalid_llm_response"), "run_failed", envelope)
    return replace(plan, answer=answer)


@command
def record_timing(
    self: Handle, *, ttft_ns: int | None = None, total_duration_ns: int | None = None, **envelope: Unpack[Envelope]
) -> Plan[Receipt]:
    """Record how long it took by its own clock, in nanoseconds. Allowed after the run's end too."""
    return run_plan(self.id, lambda run: run.details.record_timing(ttft_ns, total_duration_ns), envelope)


def ending(run_id: str, decide: Callable[[RunState], list[Event]], cause: WithdrawalCause, envelope: Envelope) -> Plan[Receipt]:
    """Plan what ends a run: its open approvals are withdrawn in the same transaction."""

    def work(session: Session) -> None:
        run = run_state(session, run_id, envelope)
        open_approvals = [session.approval(approval_id) for approval_id in run.waiting_for]
        session.look_up_calls(run, run.calls.open_ids)
        session.record(run, decide(run))
        for approval in open_approvals:
            session.record(approval, approval.withdraw(cause))

    return Plan(run_id, work, itself, envelope)
