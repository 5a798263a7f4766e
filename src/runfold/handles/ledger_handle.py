"""The handle of a ledger as a whole."""

from typing import Any, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.session import Session
from runfold.domain.event import Context
from runfold.domain.thread import Thread as ThreadState
from runfold.domain.thread import ThreadCreated
from runfold.domain.values import ThreadId
from runfold.handles.approval import Approval
from runfold.handles.arguments import checked_id
from runfold.handles.command import command, submitting
from runfold.handles.executor import Executor
from runfold.handles.handle import Handle
from runfold.handles.run import Run
from runfold.handles.thread import Thread


class LedgerHandle(Handle):
    """Names the ledger as a whole, or a batch of it: threads begin here, and it gives the handles of what is there."""

    def __init__(self, executor: Executor) -> None:
        super().__init__("ledger", executor)

    @command
    def create_thread(
        self,
        *,
        agent_id: str | None = None,
        user_id: str | None = None,
        title: str | None = None,
        metadata: dict[str, Any] | None = None,
        external_ref: str | None = None,
        thread_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Thread]:
        """Begin a conversation. `agent_id` runs it where a run names nobody; `external_ref` is its id elsewhere."""
        created = ThreadCreated(
            agent_id=agent_id, user_id=user_id, title=title, metadata=metadata or {}, external_ref=external_ref
        )
        created_id = checked_id(ThreadId, "thread_id", thread_id) if thread_id else self.executor.new_id("thread")

        def decide(session: Session) -> None:
            thread = session.new(ThreadState, created_id)
            session.begin(thread, thread.create(created), created_id, Context(agent_id=agent_id, user_id=user_id))

        return Plan(created_id, decide, lambda receipt: Thread(created_id, self.executor, receipt), envelope)

    submit_create_thread = submitting(create_thread)

    def thread(self, thread_id: str) -> Thread:
        """Return the handle of a thread. Whether there is one shows when it is used."""
        return Thread(thread_id, self.executor)

    def run(self, run_id: str) -> Run:
        """Return the handle of a run. Whether there is one shows when it is used."""
        return Run(run_id, self.executor)

    def approval(self, approval_id: str) -> Approval:
        """Return the handle of an approval. Whether there is one shows when it is used."""
        return Approval(approval_id, self.executor)
