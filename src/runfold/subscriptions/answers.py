"""What becomes of a consumer's answer, while the row of the subscription is locked."""

from collections.abc import Sequence
from uuid import UUID

from runfold.subscriptions.stored import Item, Kept, Lease, Stored
from runfold.subscriptions.views import Answered

MOST_RETRY_SECONDS = 3600.0


def acknowledge(stored: Stored, lease: UUID, positions: Sequence[int]) -> Answered:
    """They are done; those of which that was told before are told so again."""
    held = stored.lease(lease)
    done = held.of(positions) if held else []
    if held and done:
        stored.keep_of_lease(held, done)
        stored.keep_answer(lease, Answered(acknowledged=at(done)))
    left = {*positions} - {*at(done)}
    again = {each for told in stored.answered(lease) for each in told.acknowledged if each in left} if left else set()
    return Answered(acknowledged=sorted({*at(done)} | again), lost=sorted(left - again))


def reject(
    stored: Stored, kept: Kept, lease: UUID, positions: Sequence[int], reason: str | None, delay_seconds: float | None, park: bool
) -> Answered:
    """They are to be given again later, or parked; what follows them in order is given back.

    Those of which that was told before are told so again.
    """
    held = stored.lease(lease)
    failed = held.of(positions) if held else []
    told = Answered() if held is None or not failed else _rejected(stored, kept, held, failed, reason, delay_seconds, park)
    left = {*positions} - {*told.retried, *told.parked}
    before = [each for each in stored.answered(lease) if left & {*each.retried, *each.parked}] if left else []
    if told != Answered():
        stored.keep_answer(lease, told)
        stored.prune_answers()
    all_told = [told, *before]
    retried = {each for one in all_told for each in one.retried} & {*positions}
    parked = {each for one in all_told for each in one.parked} & {*positions}
    released = {each for one in all_told for each in one.released}
    lost = sorted({*positions} - retried - parked)
    return Answered(retried=sorted(retried), parked=sorted(parked), released=sorted(released), lost=lost)


def _rejected(
    stored: Stored, kept: Kept, held: Lease, failed: Sequence[Item], reason: str | None, delay_seconds: float | None, park: bool
) -> Answered:
    parked = [item for item in failed if park or item.attempts >= kept.most_attempts]
    again = [item for item in failed if not park and item.attempts < kept.most_attempts]
    left = stored.keep_of_lease(held, failed)
    if behind := _behind(again, left):
        stored.keep_of_lease(held._replace(items=left), behind)
    stored.park(parked, held.consumer, reason)
    pauses = [_pause(kept, item) if delay_seconds is None else float(delay_seconds) for item in again]
    stored.wait(again, pauses, at_random=delay_seconds is None)
    stored.wait([_not_given(item) for item in behind])
    return Answered(retried=at(again), parked=at(parked), released=at(behind))


def extend(stored: Stored, kept: Kept, lease: UUID) -> Answered:
    """They take longer: the lease begins anew."""
    held = stored.lease(lease)
    stored.rows("extend", lease=lease, lease_seconds=kept.lease_seconds)
    return Answered(extended=at(held.items) if held else [])


def release(stored: Stored, lease: UUID) -> Answered:
    """They are given back, unanswered; of those that were given back before, that is told again."""
    held = stored.lease(lease)
    if held is None:
        before = [each for each in stored.answered(lease) if not each.retried]
        return Answered(released=sorted({position for each in before for position in each.released}))
    stored.keep_of_lease(held, held.items)
    stored.wait([_not_given(item) for item in held.items])
    told = stored.keep_answer(lease, Answered(released=at(held.items)))
    stored.prune_answers()
    return told


def at(items: Sequence[Item]) -> list[int]:
    """Return their positions, in order."""
    return sorted(item.position for item in items)


def _not_given(item: Item) -> Item:
    """As if the last take had not given it."""
    return item._replace(attempts=item.attempts - 1)


def _behind(again: Sequence[Item], left: Sequence[Item]) -> list[Item]:
    """Return those that stand, in order, behind one that is to be given again."""
    first: dict[str, int] = {}
    for item in again:
        if item.key is not None:
            first[item.key] = min(first.get(item.key, item.position), item.position)
    return [item for item in left if item.key is not None and item.position > first.get(item.key, item.position)]


def _pause(kept: Kept, item: Item) -> float:
    """Twice as long each time."""
    return float(min(MOST_RETRY_SECONDS, kept.retry_seconds * 2 ** min(item.attempts - 1, 30)))
