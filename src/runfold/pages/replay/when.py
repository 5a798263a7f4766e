"""Where a thread was at a time by the clocks of those who told it."""

from runfold.domain.times import parse_time
from runfold.errors import UsageError
from runfold.pages.asking import Past
from runfold.pages.typed import as_time

_STRETCHES = 1_000


def position_when(asked: Past, thread_id: str, text: str) -> int:
    """The position of the last event of a thread that had happened by a time. Raises UsageError where none had."""
    moment = parse_time(as_time(text), day="to")
    reading = asked.ledger.at(asked.head.position)
    told = [each for each in reading.stretches(thread_id, number_of=_STRETCHES).stretches if each.first_at is not None]
    before = [each for each in told if each.first_at is not None and each.first_at <= moment]
    if not before:
        began = f"; it began {told[0].first_at:%Y-%m-%d %H:%M:%S} UTC" if told else ""
        raise UsageError(f"nothing of this thread had happened by {text[:40]}{began}")
    last = before[-1]
    events = asked.ledger.events(after=last.first_position - 1, up_to=last.last_position, thread_id=thread_id)
    return max((event.position for event in events if event.happened_at <= moment), default=last.first_position)
