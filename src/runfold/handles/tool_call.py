"""The handle of a tool call, and the command of a run that asks for a tool."""

import contextlib
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, Unpack

from runfold.commands.caller import Envelope, TimedEnvelope
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.approval import Approval as ApprovalState
from runfold.domain.event import Event
from runfold.domain.run import Run as RunState
from runfold.domain.tool_call import (
    IS_STARTED,
    Failure,
    ToolArgumentsAppended,
    ToolCalled,
    ToolCancelled,
    ToolEnd,
    ToolFailed,
    ToolSucceeded,
)
from runfold.domain.values import digest
from runfold.errors import CommandRefused
from runfold.handles.approval import Approval, ended_run
from runfold.handles.blocks import end_of, leave, leave_async
from runfold.handles.calling.arguments import arguments_of
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.handle import Child, Handle
from runfold.handles.calling.judging import judgement
from runfold.handles.calling.run_plan import child_of, run_plan, run_state


class ToolCall(Child):
    """Names a tool call of a run, or of its past: what that left open, the run carries on as its own.

    A block under `with` starts it, unless it was, and ends it: it succeeds, or fails with the exception of the block. What the
    tool answered is said in the block, with `succeed`.
    """

    @command
    def start(
        self,
        *,
        execution_key: str | None = None,
        approval: Approval | str | None = None,
        arguments_text: str | None = None,
        **envelope: Unpack[TimedEnvelope],
    ) -> Plan[str]:
        """Say that the side effect begins now, and return its execution key.

        A call that needs approval names the granted one, which is consumed in the same transaction: once, only for the
        arguments that were approved (`arguments_text`, or else those of the grant), and before the approval's `expires_at`.
        """
        key = self.executor.new_id("exec") if execution_key is None else execution_key
        approval_id = approval.id if isinstance(approval, Approval) else approval

        def work(session: Session) -> None:
            now, whose = judgement(self.executor, envelope)
            run = run_state(session, self.run_id, envelope)
            granted = session.approval(approval_id) if approval_id is not None else None
            if granted is not None and granted.request.call_id != self.id:
                granted.refuse("start_tool", f"it is for {granted.request.call_id or 'no tool call'}, not {self.id}")
            if granted is not None and granted.request.run_id != run.id:
                for_whom = f"it is for {self.id} of {granted.request.run_id}, not of {run.id}"
                granted.refuse("start_tool", f"{for_whom}, which asks for its own (`request_approval(call_id=…)`)")
            consumed: list[Event] = []
            if granted is not None:
                text = granted.granted.effective_arguments_text if granted.granted and arguments_text is None else arguments_text
                consumed = granted.consume(digest(text or ""), key, now, ended_run(run), times_judged_by=whose)
            session.look_up_calls(run, (self.id,))
            events = run.calls.start(self.id, key, approved=granted is not None)
            session.record(run, events)
            if granted is not None:
                session.record(granted, consumed)

        return Plan(self.run_id, work, lambda _: key, envelope)

    @command
    def append_arguments(
        self,
        text: str,
        *,
        name: str | None = None,
        message_id: str | None = None,
        offset: int | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Record more of the arguments while the model writes them; the first say the tool's `name`. `call_tool` follows.

        With `offset`, the characters before it, sending it twice stores it once.
        """
        appended = ToolArgumentsAppended(call_id=self.id, offset=0, text=text, name=name, message_id=message_id)
        return run_plan(self.run_id, lambda run: run.calls.append_arguments(appended, offset), envelope)

    @command
    def succeed(self, result: Any = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Record that the tool answered."""
        ended = ToolSucceeded(call_id=self.id, result=result)
        return self._end(ended, envelope)

    @command
    def fail(
        self,
        message: str,
        *,
        code: str = "error",
        error_type: str | None = None,
        result: Any = None,
        retriable: bool | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Record that the tool could not. The agent sees the error and goes on; an approval that is open for it is withdrawn."""
        error = Failure(code=code, message=message, type=error_type, retriable=retriable)
        ended = ToolFailed(call_id=self.id, error=error, result=result)
        return self._end(ended, envelope)

    @command
    def cancel(self, reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Say that nobody waits for the tool any more. An approval that is open for it is withdrawn."""
        ended = ToolCancelled(call_id=self.id, reason=reason)
        return self._end(ended, envelope)

    submit_start = submitting(start)
    submit_append_arguments = submitting(append_arguments)
    submit_succeed = submitting(succeed)
    submit_fail = submitting(fail)
    submit_cancel = submitting(cancel)

    def __enter__(self) -> Self:
        with _unless_started():
            self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        leave(self, end_of("succeed", error), error)

    async def __aenter__(self) -> Self:
        with _unless_started():
            await self.submit_start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await leave_async(self, end_of("succeed", error), error)

    def _end(self, ended: ToolEnd, envelope: Envelope) -> Plan[Receipt]:
        def decide(session: Session) -> None:
            run = run_state(session, self.run_id, envelope)
            session.look_up_calls(run, (self.id,))
            asked = [] if isinstance(ended, ToolSucceeded) else [session.approval(each) for each in run.waiting_for]
            session.record(run, run.calls.end(ended))
            _let_go(session, run, [approval for approval in asked if approval.request.call_id == self.id])

        return Plan(self.run_id, decide, itself, envelope)


@contextlib.contextmanager
def _unless_started() -> Iterator[None]:
    try:
        yield
    except CommandRefused as refused:
        if IS_STARTED not in refused.rule:
            raise


def _let_go(session: Session, run: RunState, asked: Iterable[ApprovalState]) -> None:
    """Withdraw what was asked about a call that nobody waits for any more."""
    for approval in asked:
        session.record(approval, approval.withdraw("call_ended"))
        session.record(run, run.approval_resolved(approval.id))


@command
def call_tool(
    self: Handle,
    name: str,
    arguments: Any = None,
    *,
    call_id: str | None = None,
    message_id: str | None = None,
    provider_call_id: str | None = None,
    needs_approval: bool = False,
    **envelope: Unpack[Envelope],
) -> Plan[ToolCall]:
    """Record that the agent asked for a tool. `arguments` as text is kept to the letter; else it is JSON."""
    text, parsed = arguments_of(arguments)
    called = ToolCalled(
        call_id=self.executor.new_id("call") if call_id is None else call_id,
        name=name,
        arguments_text=text,
        arguments=parsed,
        message_id=message_id,
        provider_call_id=provider_call_id,
        needs_approval=needs_approval,
    )
    answer = child_of(self, ToolCall, called.call_id)
    return run_plan(self.id, lambda run: run.calls.call(called), envelope, answer)
