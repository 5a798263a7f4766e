"""The handle of a webhook, and the command that makes one."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.catalogue import event_types
from runfold.domain.context import Context
from runfold.domain.durations import duration
from runfold.domain.event import Events, is_of_type
from runfold.domain.values import Actor, WebhookId, narrowing
from runfold.domain.webhook import OWN_TYPES, WebhookCreated, WebhookFilter
from runfold.domain.webhook import Webhook as WebhookState
from runfold.errors import InvalidEvent
from runfold.handles.calling.arguments import checked
from runfold.handles.calling.command import command, submitting
from runfold.handles.calling.executor import Executor
from runfold.handles.calling.handle import Handle

BOTH_SECRETS = timedelta(hours=24)
"""For how long what is sent is signed with the secret before a new one too."""
MOST_BOTH_SECRETS = timedelta(days=30)

Texts = str | Iterable[str] | None
Deciding = Callable[[Session, WebhookState], Events]
_SEVERAL = frozenset({"agent_id", "goal_id", "user_id"})


class Webhook(Handle):
    """Names an address to which events are sent as they are recorded."""

    @command
    def disable(self, comment: str | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Send nothing more until it is enabled again. Again, it changes nothing. Raises WebhookNotFound."""
        return self._plan(lambda _, webhook: webhook.disable("asked", comment), envelope)

    @command
    def enable(self, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Send events again, from where it stood: what was recorded meanwhile too. Again, it changes nothing."""
        return self._plan(lambda _, webhook: webhook.enable(), envelope)

    @command
    def rotate_secret(self, *, keep_for: str | timedelta = BOTH_SECRETS, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Sign with a new secret, and for a while (`1h`, `7d`; a day) with the one before too, so that the receiver can change.

        The new one is what `webhook_secrets` shows. Raises WebhookNotFound, InvalidEvent.
        """
        length = duration("keep_for", keep_for)
        if not timedelta(0) <= length <= MOST_BOTH_SECRETS:
            raise InvalidEvent("keep_for", f"must be from 0s to {MOST_BOTH_SECRETS.days}d")
        until = self.executor.clock() + length
        return self._plan(lambda _, webhook: webhook.rotate(until), envelope)

    @command
    def test(self, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Have an event sent that says of itself that it is a test (`webhook.tested`). Raises WebhookNotFound, CommandRefused."""
        return self._plan(lambda _, webhook: webhook.test(), envelope)

    @command
    def replay(self, *, after: int = 0, up_to: int | None = None, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Have events sent again that are after a position and up to another (the last one), as far as its filter lets them pass.

        They have the ids that they had. Raises WebhookNotFound, CommandRefused where there is nothing between the positions.
        """
        for name, position in (("after", after), ("up_to", up_to)):
            if position is not None and (type(position) is not int or position < 0):
                raise InvalidEvent(name, "is a position; they begin at 1, and 0 is before all of them")

        def decide(session: Session, webhook: WebhookState) -> Events:
            head = session.head()
            return webhook.replay(after, head if up_to is None else min(up_to, head))

        return self._plan(decide, envelope)

    @command
    def delete(self, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """End it for ever: nothing more is sent, and its secrets are erased. Again, it changes nothing."""
        return self._plan(lambda _, webhook: webhook.delete(), envelope)

    submit_disable = submitting(disable)
    submit_enable = submitting(enable)
    submit_rotate_secret = submitting(rotate_secret)
    submit_test = submitting(test)
    submit_replay = submitting(replay)
    submit_delete = submitting(delete)

    def _plan(self, decide: Deciding, envelope: Envelope) -> Plan[Receipt]:
        def work(session: Session) -> None:
            webhook = session.webhook(self.id)
            session.expect(webhook, envelope.get("expected_version"))
            session.record(webhook, decide(session, webhook))

        return Plan(self.id, work, itself, envelope)


def creation(executor: Executor, created: WebhookCreated, webhook_id: str | None, envelope: Envelope) -> Plan[Webhook]:
    """Return the plan of what makes a webhook.

    Raises InvalidEvent for an address that nothing may be sent to, ThreadNotFound, RunNotFound.
    """
    executor.require_address(created.url, "url")
    created_id = executor.new_id("webhook") if webhook_id is None else checked(WebhookId, "webhook_id", webhook_id)

    def decide(session: Session) -> None:
        webhook = session.new(WebhookState, created_id)
        if created.after is not None and not webhook.exists and created.after > (head := session.head()):
            raise InvalidEvent("after", f"is beyond the ledger, which ends at {head}; leave it out to begin after that")
        if not webhook.exists:
            _require_known(session, created.filter)
        made = created.model_copy(update={"is_audited": session.may("audit:read")})
        session.begin(webhook, webhook.create(made), created_id, Context())

    return Plan(created_id, decide, lambda receipt: Webhook(created_id, executor, receipt), envelope)


def _require_known(session: Session, wanted: WebhookFilter) -> None:
    """Raise ThreadNotFound or RunNotFound for what is not there, and InvalidEvent for a run of another thread."""
    if wanted.thread_id is not None:
        session.thread(wanted.thread_id)
    if wanted.run_id is None:
        return
    thread_id = session.thread_of(session.run(wanted.run_id))
    if wanted.thread_id not in {None, thread_id}:
        raise InvalidEvent("thread_id", f"is not that of {wanted.run_id}, which is of {thread_id}; name one of them")


def filter_of(types: Texts, by_actor: Texts, **others: Any) -> WebhookFilter:
    """Return a filter of what a caller gives. Raises UsageError for unknown types, InvalidEvent, pydantic.ValidationError."""
    patterns = event_types.patterns(narrowing("types", types))
    found = [name for name in event_types.all() if any(is_of_type(name, pattern) for pattern in patterns)]
    if found and all(any(is_of_type(name, own) for own in OWN_TYPES) for name in found):
        raise InvalidEvent("types", "name only what delivery itself records, which is never sent; name others")
    actors = tuple(Actor.parse(actor) for actor in narrowing("by_actor", by_actor))
    said: dict[str, Any] = {name: narrowing(name, given) if name in _SEVERAL else given for name, given in others.items()}
    return WebhookFilter(types=patterns, actor=actors, **said)
