"""Webhooks: which there are, how far each is, how attempts went, and what became of the call that a run asked for."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCreated
from runfold.domain.webhook import (
    CallbackDelivered,
    CallbackEvent,
    Webhook,
    WebhookContent,
    WebhookDisabled,
    WebhookFilter,
    WebhookFormat,
    WebhookStatus,
)
from runfold.errors import Damage, RunNotFound, WebhookNotFound
from runfold.feed.run_watch import ENDINGS
from runfold.ids import stable_id
from runfold.queries.lists.parameters import Parameter
from runfold.queries.question import question
from runfold.queries.sources.source import LocalSource
from runfold.store.datastore import EVERY_TENANT
from runfold.store.queries import named_queries
from runfold.store.reading.reader import LATEST
from runfold.store.reading.tenant_reader import TenantReader

MOST_ATTEMPTS = 1000
_QUERIES = named_queries("runfold.queries", "webhooks.sql")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class WebhookView(_View):
    """Shows a webhook as it stands, and nothing of its secrets."""

    id: str
    label: str | None
    url: str
    """Empty where its beginning cannot be read."""
    status: WebhookStatus | Literal["unreadable"]
    """`unreadable` in a list, where something that was recorded of it cannot be read here: nothing is sent to it meanwhile."""
    reason: str | None = None
    """Why it is disabled, or which event cannot be read."""
    filter: WebhookFilter
    format: WebhookFormat
    content: WebhookContent
    secret_generation: int
    """The number of the secret that what is sent is signed with."""
    both_secrets_until: datetime | None = None
    """Until when it is signed with the one before too."""
    created_at: datetime
    created_by: str
    created_position: int
    position: int | None = None
    """Up to here it is known what is to be sent; null before a worker has looked, and as of a moment of the past."""
    waiting: int = 0
    """How much waits to be sent, of what is known."""
    oldest_waiting_at: datetime | None = None
    """Since when the oldest of it has waited."""
    next_attempt_at: datetime | None = None
    last_error: str | None = None
    """How the last attempt at something that still waits failed."""


class AttemptView(_View):
    """Shows how one attempt to send something went."""

    attempted_at: datetime
    event_id: str
    """What is sent as `webhook-id`."""
    position: int
    attempt: int
    replay: int | None
    """The position of the command to send it again, if it was sent again."""
    milliseconds: int
    status_code: int | None
    error: str | None


class CallbackView(_View):
    """Shows what became of the call that a run asked for (`callback_url`)."""

    run_id: str
    callback_url: str
    state: Literal["none_yet", "waiting", "delivered", "abandoned"]
    """`none_yet` until the run has ended."""
    callback_sent_at: datetime | None = None
    callback_status_code: int | None = None
    callback_error: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    event_id: str | None = None
    """What is sent as `webhook-id`: the event with which the run ended."""


@question
def webhooks(
    source: LocalSource,
    *,
    include_deleted: Annotated[bool, Parameter("Also those that were deleted.")] = False,
) -> list[WebhookView]:
    """All webhooks, those made first before the others."""
    events = source.reader.webhooks(source.reader.tenant, up_to=source.up_to)
    streams: dict[str, list[Recorded]] = {}
    for recorded in events:
        streams.setdefault(recorded.stream, []).append(recorded)
    figures = _figures(source)
    found = [_listed(stream, told, figures) for stream, told in streams.items()]
    return [view for view in found if include_deleted or view.status != "deleted"]


@question
def webhook(source: LocalSource, webhook_id: str) -> WebhookView:
    """A webhook, and how far it is. Raises WebhookNotFound."""
    told = list(source.stream(Webhook, webhook_id))
    if not told:
        raise WebhookNotFound(webhook_id)
    return _view(webhook_id, told, _figures(source))


@question
def webhook_attempts(
    source: LocalSource,
    webhook_id: str,
    *,
    failed: Annotated[bool, Parameter("Only attempts that failed.")] = False,
) -> list[AttemptView]:
    """The last thousand attempts to send something to a webhook, the last first. They are kept for thirty days."""
    if next(source.stream(Webhook, webhook_id), None) is None:
        raise WebhookNotFound(webhook_id)
    facts = [source.reader.tenant, webhook_id, failed, source.up_to, MOST_ATTEMPTS]
    return [_attempt(row) for row in source.reader.rows(_QUERIES["attempts"], facts)]


@question
def callback(source: LocalSource, run_id: str) -> CallbackView:
    """What became of the call that a run asked for. Raises RunNotFound, WebhookNotFound where it asked for none."""
    created = source.first(run_id, RunNotFound).event
    if not isinstance(created, RunCreated) or created.callback_url is None:
        raise WebhookNotFound(f"callback of {run_id}")
    view = CallbackView(run_id=run_id, callback_url=created.callback_url, state="none_yet")
    ended = next(source.reader.stream(run_id, up_to=source.up_to, types=tuple(ENDINGS)), None)
    return view if ended is None else _callback(source.reader, view, ended, source.up_to)


def _callback(reader: TenantReader, view: CallbackView, ended: Recorded, up_to: int) -> CallbackView:
    told: dict[str, Any] = {"state": "waiting", "event_id": str(ended.event_id)}
    stream = stable_id("callback", reader.tenant, "callbacks", str(ended.event_id))
    for recorded in reader.stream(stream, up_to=up_to):
        if not isinstance(recorded.event, CallbackEvent):
            continue
        told |= {"attempts": recorded.event.attempts, "callback_sent_at": recorded.recorded_at}
        told["callback_status_code"] = getattr(recorded.event, "status_code", None)
        told["callback_error"] = getattr(recorded.event, "error", None)
        told["state"] = "delivered" if isinstance(recorded.event, CallbackDelivered) else "abandoned"
    if told["state"] == "waiting" and up_to == LATEST:
        for attempts, due_at, error in reader.rows(_QUERIES["one waiting"], [reader.tenant, "callbacks", ended.position]):
            told |= {"attempts": attempts, "next_attempt_at": due_at, "callback_error": error}
    return view.model_copy(update=told)


def _figures(source: LocalSource) -> dict[str, dict[str, Any]]:
    """Return how far each webhook is, by its id; nothing of the past, which is not kept."""
    if source.up_to != LATEST:
        return {}
    names = ("position", "waiting", "oldest_waiting_at", "next_attempt_at", "last_error")
    rows = source.reader.rows(_QUERIES["figures"], [source.reader.tenant])
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def _listed(id: str, told: Sequence[Recorded], figures: dict[str, dict[str, Any]]) -> WebhookView:
    """Return how a webhook stands; one that cannot be read as far as it can, for it keeps no other from being listed."""
    readable, fault = _readable(told)
    if fault is None:
        return _view(id, told, figures)
    if readable:
        return _view(id, readable, figures).model_copy(update={"status": "unreadable", "reason": str(fault)})
    first = told[0]
    return WebhookView(
        id=id,
        label=None,
        url="",
        status="unreadable",
        reason=str(fault),
        filter=WebhookFilter(),
        format="runfold",
        content="thin",
        secret_generation=1,
        created_at=first.recorded_at,
        created_by=str(first.metadata.actor),
        created_position=first.position,
        **figures.get(id, {}),
    )


def _readable(told: Sequence[Recorded]) -> tuple[Sequence[Recorded], Damage | None]:
    """Return the events before the first that cannot be read, and why it cannot."""
    for number, recorded in enumerate(told):
        try:
            recorded.readable()
        except Damage as error:
            return told[:number], error
    return told, None


def _view(id: str, told: Sequence[Recorded], figures: dict[str, dict[str, Any]]) -> WebhookView:
    state, first = Webhook(id), told[0]
    reason: str | None = None
    for recorded in told:
        state.evolve(recorded.event)
        if isinstance(recorded.event, WebhookDisabled):
            reason = recorded.event.comment or recorded.event.reason
    created = state.created
    assert created is not None, "it begins with its creation"  # noqa: S101
    return WebhookView(
        id=id,
        label=created.label,
        url=created.url,
        status=state.status,
        reason=reason if state.status == "disabled" else None,
        filter=created.filter,
        format=created.format,
        content=created.content,
        secret_generation=state.generation,
        both_secrets_until=state.previous_until,
        created_at=first.recorded_at,
        created_by=str(first.metadata.actor),
        created_position=first.position,
        **figures.get(id, {}),
    )


def _attempt(row: Iterable[Any]) -> AttemptView:
    names = ("attempted_at", "event_id", "position", "attempt", "replay", "milliseconds", "status_code", "error")
    told = dict(zip(names, row, strict=True))
    return AttemptView(**{**told, "event_id": str(told["event_id"])})


class DeliveryFigures(_View):
    """Says how delivery stands, over all tenants."""

    webhooks: int
    """How many are active."""
    disabled: int
    waiting: int
    failing: int
    """How much of what waits was tried in vain."""
    oldest_seconds: float
    """For how long the oldest of what waits has waited; 0 where nothing does."""
    behind_events: int
    """How many events the webhook that is furthest behind has not looked at."""


def delivery_figures(reader: Any) -> DeliveryFigures:
    """Return how delivery stands, over all tenants. Raises LedgerUnavailable."""
    assert reader.tenant == EVERY_TENANT, "it is a question of the service's own"  # noqa: S101
    ((webhooks, disabled, waiting, failing, oldest, behind),) = reader.rows(_QUERIES["in all"])
    return DeliveryFigures(
        webhooks=webhooks,
        disabled=disabled,
        waiting=waiting,
        failing=failing,
        oldest_seconds=float(oldest),
        behind_events=max(0, behind),
    )
