"""What reading methods return: frozen models, straight from the log."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from runfold.domain.approval import Approval
from runfold.domain.approval_events import ApprovalRule, ApprovalStatus, Vote
from runfold.domain.message import MessageAdded, MessageRevised, Role
from runfold.domain.parts import Part, ReasoningPart, TextPart
from runfold.domain.recorded import Recorded
from runfold.domain.run import Run
from runfold.domain.run_events import Goal, Parent, RunCancelled, RunFailed, Status
from runfold.domain.thread import Thread
from runfold.domain.tool_call import CallStatus, Failure, ToolCalled, ToolCancelled, ToolFailed, ToolStarted, ToolSucceeded
from runfold.history.tree import Tree

REDACTED = "[redacted]"


class View(BaseModel):
    """Something as it was at a position."""

    model_config = ConfigDict(frozen=True)


class Message(View):
    """A message as of a run: its nearest revision along the path. `position` is where the shown wording was recorded."""

    id: str
    run_id: str
    role: Role
    content: tuple[Part, ...]
    revision: int
    added_at: datetime
    added_position: int
    position: int
    name: str | None = None
    tool_call_id: str | None = None
    author: str | None = None
    actor: str | None = None
    """Who recorded it, as `kind:id`."""
    activity_type: str | None = None
    streaming: bool = False
    finish_reason: str | None = None
    is_redacted: bool = False

    @property
    def text(self) -> str:
        """The words of its text and reasoning parts."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart | ReasoningPart))

    @classmethod
    def added(cls, event: MessageAdded, recorded: Recorded) -> Self:
        """A message as it was added."""
        return cls(
            id=event.message_id,
            run_id=recorded.stream,
            role=event.role,
            content=event.content,
            revision=1,
            added_at=recorded.happened_at,
            added_position=recorded.position,
            position=recorded.position,
            name=event.name,
            tool_call_id=event.tool_call_id,
            author=event.author,
            actor=str(recorded.metadata.actor),
            activity_type=event.activity_type,
            streaming=event.streaming,
        )

    def revised(self, event: MessageRevised, recorded: Recorded) -> Self:
        """The same message with a new wording, at its old place."""
        changes = {
            "run_id": recorded.stream,
            "content": event.content,
            "revision": event.revision,
            "position": recorded.position,
        }
        return self.model_copy(update=changes)

    def redacted(self, fields: tuple[str, ...]) -> Self:
        """The same message without what may no longer be shown."""
        changes: dict[str, Any] = {"is_redacted": True}
        for name in fields:
            changes[name] = (TextPart(text=REDACTED),) if name == "content" else REDACTED
        return self.model_copy(update=changes)


class RunView(View):
    """A run at a glance."""

    id: str
    thread_id: str
    version: int
    status: Status
    stop_reason: str | None
    parent: Parent | None
    agent_id: str
    goal: Goal | None
    input: Any
    output: Any
    error: Failure | None
    metadata: dict[str, Any]
    key: str | None
    """Under which it was asked for, which makes asking twice ask once."""
    request_config: dict[str, Any] | None
    workflow_id: str | None
    attempt: int
    worker: str | None
    background: bool
    waiting_for: tuple[str, ...]
    messages: int
    tool_calls: int
    open_tool_calls: int
    decisions: int
    problems: int
    compactions: int = 0
    """How many times its model's memory was cut."""
    created_at: datetime
    last_event_at: datetime
    position: int

    @classmethod
    def of(cls, run: Run, first: Recorded, last: Recorded) -> Self:
        """Return what the fold of a run's stream says."""
        created = run.created
        assert created is not None, "only a run that exists is shown"  # noqa: S101
        return cls(
            id=run.id,
            thread_id=first.thread_id,
            version=run.version,
            status=run.status,
            stop_reason=run.ending.stop_reason if run.ending else ("requires_approval" if run.waiting_for else None),
            parent=created.parent,
            agent_id=created.agent_id,
            goal=created.goal,
            input=created.input,
            output=run.details.output,
            error=run.ending.error if isinstance(run.ending, RunFailed) else None,
            metadata=run.details.metadata,
            key=created.key,
            request_config=created.request_config,
            workflow_id=run.details.workflow_id,
            attempt=run.attempt,
            worker=run.lease.held.worker if run.lease.held else None,
            background=created.background,
            waiting_for=run.waiting_for,
            messages=len(run.messages.by_id),
            tool_calls=len(run.calls.by_id),
            open_tool_calls=len(run.calls.open_ids),
            decisions=len(run.decisions.by_id),
            problems=len(run.problems.by_id),
            compactions=len(run.compactions.by_id),
            created_at=first.happened_at,
            last_event_at=last.happened_at,
            position=last.position,
        )


