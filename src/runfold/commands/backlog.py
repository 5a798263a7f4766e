"""Commands that cannot be decided at once, because something must be read first or because they lost a race."""

import queue
import sys
import threading
from collections import Counter
from collections.abc import Callable

from runfold.commands.plan import Attempt
from runfold.commands.submitted import settle
from runfold.store.codec import StreamKey


class Backlog:
    """Has one thread work on them, in the order in which they came. The thread is started when the first one comes."""

    def __init__(self, turn: threading.Lock, work: Callable[[Attempt], bool]) -> None:
        """`work` brings a command forward, and returns False where it must be worked on again."""
        self._turn, self._work = turn, work
        self._queue: queue.PriorityQueue[tuple[int, Attempt | None]] = queue.PriorityQueue()
        self._thread: threading.Thread | None = None
        self.waiting: Counter[StreamKey] = Counter()
        """How many commands wait on each stream: who comes later waits behind them. It changes while the turn is held."""

    def add(self, attempt: Attempt) -> None:
        """Take a command on. The caller holds the turn."""
        self.waiting[attempt.key] += 1
        self._queue.put((attempt.number, attempt))
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="runfold-decider", daemon=True)
            thread.start()
            self._thread = thread  # once it runs: an interrupt before that leaves nothing to be waited for

    def close(self) -> None:
        """Wait until all commands are worked off."""
        if self._thread is not None:
            self._queue.put((sys.maxsize, None))
            self._thread.join()

    def _run(self) -> None:
        while (attempt := self._queue.get()[1]) is not None:
            try:
                if not self._work(attempt):
                    self._queue.put((attempt.number, attempt))  # what came earlier may have come back meanwhile
                    continue
            except Exception as error:
                settle([(attempt.submitted, error)])
            with self._turn:
                self.waiting[attempt.key] -= 1
                if not self.waiting[attempt.key]:
                    del self.waiting[attempt.key]
