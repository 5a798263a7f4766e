"""Where the heads of threads are, for commands: what came since they were known is looked at, and not all again."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from runfold.domain.recorded import Recorded
from runfold.history.tree import Tree
from runfold.store.reading.tenant_reader import TenantReader

MOST_THREADS = 1_000
"""Whose heads are kept: mostly there is one."""
Heads = Mapping[str, str]
"""The run that each head is at."""


class _Known(NamedTuple):
    position: int = 0
    """Where the last event is that was looked at."""
    event_id: bytes = b""
    heads: Heads = {}  # noqa: RUF012  nobody changes it


_NOTHING = _Known()


class ThreadHeads:
    """The heads of the threads that were asked about last. Any thread may ask."""

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._turn = Lock()

    def of(self, reader: TenantReader, thread_id: str) -> Heads:
        """Return the heads of a thread as the log has them by now."""
        return self.found(reader.tenant, thread_id, lambda after: reader.tree(thread_id, after=after)).heads

    def found(self, tenant_id: str, thread_id: str, log: Callable[[int], Iterable[Recorded]]) -> _Known:
        """Do the same with what tells the events that shape the thread's tree after a position.

        Where the last one that was known is not there any more, as after a restore, all is looked at anew.
        """
        known, key = self._known, (tenant_id, thread_id)
        before = known.get(key, _NOTHING)
        news = list(log(max(0, before.position - 1)))
        if before.position and news and news[0].event_id_bytes == before.event_id:
            del news[0]
        elif before.position:
            known.pop(key, None)
            before, news = _NOTHING, list(log(0))
        if not news:
            return before
        found = _Known(news[-1].position, news[-1].event_id_bytes, _moved_on(before.heads, thread_id, news))
        with self._turn:
            if found.position > known.get(key, _NOTHING).position:
                known[key] = found
            known.move_to_end(key)
            if len(known) > self._most:
                known.popitem(last=False)
        return found

    def forget(self) -> None:
        """Know nothing any more: the log may be another."""
        self._known = OrderedDict()


def _moved_on(heads: Heads, thread_id: str, events: Iterable[Recorded]) -> Heads:
    tree = Tree(thread_id, heads=dict(heads))
    for recorded in events:
        tree.evolve(recorded)
    return tree.heads


@dataclass(slots=True)
class _Growing:
    """The heads of a thread, with all that is collected of it up to now."""

    tree: Tree
    known: _Known = _NOTHING
    """What was known of the log."""
    taken: int = 0
    """How many of the thread's collected events are in."""


class GrowingHeads:
    """The heads as a batch will leave them, while it collects one part: what it collects stands after all that is recorded."""

    def __init__(self, log: Callable[[str], _Known], collected: Callable[[int], Iterable[Recorded]]) -> None:
        """`log` is asked for what is known of a thread in the log, `collected` for the events after so many, of all threads."""
        self._log, self._collected = log, collected
        self._growing: dict[str, _Growing] = {}
        self._by_thread: dict[str, list[Recorded]] = {}
        self._count = 0

    def of(self, thread_id: str) -> Heads:
        """Return the heads of a thread as they are by now. They change with what is collected, so nobody keeps them."""
        known, growing = self._log(thread_id), self._growing.get(thread_id) or _Growing(Tree(thread_id))
        self._growing[thread_id] = growing
        if known.event_id != growing.known.event_id:  # somebody else's events stand before what is collected
            growing.known, growing.tree, growing.taken = known, Tree(thread_id, heads=dict(known.heads)), 0
        for recorded in self._collected(self._count):
            self._by_thread.setdefault(recorded.thread_id, []).append(recorded)
            self._count += 1
        of_thread = self._by_thread.get(thread_id, [])
        for recorded in of_thread[growing.taken :]:
            growing.tree.evolve(recorded)
        growing.taken = len(of_thread)
        return growing.tree.heads
