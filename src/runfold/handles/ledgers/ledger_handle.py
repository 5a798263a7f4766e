"""The handle of a ledger as a whole."""

from typing import Any, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.session import Session
from runfold.domain.context import Context
from runfold.domain.thread import Thread as ThreadState
from runfold.domain.thread import ThreadCreated
from runfold.domain.values import ThreadId
from runfold.domain.webhook import WebhookContent, WebhookCreated, WebhookFormat
from runfold.handles.approval import Approval
from runfold.handles.calling.arguments import checked
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.executor import Executor
from runfold.handles.calling.handle import Handle
from runfold.handles.run import Run
from runfold.handles.thread import Thread
from runfold.handles.webhook import Texts, Webhook, creation, filter_of


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
        created_id = self.executor.new_id("thread") if thread_id is None else checked(ThreadId, "thread_id", thread_id)

        def decide(session: Session) -> None:
            thread = session.new(ThreadState, created_id)
            session.begin(thread, thread.create(created), created_id, Context(agent_id=agent_id, user_id=user_id))

        return Plan(created_id, decide, lambda receipt: Thread(created_id, self.executor, receipt), envelope)

    submit_create_thread = submitting(create_thread)

    @command
    def create_webhook(
        self,
        url: str,
        *,
        label: str | None = None,
        types: Texts = None,
        thread_id: str | None = None,
        run_id: str | None = None,
        agent_id: Texts = None,
        goal_id: Texts = None,
        user_id: Texts = None,
        by_actor: Texts = None,
        format: WebhookFormat = "runfold",
        content: WebhookContent = "thin",
        after: int | None = None,
        webhook_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Webhook]:
        """Have events sent to an address as they are recorded, signed, each at least once under the same id.

        They are narrowed as the feed is (`by_actor` is who recorded them), and begin after now, or after a position. `format` is
        `runfold` or `cloudevents`; `content` is `thin` (which event it is, and where it can be read) or `whole`. Raises
        InvalidEvent for an address that leads to no public host, UsageError for unknown types, ThreadNotFound, RunNotFound.
        """
        wanted = filter_of(
            types, by_actor, thread_id=thread_id, run_id=run_id, agent_id=agent_id, goal_id=goal_id, user_id=user_id
        )
        created = WebhookCreated(url=url, label=label, filter=wanted, format=format, content=content, after=after)
        return creation(self.executor, created, webhook_id, envelope)

    submit_create_webhook = submitting(create_webhook)

    def webhook(self, webhook_id: str) -> Webhook:
        """Return the handle of a webhook. Whether there is one shows when it is used."""
        return Webhook(webhook_id, self.executor)

    def thread(self, thread_id: str) -> Thread:
        """Return the handle of a thread. Whether there is one shows when it is used."""
        return Thread(thread_id, self.executor)

    def run(self, run_id: str) -> Run:
        """Return the handle of a run. Whether there is one shows when it is used."""
        return Run(run_id, self.executor)

    def approval(self, approval_id: str) -> Approval:
        """Return the handle of an approval. Whether there is one shows when it is used."""
        return Approval(approval_id, self.executor)
