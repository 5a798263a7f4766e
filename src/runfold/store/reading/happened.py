"""What of a thread had happened by a time, by the clocks of those who told it.

Producers' clocks are not monotone, and not everybody gives a time. So of each stream the events count that stand before the
first one that happened later; one without a time happened when its predecessor did. What had not happened carries nothing else:
a run whose parent was not that far yet, an approval of a run that was not there, a head put at such a run.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from runfold.domain.approval_events import ApprovalRequested
from runfold.domain.recorded import Recorded
from runfold.domain.run_events import RunCreated
from runfold.domain.thread import HeadMoved, HeadNamed


def happened_by(moment: datetime, events: Iterable[Recorded]) -> Iterator[Recorded]:
    """Yield those events of a thread that had happened by a moment; given all of them, in the order of the ledger."""
    clock, last, closed = Clock(), dict[str, int](), set[str]()
    for recorded in events:
        is_later = clock.time_of(recorded) > moment
        if recorded.stream in closed or is_later or not _is_carried(recorded, last):
            closed.add(recorded.stream)
            continue
        last[recorded.stream] = recorded.version
        yield recorded


class Clock:
    """Tells when each event of a thread happened; given in the order of the ledger."""

    def __init__(self) -> None:
        self._told: dict[str, datetime] = {}
        """The latest time that a producer gave in each stream; of a stream that began without one, that of the event before."""
        self._before: datetime | None = None

    def time_of(self, recorded: Recorded) -> datetime:
        """Return the producer's time of the event, else that of its predecessor, else the store's."""
        told = recorded.metadata.occurred_at or self._told.get(recorded.stream)
        if told is None and recorded.version == 1:
            told = self._before
        self._before = told
        if told is None:
            return recorded.recorded_at
        self._told[recorded.stream] = told
        return told


def _is_carried(recorded: Recorded, last: dict[str, int]) -> bool:
    """Return whether what an event builds upon is there."""
    event = recorded.event
    if recorded.stream != recorded.thread_id and recorded.thread_id not in last:
        return False
    match event:
        case RunCreated(parent=parent) if parent is not None:
            return last.get(parent.run_id, 0) >= parent.at_version
        case HeadNamed(run_id=run_id) | HeadMoved(to_run_id=run_id) | ApprovalRequested(run_id=run_id):
            return run_id in last
        case _:
            return True


class HappenedBy:
    """How far each stream had come by a moment. A thread is read once, when it is first asked about."""

    def __init__(
        self,
        moment: datetime,
        events_of: Callable[[str], Iterable[Recorded]],
        thread_of: Callable[[str], str | None],
    ) -> None:
        self.moment = moment
        self._events_of, self._thread_of = events_of, thread_of
        self._threads: dict[str, dict[str, int]] = {}

    def of_thread(self, thread_id: str) -> dict[str, int]:
        """The last version of each stream of a thread; streams of which nothing had happened are left out."""
        if thread_id not in self._threads:
            happened = happened_by(self.moment, self._events_of(thread_id))
            self._threads[thread_id] = {recorded.stream: recorded.version for recorded in happened}
        return self._threads[thread_id]

    def last_version(self, stream: str) -> int:
        """The last version of a stream; 0 where nothing of it had happened, or there is none."""
        for known in self._threads.values():
            if stream in known:
                return known[stream]
        thread_id = self._thread_of(stream)
        return 0 if thread_id is None else self.of_thread(thread_id).get(stream, 0)
