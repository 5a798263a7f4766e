"""The handle of a message, and the command of a run that adds one."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.event import Event
from runfold.domain.message import MessageAdded, Role, plain_message
from runfold.domain.run import Run as RunState
from runfold.domain.tool_call import Failure, ToolFailed
from runfold.errors import InvalidEvent
from runfold.handles.calling.arguments import Content, content_parts, message_of
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.handle import Child, Handle
from runfold.handles.calling.run_plan import child_of, run_state

Field = Literal["content", "name", "author", "encrypted_value"]


class Message(Child):
    """Names a message of a run, or of its past."""

    @command
    def revise(self, content: Content, *, reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Give it a new wording in this run. A message of an ancestor may be revised too; siblings never see it."""
        parts = content_parts(content)

        def decide(session: Session) -> None:
            run = run_state(session, self.run_id, envelope)
            inherited = None if run.messages.role_of(self.id) else session.inherited_message(run, self.id)
            session.record(run, run.messages.revise(self.id, parts, reason, inherited))

        return Plan(self.run_id, decide, itself, envelope)

    @command
    def append_text(self, text: str, *, offset: int | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Append text to a streaming message. With `offset`, the characters before it, sending it twice stores it once."""
        return self._going_on(lambda run: run.messages.append_text(self.id, text, offset), envelope)

    @command
    def seal(self, *, finish_reason: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Say that the streaming message is complete. Allowed after the run's end too."""
        return self._going_on(lambda run: run.messages.seal(self.id, finish_reason), envelope)

    @command
    def redact(
        self,
        *,
        legal_basis: str,
        fields: Iterable[Field] = ("content",),
        revision: int | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Stop showing some of its fields, in one revision or in all. Allowed after the run's end too."""

        def decide(session: Session) -> None:
            run = run_state(session, self.run_id, envelope)
            if self.id in run.messages.by_id and run.messages.role_of(self.id) is None:
                session.inherited_message(run, self.id)
            session.record(run, run.messages.redact(self.id, tuple(fields), legal_basis, revision))

        return Plan(self.run_id, decide, itself, envelope)

    submit_revise = submitting(revise)
    submit_append_text = submitting(append_text)
    submit_seal = submitting(seal)
    submit_redact = submitting(redact)

    def _going_on(self, decide: Callable[[RunState], list[Event]], envelope: Envelope) -> Plan[Receipt]:
        """Plan what goes on with a message that streams, also one that the past left so."""

        def work(session: Session) -> None:
            run = run_state(session, self.run_id, envelope)
            if run.messages.role_of(self.id) is None:
                session.inherited_message(run, self.id)
            session.record(run, decide(run))

        return Plan(self.run_id, work, itself, envelope)


@command
def add_message(
    self: Handle,
    role: Role,
    content: Content = "",
    *,
    message_id: str | None = None,
    name: str | None = None,
    tool_call_id: str | None = None,
    author: str | None = None,
    activity_type: str | None = None,
    encrypted_value: str | None = None,
    streaming: bool = False,
    auto_deny: bool = False,
    keep_approvals: bool = False,
    **envelope: Unpack[Envelope],
) -> Plan[Message]:
    """Add a message: `content` is text, or a list of parts.

    With `streaming`, append text to it and seal it. A user's message is refused while an approval is open; with
    `auto_deny` those approvals are withdrawn instead, and their tool calls fail; with `keep_approvals` they stay open, for
    words that are no new input.
    """
    if auto_deny and keep_approvals:
        raise InvalidEvent("keep_approvals", "contradicts `auto_deny`: leave one of them out")
    content = () if streaming and not content else content
    has_more = not (name is tool_call_id is author is activity_type is encrypted_value is None)  # mostly there is only content
    made_id = self.executor.new_id("msg") if message_id is None else None
    message = plain_message(made_id, role, content, streaming=streaming) if made_id and not has_more else None
    if message is None:
        said: dict[str, Any] = {"message_id": made_id or message_id, "role": role, "streaming": streaming}
        if has_more:
            said |= {"name": name, "tool_call_id": tool_call_id, "author": author}
            said |= {"activity_type": activity_type, "encrypted_value": encrypted_value}
        message = message_of(content, said)
    decide = partial(_add, self.id, message, auto_deny, keep_approvals, envelope)  # one object, where a closure is eight
    return Plan(self.id, decide, child_of(self, Message, made_id or message.message_id), envelope)


def _add(run_id: str, message: MessageAdded, auto_deny: bool, keep_approvals: bool, envelope: Envelope, session: Session) -> None:
    run = run_state(session, run_id, envelope)
    if run.waiting_for and message.role == "user" and not keep_approvals and message.message_id not in run.messages.by_id:
        _clear_approvals(session, run, auto_deny=auto_deny)
    session.record(run, run.messages.add(message))


def _clear_approvals(session: Session, run: RunState, *, auto_deny: bool) -> None:
    """Refuse new input while approvals are open, or let the approvals go and their calls fail."""
    if not auto_deny:
        first = "decide its approvals first (`grant()`, `deny()`), or send it with `auto_deny=True`"
        run.refuse("add_message", f"{first}, or `keep_approvals=True` where it is no new input")
    session.look_up_calls(run, run.calls.open_ids)
    for approval in [session.approval(approval_id) for approval_id in run.waiting_for]:
        session.record(approval, approval.withdraw("new_input"))
        call_id = approval.request.call_id
        if call_id is not None and run.calls.is_open(call_id):
            denied = Failure(code="approval_denied", message="withdrawn: new input came before it was decided")
            session.record(run, run.calls.end(ToolFailed(call_id=call_id, error=denied)))
        session.record(run, run.approval_resolved(approval.id))
