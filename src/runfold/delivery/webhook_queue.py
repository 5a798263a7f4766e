"""The reactor that reads the log for webhooks: what is to be sent to each goes into its outbox, in order.

A webhook stands where it stands by itself, so that one whose receiver is away holds up no other, and what waits for it is no
more than so much: the rest stays in the log.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from runfold.delivery.known_webhooks import KnownWebhook, KnownWebhooks
from runfold.delivery.outbox import Feed, Outbox
from runfold.delivery.reactor import HOLD_SECONDS, Claim, Reacted
from runfold.domain.event import Event
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCreated
from runfold.domain.step import StepFinished, StepStarted
from runfold.domain.webhook import WebhookReplayed
from runfold.errors import Damage
from runfold.store.datastore import EVERY_TENANT
from runfold.store.epochs import lineage_of
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Head, Reader
from runfold.store.reading.tenant_reader import TenantReader

CALLBACKS, STEPS = "callbacks", "steps"
"""What stands for a webhook's id where a run named an address, and where the settings name one for all steps."""
MOST_WAITING = 1000
PAGE = 250
_RUN_ENDS = ("run.completed", "run.failed", "run.cancelled")
_STEP_ENDS = ("step.finished", *_RUN_ENDS)


class WebhookQueue:
    """Fills the outbox."""

    name = "webhooks.queue"
    hold_seconds = HOLD_SECONDS

    def __init__(self, reader: Reader, outbox: Outbox, *, has_steps: bool, pause: float = 0.25) -> None:
        """`has_steps` says whether the settings name an address for all steps."""
        self.pause = pause
        self._reader, self._outbox, self._has_steps = reader.tolerant(), outbox, has_steps
        self._known = KnownWebhooks(reader)

    def react(self, claim: Claim) -> Reacted:  # noqa: ARG002  each webhook has a checkpoint of its own
        """Take a page in for each webhook."""
        head = self._reader.head()
        self._known.refresh(head)
        feeds = {(feed.tenant_id, feed.webhook_id): feed for feed in self._outbox.feeds()}
        filled = [self._fill_for(known, feeds.get(key), head) for key, known in self._known.by_id.items()]
        ends: dict[str, tuple[tuple[str, ...], Callable[[Recorded], Iterable[Recorded]]]] = {}
        ends[CALLBACKS] = _RUN_ENDS, self._callbacks_of
        if self._has_steps:
            ends[STEPS] = _STEP_ENDS, self._steps_of
        else:
            self._forget(feeds.get((EVERY_TENANT, STEPS)))
        filled += [self._fill_ends(name, *of, feeds.get((EVERY_TENANT, name)), head) for name, of in ends.items()]
        added, has_more = sum(count for count, _ in filled), any(more for _, more in filled)
        return Reacted({"queued": added} if added else {}, head.position, head.epoch, has_more=has_more)

    def _fill_for(self, known: KnownWebhook, feed: Feed | None, head: Head) -> tuple[int, bool]:
        """Take a page in for a webhook; return how much was added, and whether there is more to do at once."""
        if known.state.status == "deleted":
            self._forget(feed)
            return 0, False
        if feed is None:
            position = min(known.begins_after, head.position)
            self._outbox.add_feed(known.tenant_id, known.state.id, position, head.epoch)
            return 0, True
        if feed.is_active != known.is_active:
            self._outbox.set_active(feed, active=known.is_active)
        return self._fill(feed, known, head) if known.is_active else (0, False)

    def _fill_ends(
        self, name: str, types: tuple[str, ...], of: Callable[[Recorded], Iterable[Recorded]], feed: Feed | None, head: Head
    ) -> tuple[int, bool]:
        """Take a page in for the addresses that runs named, or for that of all steps."""
        if feed is None:
            self._outbox.add_feed(EVERY_TENANT, name, head.position, head.epoch)
            return 0, False
        if (feed.position, feed.epoch) == (head.position, head.epoch):
            return 0, False
        stretch = self._stretch(feed, Filter(types=types), head)
        events = [each for recorded in stretch.events for each in of(recorded)]
        moved = replace(feed, position=stretch.position, epoch=head.epoch)
        if moved == feed or not self._outbox.add(feed, moved, events):
            return 0, False
        return len(events), moved.position < head.position

    def _forget(self, feed: Feed | None) -> None:
        if feed is not None:
            self._outbox.forget_webhook(feed.tenant_id, feed.webhook_id)

    def _fill(self, feed: Feed, known: KnownWebhook, head: Head) -> tuple[int, bool]:
        """Add what comes next, if there is room; return how much, and whether there is more to do at once."""
        own = next((each for each in known.own if each.position > feed.own_position), None)
        is_at_end = (feed.position, feed.epoch) == (head.position, head.epoch)
        if (is_at_end and own is None and feed.replay is None) or self._outbox.waiting(feed, MOST_WAITING) >= MOST_WAITING:
            return 0, False
        if feed.replay is not None:
            return self._send_again(feed, known, head)
        if own is not None and isinstance(own.event, WebhookReplayed):
            begun = replace(feed, replay=own.position, replay_after=own.event.after, replay_up_to=own.event.up_to)
            self._outbox.add(feed, begun, [])
            return 0, True
        if own is not None:
            return int(self._outbox.add(feed, replace(feed, own_position=own.position), [own])), True
        stretch = self._stretch(feed, known.wanted, head)
        moved = replace(feed, position=stretch.position, epoch=head.epoch)
        if moved == feed or not self._outbox.add(feed, moved, stretch.events):
            return 0, False
        return len(stretch.events), moved.position < head.position

    def _send_again(self, feed: Feed, known: KnownWebhook, head: Head) -> tuple[int, bool]:
        after, up_to = feed.replay_after or 0, min(feed.replay_up_to or 0, head.position)
        stretch = self._reader.stretch(known.wanted, after=after, up_to=up_to, limit=PAGE)
        position = stretch.position if stretch.position < up_to else feed.replay_up_to or 0
        events = stretch.events
        return (len(events) if self._outbox.add(feed, feed.replayed(position, head.epoch), events, feed.replay) else 0), True

    def _stretch(self, feed: Feed, wanted: Filter, head: Head) -> "_Looked":
        """Read on. In a ledger that was restored, a webhook goes on where its history and the present one part."""
        after = feed.position
        if feed.epoch != head.epoch:
            shared = lineage_of(self._reader, head).shared(feed.epoch)
            after = head.position if shared is None else min(after, shared)
        after = min(after, head.position)
        stretch = self._reader.stretch(wanted, after=after, up_to=head.position, limit=PAGE)
        return _Looked(stretch.events, max(after, stretch.position))

    def _callbacks_of(self, recorded: Recorded) -> Iterator[Recorded]:
        """Yield the end of a run that named an address, or may have done. What was imported is history: nobody waits for it."""
        if _is_told(recorded):
            created = next(TenantReader.of(self._reader, recorded.tenant_id).stream(recorded.stream, up_to_version=1), None)
            event = None if created is None else _read(created)
            may_be_asked_for = created is not None and event is None
            if may_be_asked_for or (isinstance(event, RunCreated) and event.callback_url is not None):
                yield recorded

    def _steps_of(self, recorded: Recorded) -> Iterator[Recorded]:
        """Yield the end of a step; where a run ends, the beginnings of its steps that have not ended before."""
        if not _is_told(recorded):
            return
        if recorded.type == StepFinished.type:
            yield recorded
            return
        open_steps: dict[str, Recorded] = {}
        reader = TenantReader.of(self._reader, recorded.tenant_id)
        for each in reader.stream(recorded.stream, up_to_version=recorded.version, types=("step.*",)):
            event = _read(each)
            if isinstance(event, StepStarted):
                open_steps[event.step_id] = each
            elif isinstance(event, StepFinished):
                open_steps.pop(event.step_id, None)
            elif event is None and each.type == StepStarted.type:
                yield each
        yield from open_steps.values()


def _read(recorded: Recorded) -> Event | None:
    """Return what happened; None where that cannot be read here: who sends it decides, and it waits without the others."""
    try:
        return recorded.event
    except Damage:
        return None


def _is_told(recorded: Recorded) -> bool:
    """Return whether somebody may wait to be told of it: not where it was imported."""
    try:
        return recorded.context.source is None
    except Damage:
        return True


class _Looked:
    """What was found, and up to which position that is all."""

    def __init__(self, events: Sequence[Recorded], position: int) -> None:
        self.events, self.position = events, position
