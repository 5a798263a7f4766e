"""A run's life: created → running ⇄ waiting/stuck → completed | failed | cancelled. The one place with its rules.

A command looks at the run and returns events, or refuses. `evolve` takes an event in, in place: a copy per event would
make the 100,000th event of a run cost more than the 10th.
"""

from typing import Literal, NoReturn, assert_never, cast

from runfold.domain.compaction import Compactions, ContextCompacted
from runfold.domain.decision import AnyDecisionEvent, DecisionEvaluated, DecisionEvent, Decisions, OutcomeCorrected
from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.lease import Lease
from runfold.domain.message import AnyMessageEvent, MessageEvent, MessageRedacted, Messages, MessageSealed
from runfold.domain.problem import AnyProblemEvent, ProblemEvent, ProblemReported, ProblemResolved, Problems
from runfold.domain.run_details import RunDetails
from runfold.domain.run_events import (
    ENDING_OF_STOP_REASON,
    AnyRunEvent,
    Ending,
    Parent,
    RunCancellationRequested,
    RunCancelled,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunEvent,
    RunFailed,
    RunLeaseRenewed,
    RunLinked,
    RunMetadataMerged,
    RunOutputRecorded,
    RunReleased,
    RunResumed,
    RunStarted,
    RunStuck,
    RunTimingRecorded,
    RunWaiting,
    Status,
    StopReason,
    StuckRule,
)
from runfold.domain.step import AnyStepEvent, ModelCallFinished, StepEvent, Steps
from runfold.domain.tool_call import AnyToolCallEvent, Failure, ToolCallEvent, ToolCalls
from runfold.domain.usage import AnyUsageEvent, CostReported, UsageCorrected, UsageEvent, UsageRecorded, Usages
from runfold.domain.values import Json
from runfold.errors import CommandRefused

WaitingReason = Literal["input", "external"]
"""What a run may say that it waits for. For an approval it waits by requesting one."""
ENDED: frozenset[Status] = frozenset({"completed", "failed", "cancelled"})
AFTERTHOUGHTS = (
    DecisionEvaluated,
    OutcomeCorrected,
    UsageCorrected,
    CostReported,
    ProblemReported,
    ProblemResolved,
    RunLinked,
    RunMetadataMerged,
    MessageRedacted,
)
"""Events about a run that are not its progress: an ended run still takes them, and a stuck one stays stuck."""

LAST_REPORTS = (UsageRecorded, RunTimingRecorded, ModelCallFinished, MessageSealed)
"""What a stream tells last: an ended run still takes it too. Before the end it shows that the run goes on."""

NO_PROGRESS = (RunCancellationRequested, RunStuck, RunReleased, *AFTERTHOUGHTS)


