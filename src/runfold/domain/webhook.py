"""Webhooks: addresses to which events are sent as they are recorded, and what became of each thing that was sent.

A webhook is a stream `webhook_…`. What was sent to it, or to the address that a run named (`callback_url`), is a stream
`callback_…` each, with how it ended. Attempts are not events: they lie in a table of their own, and so do signing secrets.
"""

from datetime import datetime
from typing import Annotated, Literal, NoReturn, assert_never, cast

from pydantic import Field

from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.values import Actor, Count, Id, Label, RunId, Text, ThreadId, Time, Value, Version, WebhookId
from runfold.domain.web_address import Url
from runfold.errors import CommandRefused

WebhookFormat = Literal["runfold", "cloudevents"]
"""Our own words, or a CloudEvent."""
WebhookContent = Literal["thin", "whole"]
"""Which event it is and where it can be read, or all of it."""
WebhookStatus = Literal["active", "disabled", "deleted"]

OWN_TYPES = ("webhook.*", "callback.*")
"""The types that delivery itself records. They are never delivered, or each delivery would cause the next."""

_Texts = Annotated[tuple[Label, ...], Field(max_length=100)]


class WebhookFilter(Value):
    """Says which events a webhook is sent: those of the feed with the same filter. What is empty does not narrow."""

    types: _Texts = ()
    thread_id: ThreadId | None = None
    run_id: RunId | None = None
    agent_id: _Texts = ()
    goal_id: _Texts = ()
    user_id: _Texts = ()
    actor: tuple[Actor, ...] = ()


class WebhookEvent(Event):
    """Something happened to a webhook."""


class WebhookCreated(WebhookEvent, type="webhook.created"):
    """Somebody asked for events to be sent to an address as they are recorded."""

    derived = frozenset({"is_audited"})

    url: Url
    label: Label | None = None
    filter: WebhookFilter = WebhookFilter()
    format: WebhookFormat = "runfold"
    content: WebhookContent = "thin"
    after: Count | None = None
    """The position after which events are sent; that of this event where there is none."""
    is_audited: bool = False
    """Whether it is sent what only the scope `audit:read` shows, for who made it had that."""


class WebhookDisabled(WebhookEvent, type="webhook.disabled"):
    """Nothing more is sent, until it is enabled again: somebody said so, or the receiver answered that it is gone."""

    reason: Literal["asked", "gone"]
    comment: Text | None = None


class WebhookEnabled(WebhookEvent, type="webhook.enabled"):
    """It is sent events again, from where it stood."""


class WebhookSecretRotated(WebhookEvent, type="webhook.secret_rotated"):
    """What is sent is signed with a new secret, and until a time with the one before too."""

    generation: Version
    """The number of the new secret; the first has 1."""
    previous_until: Time


class WebhookTested(WebhookEvent, type="webhook.tested"):
    """Somebody had this very event sent, to see whether it arrives."""


class WebhookReplayed(WebhookEvent, type="webhook.replayed"):
    """Somebody had events sent again: those between two positions that the webhook's filter lets pass."""

    after: Count
    up_to: Count


class WebhookDeleted(WebhookEvent, type="webhook.deleted"):
    """It is no more. Its secrets are erased, and what was not sent yet is not sent."""


AnyWebhookEvent = (
    WebhookCreated | WebhookDisabled | WebhookEnabled | WebhookSecretRotated | WebhookTested | WebhookReplayed | WebhookDeleted
)


