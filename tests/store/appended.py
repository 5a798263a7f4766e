"""Commands of a process, given straight to an appender."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from runfold.store.appending.appender import Appender
from runfold.store.appending.appends import Append
from runfold.store.recorder import Recorder


@dataclass
class CachedStream:
    """What a process holds of a stream."""

    dead: bool = False


class Commands:
    """Queues appends, and waits for their answers."""

    def __init__(self, recorder: Recorder, row: Callable, queue_size: int = 1000) -> None:
        self.settled: list[Append] = []
        self.batches: list[int] = []
        self._row = row
        self._answered = threading.Condition()
        self._cached: dict[str, CachedStream] = {}
        self.appender = Appender(recorder.writer, self._settle, queue_size)

    def put(self, *events: tuple[str, int], watched: dict[str, int] | None = None, size: int = 0) -> Append:
        """A command that writes these versions of these streams, and believes each stream to be as the last one left it."""
        cached = [self._believed(stream) for stream in {*(stream for stream, _ in events), *(watched or {})}]
        state = b'"' + b"x" * size + b'"'
        rows = [self._row(stream, version, state) for stream, version in events]
        append = Append(rows, cached, {("default", stream): at for stream, at in (watched or {}).items()})
        self.appender.queue.put(append)
        self.appender.wake()
        return append

    def read_again(self, stream: str) -> None:
        """Believe something new of a stream."""
        self._cached[stream] = CachedStream()

    def wait(self, *appends: Append) -> None:
        with self._answered:
            assert self._answered.wait_for(lambda: all(append in self.settled for append in appends), timeout=60)

    def _believed(self, stream: str) -> CachedStream:
        return self._cached.setdefault(stream, CachedStream())

    def _settle(self, batch: list[Append]) -> None:
        with self._answered:
            self.settled += batch
            self.batches.append(len(batch))
            self._answered.notify_all()


def outcomes(*appends: Append) -> list[str]:
    """What became of each: `stored`, or the name of its error."""
    return ["stored" if append.error is None else type(append.error).__name__ for append in appends]
