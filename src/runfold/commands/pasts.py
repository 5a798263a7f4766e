"""What runs inherited from their past, as the rules must know it: read once for many questions, and kept of a few runs only.

It never changes once a run is in the log: the run left its parent at a version.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import NamedTuple

from runfold.domain.message import MessageState
from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ToolCallState
from runfold.history.path import TOOL_CALL_EVENTS, History, calls_left, messages_left
from runfold.store.codec import StreamKey
from runfold.store.reading.tenant_reader import TenantReader

MOST_PASTS, MOST_BYTES = 8, 16 * 2**20
"""Each may be as long as a conversation, and hold all results of its tool calls: so many bytes of events are kept of all."""


class Past(NamedTuple):
    """The messages and tool calls of a run's past, by their ids."""

    messages: Mapping[str, MessageState]
    calls: Mapping[str, ToolCallState]
    size: int
    """How many bytes of events it was read from."""


class Pasts:
    """The pasts that were asked about last. Any thread may ask."""

    def __init__(self) -> None:
        self._known: OrderedDict[StreamKey, Past] = OrderedDict()
        self._turn = Lock()

    def get(self, run: StreamKey) -> Past | None:
        """Return the past of a run if it is in memory."""
        with self._turn:
            if run in self._known:
                self._known.move_to_end(run)
            return self._known.get(run)

    def read(self, reader: TenantReader, thread_id: str, run_id: str) -> Past:
        """Read the past of a run, and keep it unless it alone is too much. Raises RunNotFound."""
        history, sizes = History(reader, thread_id, run_id), list[int]()

        def measured(types: tuple[str, ...]) -> Iterator[Recorded]:
            for recorded in history.past_events(types):
                sizes.append(recorded.payload_bytes)
                yield recorded

        past = Past(messages_left(measured(("message.*",))), calls_left(measured(TOOL_CALL_EVENTS)), sum(sizes))
        with self._turn:
            self._known[reader.tenant, run_id] = past
            while len(self._known) > MOST_PASTS or sum(each.size for each in self._known.values()) > MOST_BYTES:
                self._known.popitem(last=False)
        return past

    def forget(self) -> None:
        """Know nothing any more: the log may be another."""
        with self._turn:
            self._known.clear()
