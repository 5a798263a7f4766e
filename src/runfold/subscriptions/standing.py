"""How subscriptions stand: what they are behind, however many there are, in a fixed number of questions."""

from collections.abc import Sequence
from dataclasses import replace

from runfold.domain.catalogue import event_types
from runfold.domain.security import AUDITED
from runfold.feed.asked import Asked
from runfold.store.cursor import cursor_of
from runfold.store.reading.filter import Filter
from runfold.store.reading.firsts import firsts
from runfold.store.reading.tenant_reader import TenantReader
from runfold.subscriptions.stored import Kept, Stored
from runfold.subscriptions.views import SubscriptionView


def within(reader: TenantReader, kept: Kept) -> Filter:
    """Return what a subscription is narrowed by."""
    asked = Asked.of(0, **kept.wanted)
    wanted = asked.within(asked.thread_id, reader.tenant, () if kept.audited else AUDITED)
    return replace(wanted, types=event_types.patterns(asked.types))


def standing(reader: TenantReader, stored: Stored, all_kept: Sequence[Kept]) -> list[SubscriptionView]:
    """Return how they stand."""
    if not all_kept:
        return []
    counts = {name: counted for name, *counted in stored.rows("counts", names=[kept.name for kept in all_kept])}
    head = reader.head().position
    open_from: dict[str, int | None] = {name: first for name, (*_, first) in counts.items()}
    up_to = {kept.name: min(kept.looked_up_to, head) for kept in all_kept}
    up_to |= {name: first - 1 for name, first in open_from.items() if first is not None}
    behind = [kept for kept in all_kept if open_from[kept.name] is None and up_to[kept.name] < head]
    found = firsts(reader, [(within(reader, kept), up_to[kept.name]) for kept in behind], head)
    oldest = open_from | {kept.name: position for kept, position in zip(behind, found, strict=True)}
    positions = sorted({position for position in oldest.values() if position is not None})
    recorded_at = dict(stored.rows("recorded at", positions=positions)) if positions else {}
    return [
        SubscriptionView(
            **kept.promise,
            name=kept.name,
            owner=kept.owner,
            wanted=kept.wanted,
            in_order_of=kept.in_order_of,
            created_at=kept.created_at,
            acknowledged_up_to=cursor_of(up_to[kept.name], kept.epoch),
            head=head,
            lag=head - up_to[kept.name],
            leased=counts[kept.name][0],
            waiting=counts[kept.name][1],
            parked=counts[kept.name][2],
            oldest_position=oldest[kept.name],
            oldest_at=recorded_at.get(oldest[kept.name]),
        )
        for kept in all_kept
    ]
