"""The webhooks of all tenants as they stand in the log, kept up to date with what little is recorded of them."""

from dataclasses import dataclass, field
from uuid import UUID

from runfold.domain.recorded import Recorded
from runfold.domain.security import AUDITED
from runfold.domain.webhook import OWN_TYPES, Webhook, WebhookReplayed, WebhookTested
from runfold.errors import Damage
from runfold.logs import logger
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Head, Reader


@dataclass
class KnownWebhook:
    """A webhook, and what is to be carried out for it alone: tests, and sending again."""

    tenant_id: str
    state: Webhook
    made_at: int
    """The position at which it was created."""
    own: list[Recorded] = field(default_factory=list)
    fault: Damage | None = None
    """Why it is not known how it stands: something that was recorded of it cannot be read here."""

    @property
    def is_active(self) -> bool:
        """Return whether it is sent anything. Where it is not known how it stands, nothing is."""
        return self.state.status == "active" and self.fault is None

    @property
    def begins_after(self) -> int:
        """Return the position after which events are sent."""
        created = self.state.created
        return self.made_at if created is None or created.after is None else created.after

    @property
    def wanted(self) -> Filter:
        """Return which events it is sent: never those of delivery itself."""
        created = self.state.created
        assert created is not None, "it begins with its creation"  # noqa: S101
        asked = created.filter
        return Filter(
            thread_id=asked.thread_id,
            run_id=asked.run_id,
            tenant_id=self.tenant_id,
            agent_ids=asked.agent_id,
            goal_ids=asked.goal_id,
            user_ids=asked.user_id,
            actors=tuple(map(str, asked.actor)),
            types=asked.types,
            without=OWN_TYPES if created.is_audited else (*OWN_TYPES, *AUDITED),
        )


class KnownWebhooks:
    """All webhooks, deleted ones too. Not thread-safe."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._position, self._epoch = 0, UUID(int=0)
        self.by_id: dict[tuple[str, str], KnownWebhook] = {}
        """By tenant and id."""

    def refresh(self, head: Head) -> None:
        """Take in what was recorded since, up to a head; in another history, everything. Raises LedgerUnavailable."""
        if head.epoch != self._epoch:
            self.by_id.clear()
            self._position, self._epoch = 0, head.epoch
        if head.position > self._position:
            for recorded in self._reader.webhooks(after=self._position, up_to=head.position):
                self._take(recorded)
            self._position = head.position

    def _take(self, recorded: Recorded) -> None:
        key = recorded.tenant_id, recorded.stream
        known = self.by_id.get(key)
        if known is None:
            known = self.by_id[key] = KnownWebhook(recorded.tenant_id, Webhook(recorded.stream), recorded.position)
        try:
            known.state.evolve(recorded.event)
        except Damage as error:  # one webhook waits for who can read it, and no other
            known.fault = error
            logger().warning("nothing is sent to a webhook", webhook=recorded.stream, error=str(error))
            return
        if isinstance(recorded.event, WebhookTested | WebhookReplayed):
            known.own.append(recorded)
