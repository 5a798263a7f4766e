"""What runs inherited from their past, as the rules must know it: read once for many questions, and kept of a few runs only.

It never changes once a run is in the log: the run left its parent at a version.
"""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import NamedTuple

from runfold.domain.message import MessageState
from runfold.domain.tool_call import ToolCallState
from runfold.history.path import History
from runfold.store.codec import StreamKey
from runfold.store.reading.reader import TenantReader

MOST_PASTS = 8
"""Each may be as long as a conversation."""


class Past(NamedTuple):
    """The messages and tool calls of a run's past, by their ids."""

    messages: Mapping[str, MessageState]
    calls: Mapping[str, ToolCallState]


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
        """Read the past of a run, and keep it. Raises RunNotFound."""
        history = History(reader, thread_id, run_id)
        past = Past(history.past_messages(), history.past_calls())
        with self._turn:
            self._known[reader.tenant, run_id] = past
            if len(self._known) > MOST_PASTS:
                self._known.popitem(last=False)
        return past

    def forget(self) -> None:
        """Know nothing any more: the log may be another."""
        with self._turn:
            self._known.clear()