class ThreadView(View):
    """A thread at a glance."""

    id: str
    version: int
    state: Literal["open", "archived", "deleted"]
    title: str | None
    agent_id: str | None
    user_id: str | None
    external_ref: str | None
    metadata: dict[str, Any]
    heads: dict[str, str]
    superseded_by: tuple[str, ...] = ()
    """The threads that stand for it since a newer importer read its source otherwise: lists and totals leave it out."""
    runs: int
    created_at: datetime
    created_position: int
    last_run_at: datetime | None
    position: int

    @classmethod
    def of(cls, thread: Thread, tree: Tree, first: Recorded, position: int) -> Self:
        """Return what the folds of a thread's stream and of its tree say."""
        created = thread.created
        assert created is not None, "only a thread that exists is shown"  # noqa: S101
        return cls(
            id=thread.id,
            version=thread.version,
            state="deleted" if thread.deleted else "archived" if thread.archived else "open",
            title=thread.title,
            agent_id=created.agent_id,
            user_id=created.user_id,
            external_ref=created.external_ref,
            metadata=created.metadata,
            heads=dict(tree.heads),
            superseded_by=thread.superseded_by,
            runs=len(tree.nodes),
            created_at=first.happened_at,
            created_position=first.position,
            last_run_at=max((node.created_at for node in tree.nodes.values()), default=None),
            position=position,
        )


class ApprovalView(View):
    """An approval at a glance."""

    id: str
    run_id: str
    thread_id: str
    version: int
    status: ApprovalStatus
    action: str
    reason: str
    message: str | None
    arguments_text: str
    effective_arguments_text: str | None
    effective_digest: str | None
    requested_by: str
    rule: ApprovalRule
    call_id: str | None
    decision_id: str | None
    expires_at: datetime | None
    votes: tuple[Vote, ...]
    consumed_by: str | None
    requested_at: datetime
    position: int

    @classmethod
    def of(cls, approval: Approval, first: Recorded, last: Recorded) -> Self:
        """Return what the fold of an approval's stream says."""
        asked, granted = approval.request, approval.granted
        return cls(
            id=approval.id,
            run_id=asked.run_id,
            thread_id=first.thread_id,
            version=approval.version,
            status=approval.status,
            action=asked.action,
            reason=asked.reason,
            message=asked.message,
            arguments_text=asked.arguments_text,
            effective_arguments_text=granted.effective_arguments_text if granted else None,
            effective_digest=granted.effective_digest if granted else None,
            requested_by=asked.requested_by,
            rule=asked.rule,
            call_id=asked.call_id,
            decision_id=asked.decision_id,
            expires_at=asked.expires_at,
            votes=tuple(ballot.vote for ballot in approval.ballots.values()),
            consumed_by=approval.consumed.execution_key if approval.consumed else None,
            requested_at=first.happened_at,
            position=last.position,
        )


class ToolCallView(View):
    """A tool call and what came of it."""

    id: str
    run_id: str
    name: str
    arguments_text: str
    arguments: Any
    status: CallStatus
    result: Any = None
    error: Failure | None = None
    reason: str | None = None
    """Why it was given up."""
    message_id: str | None = None
    provider_call_id: str | None = None
    needs_approval: bool = False
    approval_id: str | None = None
    """The approval that was asked for it along the path; of several, the last. Told by a conversation and a comparison."""
    approval_status: ApprovalStatus | None = None
    effective_arguments_text: str | None = None
    """What was allowed, and so executed, where that is something else than was asked; `arguments` stay what was asked."""
    effective_arguments: Any = None
    actor: str | None = None
    """Who asked for it, as `kind:id`."""
    requested_at: datetime | None = None
    requested_position: int
    resolved_at: datetime | None = None
    resolved_position: int | None = None

    @classmethod
    def called(cls, event: ToolCalled, recorded: Recorded) -> Self:
        """A call as it was asked for."""
        return cls(
            id=event.call_id,
            run_id=recorded.stream,
            name=event.name,
            arguments_text=event.arguments_text,
            arguments=event.arguments,
            status="called",
            message_id=event.message_id,
            provider_call_id=event.provider_call_id,
            needs_approval=event.needs_approval,
            actor=str(recorded.metadata.actor),
            requested_at=recorded.happened_at,
            requested_position=recorded.position,
        )

    def evolved(self, event: ToolStarted | ToolSucceeded | ToolFailed | ToolCancelled, recorded: Recorded) -> Self:
        """The call after something happened to it."""
        end: dict[str, Any] = {"resolved_position": recorded.position, "resolved_at": recorded.happened_at}
        match event:
            case ToolStarted():
                return self.model_copy(update={"status": "started"})
            case ToolSucceeded():
                return self.model_copy(update={**end, "status": "succeeded", "result": event.result})
            case ToolFailed():
                return self.model_copy(update={**end, "status": "failed", "result": event.result, "error": event.error})
            case ToolCancelled():
                return self.model_copy(update={**end, "status": "cancelled", "reason": event.reason})

    def closed(self, ending: RunFailed | RunCancelled, recorded: Recorded) -> Self:
        """The call after its run ended badly under it."""
        changes: dict[str, Any] = {"resolved_position": recorded.position, "resolved_at": recorded.happened_at}
        if isinstance(ending, RunFailed):
            return self.model_copy(update={**changes, "status": "failed", "error": ending.error})
        return self.model_copy(update={**changes, "status": "cancelled", "reason": ending.reason})
