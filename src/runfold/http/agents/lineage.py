"""Where a client's run hangs in the tree of its thread: by what it says, or by the messages that it has."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runfold.agui.conversation import Conversation
from runfold.domain.message import MessageAdded
from runfold.domain.run_events import ParentKind
from runfold.domain.thread import MAIN
from runfold.domain.tool_call import ToolArgumentsAppended, ToolCalled
from runfold.errors import InvalidEvent
from runfold.history.tree import Tree
from runfold.http.agents.ids import message_id_of, run_id_of
from runfold.http.agents.past import path_events
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import LATEST
from runfold.store.reading.tenant_reader import TenantReader


@dataclass(frozen=True)
class Origin:
    """The run that a new one comes from; a root comes from none."""

    run_id: str | None
    kind: ParentKind = "continues"
    at_version: int | None = None
    elsewhere: frozenset[str] = frozenset()
    """Messages of the thread that the client may have, and that are not of the path that it asked for."""


def own_words(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a client says to Runfold alone."""
    told = asked.get("forwardedProps")
    own = told.get("runfold") if isinstance(told, dict) else None
    return own if isinstance(own, dict) else {}


class Lineage:
    """A thread's tree, looked at for one request."""

    def __init__(self, reader: TenantReader, tree: Tree, asked: Mapping[str, Any]) -> None:
        self._reader, self._tree, self._asked = reader, tree, asked

    def origin(self) -> Origin:
        """Return where the run hangs. Raises RunNotFound, InvalidEvent."""
        own = own_words(self._asked)
        if fork := own.get("forkFromMessageId"):
            return self._only_path(self._after_message(message_id_of(str(fork))))
        if parent := self._asked.get("parentRunId") or own.get("parentRunId"):
            run_id = self._tree.node(run_id_of(self._tree.thread_id, str(parent))).run_id
            return self._only_path(Origin(run_id, "continues" if run_id == self.head else "branches"))
        return self._by_messages()

    def _only_path(self, origin: Origin) -> Origin:
        return replace(origin, elsewhere=frozenset(self._homes()))

    @property
    def head(self) -> str | None:
        """Return the run that the thread's main head is at."""
        return self._tree.heads.get(MAIN)

    def current(self) -> str | None:
        """Return where a client is: the end of the branch that its messages are on, or of what was done last."""
        homes, has = self._homes(), [message_id_of(str(message.get("id"))) for message in self._asked["messages"]]
        last = next((message_id for message_id in reversed(has) if message_id in homes), None)
        if last is not None:
            return self._tip(self._tree.main_of(homes[last]))
        latest = [run_id for run_id in self._tree.nodes if not self._is_spawned(run_id)]
        return latest[-1] if latest else None

    def _by_messages(self) -> Origin:
        has = [message_id_of(str(message.get("id"))) for message in self._asked["messages"] if message.get("role") != "activity"]
        if self.head is None:
            return Origin(None)
        homes = self._homes()
        last = next((message_id for message_id in reversed(has) if message_id in homes), None)
        if last is None:
            return Origin(self.head)
        tip = self._tip(self._tree.main_of(homes[last]))
        return self._before_first_unknown(tip, has) or Origin(tip)

    def _tip(self, run_id: str) -> str:
        """Return the end of the branch that a run is on: of several the one that the main head is at."""
        at = self.head
        while at is not None:
            if at == run_id:
                return self.head or run_id
            parent = self._tree.node(at).parent
            at = parent.run_id if parent is not None else None
        return self._tree.last_after(run_id)

    def _before_first_unknown(self, tip: str, has: list[str]) -> Origin | None:
        """Return where the client's messages leave the path: before the first that it lacks. None where it has them all."""
        events = path_events(self._reader, self._tree, tip)
        conversation = Conversation()
        places: dict[int, tuple[str, int]] = {}
        for recorded in events:
            conversation.take(recorded)
            places[recorded.position] = recorded.stream, recorded.version
        mine, known = frozenset(has), False
        left: tuple[str, int] | None = None
        for message in conversation.messages.values():
            place = places.get(message.added_at, ("", 0))
            if message.role in {"activity", "reasoning"} or message.metadata.get("is_implied") or self._is_spawned(place[0]):
                continue
            if message.id in mine:
                known, left = True, place
            elif known and left is not None:
                return self._leaving(place, left)
        return None

    def _is_spawned(self, run_id: str) -> bool:
        node = self._tree.nodes.get(run_id)
        return node is not None and node.parent is not None and node.parent.kind == "spawned_by"

    def _leaving(self, lacking: tuple[str, int], left: tuple[str, int]) -> Origin:
        """Return the place before a message, or the end of the run before, where it is the first of its run."""
        run_id, version = lacking
        return Origin(run_id, "branches", version - 1) if run_id == left[0] else Origin(left[0], "branches")

    def _after_message(self, message_id: str) -> Origin:
        home = self._homes().get(message_id)
        if home is None:
            raise InvalidEvent("forwardedProps.runfold.forkFromMessageId", f"no message of this thread is {message_id!r}")
        last = 0
        for recorded in self._reader.stream(home):
            if getattr(recorded.event, "message_id", None) == message_id:
                last = recorded.version
        return Origin(home, "branches", last)

    def _homes(self) -> dict[str, str]:
        """Return the run that each message of the thread was added in; one that only holds tool calls is named by them."""
        found: dict[str, str] = {}
        types = (MessageAdded.type, ToolCalled.type, ToolArgumentsAppended.type)
        wanted = Filter(tenant_id=self._reader.tenant, thread_id=self._tree.thread_id, types=types)
        for recorded in self._reader.events(wanted, up_to=LATEST):
            match recorded.event:
                case MessageAdded() as added:
                    found.setdefault(added.message_id, recorded.stream)
                case ToolCalled() | ToolArgumentsAppended() as asked:
                    found.setdefault(asked.message_id or asked.call_id, recorded.stream)
        return found
