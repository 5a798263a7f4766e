"""What there was of a thread before a run: which events its past has, and which messages a client could know."""

from collections.abc import Iterable
from heapq import merge

from runfold.domain.message import MessageAdded, MessageRevised
from runfold.domain.parts import Part
from runfold.domain.recorded import Recorded
from runfold.history.path import Segment, path
from runfold.history.tree import Tree
from runfold.store.reading.reader import LATEST
from runfold.store.reading.tenant_reader import TenantReader


def path_events(reader: TenantReader, tree: Tree, run_id: str, at_version: int = LATEST, up_to: int = LATEST) -> list[Recorded]:
    """Return the events along the path to a run, its own included, and those of the sub-agents on it, in their order."""
    segments = path(tree, run_id, at_version)
    whole = [Segment(child, LATEST) for segment in segments for child in tree.spawned(segment.run_id)]
    streams = (reader.stream(segment.run_id, up_to_version=segment.up_to_version, up_to=up_to) for segment in (*segments, *whole))
    return list(merge(*streams, key=lambda recorded: recorded.position))


class KnownMessage:
    """A message of the past: what it says, and where it is complete."""

    def __init__(self, run_id: str, version: int, role: str, parts: tuple[Part, ...]) -> None:
        self.run_id, self.version, self.role, self.parts = run_id, version, role, parts


def known_messages(events: Iterable[Recorded]) -> dict[str, KnownMessage]:
    """Return the messages in events, in the order in which they were added."""
    found: dict[str, KnownMessage] = {}
    for recorded in events:
        match recorded.event:
            case MessageAdded() as added:
                found[added.message_id] = KnownMessage(recorded.stream, recorded.version, added.role, added.content)
            case MessageRevised() as revised if revised.message_id in found:
                found[revised.message_id].parts = revised.content
            case event if (known := found.get(getattr(event, "message_id", ""))) and known.run_id == recorded.stream:
                known.version = recorded.version
    return found