class Webhook:
    """What a stream `webhook_…` holds. Empty at version 0."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self.created: WebhookCreated | None = None
        self.status: WebhookStatus = "active"
        self.generation = 1
        self.previous_until: datetime | None = None

    @property
    def exists(self) -> bool:
        """Tell whether anything was recorded here."""
        return self.version > 0

    def describe(self) -> str:
        """Describe the state in words."""
        return f"{self.status} at version {self.version}" if self.exists else "not created"

    def refuse(self, command: str, rule: str) -> NoReturn:
        """Raise CommandRefused with this stream's state."""
        raise CommandRefused(command, self.id, rule, self.describe())

    def create(self, created: WebhookCreated) -> Events:
        """Create the webhook. Repeating the same under the same id records nothing."""
        if self.created is not None:
            raise AlreadyRecorded("webhook", self.id, self.id, 1, created)
        return [created]

    def disable(self, reason: Literal["asked", "gone"], comment: str | None = None) -> Events:
        """Send nothing more. Again, it changes nothing."""
        self._require_present("disable")
        return [] if self.status == "disabled" else [WebhookDisabled(reason=reason, comment=comment)]

    def enable(self) -> Events:
        """Send again, from where it stood. Again, it changes nothing."""
        self._require_present("enable")
        return [] if self.status == "active" else [WebhookEnabled()]

    def rotate(self, previous_until: datetime) -> Events:
        """Sign with a new secret, and until a time with the one before too."""
        self._require_present("rotate_secret")
        return [WebhookSecretRotated(generation=self.generation + 1, previous_until=previous_until)]

    def test(self) -> Events:
        """Send an event of its own."""
        self._require_active("test")
        return [WebhookTested()]

    def replay(self, after: int, up_to: int) -> Events:
        """Send events again."""
        self._require_active("replay")
        if after >= up_to:
            self.refuse("replay", f"there is nothing after {after} and up to {up_to}; give positions of events that are recorded")
        return [WebhookReplayed(after=after, up_to=up_to)]

    def delete(self) -> Events:
        """End it for ever. Again, it changes nothing."""
        if not self.exists:
            self.refuse("delete", "only a webhook can be deleted")
        return [] if self.status == "deleted" else [WebhookDeleted()]

    def evolve(self, event: Event) -> None:
        """Update the state by one event."""
        self.version += 1
        match cast("AnyWebhookEvent", event):
            case WebhookCreated() as created:
                self.created = created
            case WebhookDisabled():
                self.status = "disabled"
            case WebhookEnabled():
                self.status = "active"
            case WebhookSecretRotated() as rotated:
                self.generation, self.previous_until = rotated.generation, rotated.previous_until
            case WebhookTested() | WebhookReplayed():
                pass
            case WebhookDeleted():
                self.status = "deleted"
            case never:
                assert_never(never)

    def _require_present(self, command: str) -> None:
        if not self.exists or self.status == "deleted":
            self.refuse(command, "it is deleted; create another")

    def _require_active(self, command: str) -> None:
        self._require_present(command)
        if self.status == "disabled":
            self.refuse(command, "it is disabled; enable it first (`enable()`)")


# What became of what was sent


class CallbackEvent(Event):
    """Something that was to be sent has ended one way or the other."""

    webhook_id: WebhookId | None = None
    """To which webhook; without it, to the address that a run named, or to that of all steps."""
    event_id: Id
    """The event it was about. With the webhook it names what was sent, in the header `webhook-id` too."""
    position: Version
    """The position of that event."""
    attempts: Version
    replay: Version | None = None
    """The position of the command to send it again, if it was one."""


class CallbackDelivered(CallbackEvent, type="callback.delivered"):
    """The receiver answered that it has it."""

    status_code: Count


class CallbackAbandoned(CallbackEvent, type="callback.abandoned"):
    """It was tried as often as it is to be tried, or the receiver is gone. It can be sent again."""

    error: Text
    status_code: Count | None = None


AnyCallbackEvent = CallbackDelivered | CallbackAbandoned


class Callback:
    """What a stream `callback_…` holds: how one thing that was sent, and maybe sent again, has ended. Empty at version 0."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self.ended: dict[int | None, AnyCallbackEvent] = {}
        """How it ended when it was first sent (under None), and each time that it was sent again."""

    @property
    def exists(self) -> bool:
        """Tell whether anything was recorded here."""
        return self.version > 0

    def describe(self) -> str:
        """Describe the state in words."""
        return f"ended at version {self.version}" if self.exists else "not ended"

    def end(self, ended: AnyCallbackEvent) -> Events:
        """Record how it ended, once: whoever sent it a second time, because the first had died, changes nothing."""
        return [] if ended.replay in self.ended else [ended]

    def evolve(self, event: Event) -> None:
        """Update the state by one event."""
        self.version += 1
        ended = cast("AnyCallbackEvent", event)
        self.ended[ended.replay] = ended
