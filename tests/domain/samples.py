"""Events that many stories begin with."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from runfold.domain.approval_events import ApprovalRequested, ApprovalRule, ApprovalVoteCast
from runfold.domain.decision import DecisionEvaluated, DecisionMade, Option, Outcome, OutcomeRecorded
from runfold.domain.event import Events
from runfold.domain.message import MessageAdded
from runfold.domain.parts import TextPart
from runfold.domain.problem import ProblemReported
from runfold.domain.run import Run
from runfold.domain.run_events import (
    RunCancelled,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunStarted,
    RunStuck,
    RunWaiting,
)
from runfold.domain.step import ModelCallFinished, ModelCallStarted
from runfold.domain.thread import ThreadCreated
from runfold.domain.tool_call import Failure, ToolCalled
from runfold.domain.usage import CostReported, Tokens, UsageRecorded
from runfold.domain.values import Actor, digest

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ONE_O_CLOCK = NOON + timedelta(hours=1)

ADA, BOB = Actor.parse("human:ada"), Actor.parse("human:bob")
FAILURE = Failure(code="error", message="the model did not answer")

created = RunCreated(thread_id="thread_1", agent_id="support", request_digest=digest("request"))
started = RunStarted(attempt=1)
waiting = RunWaiting(reason="input")
waiting_for_approval = RunWaiting(reason="approval", approval_ids=("approval_1",))
stuck = RunStuck(rule="manual")
claimed = RunClaimed(execution_id="exec_1", worker="w1", lease_expires_at=ONE_O_CLOCK)
completed = RunCompleted(stop_reason="end_turn")
failed = RunFailed(stop_reason="error", error=FAILURE)
cancelled = RunCancelled(stop_reason="cancelled")

CREATED, RUNNING = (created,), (created, started)
WAITING, STUCK = (*RUNNING, waiting), (*RUNNING, stuck)
COMPLETED, FAILED, CANCELLED = (*RUNNING, completed), (*RUNNING, failed), (*RUNNING, cancelled)
STATUSES = {
    "created": CREATED,
    "running": RUNNING,
    "waiting": WAITING,
    "stuck": STUCK,
    "completed": COMPLETED,
    "failed": FAILED,
    "cancelled": CANCELLED,
}
ENDED = {status: STATUSES[status] for status in ("completed", "failed", "cancelled")}

message = MessageAdded(message_id="msg_1", role="user", content=(TextPart(text="Where is my order?"),))
streaming = MessageAdded(message_id="msg_1", role="assistant", content=(), streaming=True)
called = ToolCalled(call_id="call_1", name="refund", arguments_text='{"order": 7}', arguments={"order": 7})
decided = DecisionMade(
    decision_id="dec_1",
    ordinal=1,
    decision_type="path_choice",
    intent="classify the ticket",
    options=(Option(id="howto", description="how-to"), Option(id="bug", description="a bug")),
    chosen_option_id="howto",
)
succeeded = Outcome(success=True, summary="matched the how-to pattern")
problem = ProblemReported(problem_id="prob_1", severity="critical", description="the index is stale")
used = UsageRecorded(usage_id="usage_1", model_call_id="mcall_1", tokens=Tokens(input_tokens=812, output_tokens=64))

thread_created = ThreadCreated(agent_id="support", title="Orders")


def requested(text: str = '{"order":7}', *, expires_at: datetime | None = None, **rule: object) -> ApprovalRequested:
    """A refund that somebody must allow."""
    requested_by = str(rule.pop("requested_by", "agent:support"))
    return ApprovalRequested(
        run_id="run_1",
        requested_by=requested_by,
        call_id="call_1",
        action="refund",
        reason="tool_call",
        arguments_text=text,
        arguments_digest=digest(text),
        expires_at=expires_at,
        rule=ApprovalRule.model_validate(rule),
    )


def voted(voter: Actor, verdict: str = "approve", **said: object) -> ApprovalVoteCast:
    """One vote."""
    return ApprovalVoteCast.model_validate({"voter": str(voter), "verdict": verdict, **said})


model_called = ModelCallStarted(model_call_id="mcall_1")
CONTENT = (message, streaming.model_copy(update={"message_id": "msg_2"}), called, decided, problem, model_called, used)
WITH_OUTCOME = (*CONTENT, OutcomeRecorded(decision_id="dec_1", outcome=succeeded))
COST = CostReported(cost_id="cost_1", amount=Decimal("0.01"), currency="USD", source="provider")
WRONG = succeeded.model_copy(update={"success": False})

LAST_REPORTS: dict[str, Callable[[Run], Events]] = {
    "usage.recorded": lambda run: run.usages.record(used.model_copy(update={"usage_id": "usage_2", "model_call_id": None})),
    "run.timing_recorded": lambda run: run.details.record_timing(ttft_ns=1, total_duration_ns=2),
    "model_call.finished": lambda run: run.steps.finish(ModelCallFinished(model_call_id="mcall_1", finish_reasons=("stop",))),
    "message.sealed": lambda run: run.messages.seal("msg_2", "stop"),
}
"""What a stream tells last."""

AFTERTHOUGHTS: dict[str, Callable[[Run], Events]] = {
    "decision.evaluated": lambda run: run.decisions.evaluate(DecisionEvaluated(decision_id="dec_1")),
    "decision.outcome_corrected": lambda run: run.decisions.correct_outcome("dec_1", WRONG),
    "usage.corrected": lambda run: run.usages.correct("usage_1", Tokens(input_tokens=1), "miscounted"),
    "usage.cost_reported": lambda run: run.usages.report_cost(COST),
    "problem.reported": lambda run: run.problems.report(problem.model_copy(update={"problem_id": "prob_2"})),
    "problem.resolved": lambda run: run.problems.resolve("prob_1", "indexed again"),
    "run.linked": lambda run: run.details.link("workflow-7"),
    "run.metadata_merged": lambda run: run.details.merge_metadata({"reviewed": True}),
    "message.redacted": lambda run: run.messages.redact("msg_1", ("content",), "GDPR 17"),
}
