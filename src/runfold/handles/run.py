"""The handle of a run. Each method that is a command is idempotent by the id it may be given."""

from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from runfold.commands.plan import Plan
from runfold.handles import approval, compaction, decision, message, run_lifecycle, shared_state, step, tool_call
from runfold.handles import usage as usages
from runfold.handles.blocks import end_of, leave, leave_async
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.handle import Handle
from runfold.handles.creation import Creation, RunRequest, request_envelope
from runfold.handles.decision import Decision, Problem
from runfold.handles.message import Message
from runfold.handles.tool_call import ToolCall
from runfold.handles.usage import Usage
from runfold.history.compactions import Compaction, ModelContext
from runfold.history.views import Message as MessageView
from runfold.history.views import RunView

if TYPE_CHECKING:
    from runfold.queries.page import Page
    from runfold.queries.tool_calls import ListedToolCall, ToolCallParameters


class Run(Handle):
    """Names one advance of a thread: what an agent did, said, asked and used.

    A block under `with` begins it, unless it was, and ends it: it completes, or fails with the exception of the block. One that
    waits when the block is left goes on waiting. Its commands are written where their nouns are: `run_lifecycle`, `message`, …
    """

    start = run_lifecycle.start
    claim = run_lifecycle.claim
    renew = run_lifecycle.renew
    expire_lease = run_lifecycle.expire_lease
    release = run_lifecycle.release
    wait = run_lifecycle.wait
    resume = run_lifecycle.resume
    mark_stuck = run_lifecycle.mark_stuck
    complete = run_lifecycle.complete
    fail = run_lifecycle.fail
    cancel = run_lifecycle.cancel
    request_cancellation = run_lifecycle.request_cancellation
    link = run_lifecycle.link
    merge_metadata = run_lifecycle.merge_metadata
    record_output = run_lifecycle.record_output
    record_timing = run_lifecycle.record_timing
    add_message = message.add_message
    call_tool = tool_call.call_tool
    decide = decision.decide
    report_problem = decision.report_problem
    violate_constraint = decision.violate_constraint
    usage = usages.usage
    report_cost = usages.report_cost
    start_step = step.start_step
    start_model_call = step.start_model_call
    enter_node = step.enter_node
    traverse_edge = step.traverse_edge
    set_state = shared_state.set_state
    patch_state = shared_state.patch_state
    request_approval = approval.request_approval
    compact_context = compaction.compact_context

    submit_start = submitting(run_lifecycle.start)
    submit_claim = submitting(run_lifecycle.claim)
    submit_renew = submitting(run_lifecycle.renew)
    submit_expire_lease = submitting(run_lifecycle.expire_lease)
    submit_release = submitting(run_lifecycle.release)
    submit_wait = submitting(run_lifecycle.wait)
    submit_resume = submitting(run_lifecycle.resume)
    submit_mark_stuck = submitting(run_lifecycle.mark_stuck)
    submit_complete = submitting(run_lifecycle.complete)
    submit_fail = submitting(run_lifecycle.fail)
    submit_cancel = submitting(run_lifecycle.cancel)
    submit_request_cancellation = submitting(run_lifecycle.request_cancellation)
    submit_link = submitting(run_lifecycle.link)
    submit_merge_metadata = submitting(run_lifecycle.merge_metadata)
    submit_record_output = submitting(run_lifecycle.record_output)
    submit_record_timing = submitting(run_lifecycle.record_timing)
    submit_add_message = submitting(message.add_message)
    submit_call_tool = submitting(tool_call.call_tool)
    submit_decide = submitting(decision.decide)
    submit_report_problem = submitting(decision.report_problem)
    submit_violate_constraint = submitting(decision.violate_constraint)
    submit_usage = submitting(usages.usage)
    submit_report_cost = submitting(usages.report_cost)
    submit_start_step = submitting(step.start_step)
    submit_start_model_call = submitting(step.start_model_call)
    submit_enter_node = submitting(step.enter_node)
    submit_traverse_edge = submitting(step.traverse_edge)
    submit_set_state = submitting(shared_state.set_state)
    submit_patch_state = submitting(shared_state.patch_state)
    submit_request_approval = submitting(approval.request_approval)
    submit_compact_context = submitting(compaction.compact_context)

    @command
    def branch(self, input: Any = None, **request: Unpack[RunRequest]) -> Plan["Run"]:
        """Create a run whose past is this one up to `at_version`, its present one if none is given. Nothing is copied.

        It is created, not begun: `start` it.
        """
        asked: RunRequest = {"kind": "branches", **request, "parent": self}
        creation = Creation(self.executor, None, input, asked)
        return Plan(
            creation.run_id,
            creation.decide,
            lambda receipt: Run(creation.run_id, self.executor, receipt),
            request_envelope(asked),
        )

    submit_branch = submitting(branch)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        leave(self, end_of("complete", error), error)

    async def __aenter__(self) -> Self:
        await self.submit_start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await leave_async(self, end_of("complete", error), error)

    def view(self, at: int | datetime | None = None, *, at_version: int | None = None) -> RunView:
        """Return the run at a glance, now, at a position or time, or at one of its versions. Raises RunNotFound."""
        return self.executor.reading(at).run(self.id, at_version)

    def messages(self, at: int | datetime | None = None, *, at_version: int | None = None) -> list[MessageView]:
        """Return the conversation as of this run, along its path. Raises RunNotFound."""
        return self.executor.reading(at).messages(run_id=self.id, at_version=at_version)

    def compactions(self, at: int | datetime | None = None, *, at_version: int | None = None) -> list[Compaction]:
        """Return where the model's memory was cut along this run's path. Raises RunNotFound."""
        return self.executor.reading(at).compactions(run_id=self.id, at_version=at_version)

    def context(self, at: int | datetime | None = None, *, at_version: int | None = None) -> ModelContext:
        """Return what the model saw: after a compaction the summary, what was kept, and what came later. Raises RunNotFound."""
        return self.executor.reading(at).context(run_id=self.id, at_version=at_version)

    def tool_calls(self, at: int | datetime | None = None, **asked: "Unpack[ToolCallParameters]") -> "Page[ListedToolCall]":
        """Return a page of its tool calls with their results: what it asked for and carried on, and what its past left open.

        With `scope="path"` all calls along its path from the root. Raises UsageError, RunNotFound.
        """
        asked["run_id"] = self.id
        return self.executor.reading(at).tool_calls(**asked)

    def state(self, at: int | datetime | None = None, *, at_version: int | None = None) -> Any:
        """Return the shared state document as of this run, along its path. Raises RunNotFound."""
        return self.executor.reading(at).state(self.id, at_version)

    def ag_ui(self, at: int | datetime | None = None) -> list[dict[str, Any]]:
        """Return the run as AG-UI's events; its input holds what was said along its path. Raises RunNotFound, UsageError."""
        return self.executor.reading(at).ag_ui(self.id)

    def message(self, message_id: str) -> Message:
        """Return the handle of a message of this run, or of its past."""
        return Message(message_id, self.executor, self.id)

    def tool_call(self, call_id: str) -> ToolCall:
        """Return the handle of a tool call of this run, or of its past."""
        return ToolCall(call_id, self.executor, self.id)

    def decision(self, decision_id: str) -> Decision:
        """Return the handle of a decision of this run."""
        return Decision(decision_id, self.executor, self.id)

    def problem(self, problem_id: str) -> Problem:
        """Return the handle of a problem of this run."""
        return Problem(problem_id, self.executor, self.id)

    def recorded_usage(self, usage_id: str) -> Usage:
        """Return the handle of what a model call of this run used."""
        return Usage(usage_id, self.executor, self.id)