class Run:
    """The state of a run after its events. At version 0 it has not been created."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self.created: RunCreated | None = None
        self.status: Status = "created"
        self.attempt = 0
        self.lease = Lease(self)
        self.waiting_reason: str | None = None
        self.waiting_for: tuple[str, ...] = ()
        self.ending: RunCompleted | RunFailed | RunCancelled | None = None
        self.ended_at = 0
        self.cancellation_requested = False
        self.details = RunDetails(self)
        self.messages = Messages(self)
        self.calls = ToolCalls(self)
        self.decisions = Decisions(self)
        self.problems = Problems(self)
        self.usages = Usages(self)
        self.steps = Steps(self)
        self.compactions = Compactions(self)

    @property
    def exists(self) -> bool:
        """Tell whether the run was created."""
        return self.created is not None

    @property
    def parent(self) -> Parent | None:
        """Return its parent in the tree, or None for a root."""
        return self.created.parent if self.created else None

    def refuse(self, command: str, rule: str) -> NoReturn:
        """Raise CommandRefused with this run's state."""
        raise CommandRefused(command, self.id, rule, self.describe())

    def describe(self) -> str:
        """Describe the run's state in words: `completed (end_turn) at version 12`."""
        if not self.exists:
            return "not created"
        why = f" ({self.ending.stop_reason})" if self.ending else ""
        waiting = f" for {', '.join(self.waiting_for)}" if self.waiting_for else ""
        return f"{self.status}{why}{waiting} at version {self.version}"

    def require_open(self, command: str) -> None:
        """Raise CommandRefused when the run has ended."""
        if self.status in ENDED:
            self.refuse(command, "an ended run accepts no more work; continue it with a new run, or branch it")

    def _way_on(self) -> str:
        """Return what makes a run that has not ended run."""
        if self.status == "created":
            return "`start()` it first"
        if self.waiting_for:
            return "its approvals are to be decided first (`grant()`, `deny()`)"
        return f"it waits for {self.waiting_reason}; `resume()` it first" if self.waiting_reason else "record what it does next"

    # Commands of its life

    def create(self, created: RunCreated) -> Events:
        """Create the run. Repeating the same request under the same id records nothing."""
        if self.created is not None:
            raise AlreadyRecorded("run", self.id, self.id, 1, created)
        return [created]

    def start(self, agent_version: str | None = None, code_version: str | None = None, attempt: int | None = None) -> Events:
        """Start the run, or restart it with a higher `attempt`. Starting a running run changes nothing."""
        if attempt is None and self.status == "running" and self.attempt:
            return []
        attempt = self.attempt + 1 if attempt is None else attempt
        if attempt == self.attempt != 0:
            return []
        self.require_open("start")
        if attempt != self.attempt + 1:
            self.refuse("start", f"the next attempt is {self.attempt + 1}, not {attempt}; give that, or no `attempt`")
        if self.status == "waiting":
            self.refuse("start", f"it has begun; {self._way_on()}")
        return [RunStarted(attempt=attempt, agent_version=agent_version, code_version=code_version)]

    def wait(self, reason: WaitingReason) -> Events:
        """Wait for input or for something outside. To wait for an approval, request one."""
        if self.waiting_reason == reason:
            return []
        self.require_open("wait")
        if self.waiting_for or self.status == "created":
            self.refuse("wait", f"only a running run can wait; {self._way_on()}")
        return [RunWaiting(reason=reason)]

    def wait_for_approval(self, approval_id: str, inherited_call_ids: tuple[str, ...] = ()) -> Events:
        """Wait for one more approval, and carry on the calls of the past that it is about."""
        if approval_id in self.waiting_for:
            return []
        self.require_open("request_approval")
        if self.status not in {"running", "stuck"} and not self.waiting_for:
            self.refuse("request_approval", f"only a running run can request an approval; {self._way_on()}")
        waiting_for = (*self.waiting_for, approval_id)
        return [RunWaiting(reason="approval", approval_ids=waiting_for, inherited_call_ids=inherited_call_ids)]

    def approval_resolved(self, approval_id: str) -> Events:
        """Stop waiting for one approval; after the last one the run resumes."""
        if approval_id not in self.waiting_for or self.status in ENDED:
            return []
        left = tuple(open_id for open_id in self.waiting_for if open_id != approval_id)
        return [RunWaiting(reason="approval", approval_ids=left) if left else RunResumed(by_approval_ids=(approval_id,))]

    def resume(self) -> Events:
        """Resume after waiting for input or for something outside."""
        if self.status == "running":
            return []
        self.require_open("resume")
        if self.status != "waiting" or self.waiting_for:
            self.refuse("resume", f"only a run that waits for input or for something outside is resumed; {self._way_on()}")
        return [RunResumed()]

    def mark_stuck(self, rule: StuckRule = "manual", detail: str | None = None) -> Events:
        """Mark the run as making no progress."""
        if self.status == "stuck":
            return []
        self.require_open("mark_stuck")
        if self.status != "running":
            self.refuse("mark_stuck", f"only a running run can be marked as stuck; {self._way_on()}")
        return [RunStuck(rule=rule, detail=detail)]

    def request_cancellation(self, reason: str | None = None, requested_by: str | None = None) -> Events:
        """Ask the agent to stop. The agent cancels the run when it has stopped."""
        if self.cancellation_requested or self.status == "cancelled":
            return []
        self.require_open("request_cancellation")
        return [RunCancellationRequested(reason=reason, requested_by=requested_by)]

    def complete(self, stop_reason: str = "end_turn", output: Json = None, narrative: str | None = None) -> Events:
        """Complete the run. A run that waits or is stuck cannot complete directly."""
        self._check_stop_reason("complete", stop_reason, "completed")
        if isinstance(self.ending, RunCompleted):
            return self._same_ending(
                self.ending.model_copy(update={"stop_reason": stop_reason, "output": output, "narrative": narrative})
            )
        self.require_open("complete")
        if self.status != "running":
            self.refuse("complete", f"only a running run can complete; {self._way_on()}, or `fail()` or `cancel()` it")
        return [RunCompleted(stop_reason=cast("StopReason", stop_reason), output=output, narrative=narrative)]

    def fail(self, error: Failure, stop_reason: str = "error") -> Events:
        """Fail the run."""
        self._check_stop_reason("fail", stop_reason, "failed")
        if isinstance(self.ending, RunFailed):
            return self._same_ending(self.ending.model_copy(update={"stop_reason": stop_reason, "error": error}))
        self.require_open("fail")
        return [
            RunFailed(
                stop_reason=cast("StopReason", stop_reason),
                error=error,
                closed_tool_calls=tuple(self.calls.open_ids),
                closed_tool_names=tuple(self.calls.open_names),
                closed_approvals=self.waiting_for,
            )
        ]

    def cancel(self, reason: str | None = None, stop_reason: str = "cancelled") -> Events:
        """Cancel the run. Cancelling it again changes nothing."""
        self._check_stop_reason("cancel", stop_reason, "cancelled")
        if self.status == "cancelled":
            return []
        self.require_open("cancel")
        return [
            RunCancelled(
                stop_reason=cast("StopReason", stop_reason),
                reason=reason,
                closed_tool_calls=tuple(self.calls.open_ids),
                closed_tool_names=tuple(self.calls.open_names),
                closed_approvals=self.waiting_for,
            )
        ]

    # Taking events in

    def evolve(self, event: Event) -> None:
        """Update the state by one event."""
        self.version += 1
        if self.status == "stuck" and not isinstance(event, NO_PROGRESS):
            self.status = "running"
        match event:
            case MessageEvent():
                self.messages.evolve(cast("AnyMessageEvent", event))
            case ToolCallEvent():
                self.calls.evolve(cast("AnyToolCallEvent", event))
            case DecisionEvent():
                self.decisions.evolve(cast("AnyDecisionEvent", event))
            case UsageEvent():
                self.usages.evolve(cast("AnyUsageEvent", event))
            case StepEvent():
                self.steps.evolve(cast("AnyStepEvent", event))
            case ContextCompacted():
                self.compactions.evolve(event)
            case ProblemEvent():
                self.problems.evolve(cast("AnyProblemEvent", event))
            case RunEvent():
                self._evolve_life(cast("AnyRunEvent", event))
            case _:
                raise TypeError(f"{event.type} does not belong in the stream of a run")

    def _evolve_life(self, event: AnyRunEvent) -> None:
        match event:
            case RunCreated():
                self.created = event
                self.details.begin(event.metadata)
            case RunStarted():
                self.status, self.attempt = "running", event.attempt
            case RunClaimed() | RunLeaseRenewed() | RunReleased():
                self.lease.evolve(event)
            case RunWaiting():
                self.status, self.lease.held = "waiting", None
                self.waiting_reason, self.waiting_for = event.reason, tuple(event.approval_ids)
                for call_id in event.inherited_call_ids:
                    self.calls.carry_on(call_id)
            case RunResumed():
                self.status, self.waiting_reason, self.waiting_for = "running", None, ()
            case RunStuck():
                self.status = "stuck"
            case RunCancellationRequested():
                self.cancellation_requested = True
            case RunCompleted() | RunFailed() | RunCancelled():
                self._end(event)
            case RunLinked() | RunMetadataMerged() | RunOutputRecorded() | RunTimingRecorded():
                self.details.evolve(event)
            case _:
                assert_never(event)

    def _end(self, event: RunCompleted | RunFailed | RunCancelled) -> None:
        self.ending, self.ended_at, self.lease.held = event, self.version, None
        self.waiting_reason, self.waiting_for = None, ()
        self.status = ENDING_OF_STOP_REASON[event.stop_reason]
        if isinstance(event, RunCompleted):
            self.details.complete(event.output)
        else:
            self.calls.close_open("failed" if isinstance(event, RunFailed) else "cancelled")

    def _check_stop_reason(self, command: str, stop_reason: str, ending: Ending) -> None:
        meant = ENDING_OF_STOP_REASON.get(stop_reason)
        if meant != ending:
            fitting = ", ".join(name for name, status in ENDING_OF_STOP_REASON.items() if status == ending)
            said = f"means {meant}" if meant else "is not a known stop reason"
            self.refuse(command, f"{stop_reason!r} {said}; those for {ending} are {fitting}")

    def _same_ending(self, proposed: RunCompleted | RunFailed) -> Events:
        if self.ending is None or self.ending.differs_from(proposed):
            raise AlreadyRecorded("the end of run", self.id, self.id, self.ended_at, proposed)
        return []
