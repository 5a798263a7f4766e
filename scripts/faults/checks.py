"""C1 to C4: what was promised is stored, once, without a hole, and every reader saw all of it in order.

Pure: given journals, stored events and what readers got, it says what is wrong. C4 is stricter here than elsewhere:
positions are dense, so a missing one is a loss.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from faults.journal import Ack

EXAMPLES = 5


class Stored(NamedTuple):
    """One event as the log has it. `command` is the correlation id; `seen` whether this tenant's readers get it."""

    position: int
    stream: str
    version: int
    event_id: str
    type: str
    recorded_at: datetime
    command: str | None
    seen: bool = True


@dataclass
class Findings:
    """How many of each, and the first few in words."""

    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    skipped: int = 0
    inverted: int = 0
    holes: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """All of them together."""
        return self.lost + self.doubled + self.skipped + self.inverted + self.holes

    def add(self, kind: str, example: str, number: int = 1) -> None:
        """Count one, and keep its words if there are few yet."""
        setattr(self, kind, getattr(self, kind) + number)
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{kind}: {example}")


def examine(
    log: Sequence[Stored],
    *,
    after: int,
    head: int,
    ours: str,
    journals: Iterable[Iterable[Sequence[Ack]]] = (),
    readers: Iterable[Sequence[int]] = (),
) -> Findings:
    """Compare everything.

    `log` is what stands after position `after` up to the head that the ledger claims; `ours` is in the names of our
    streams, which begin within it; a journal is its groups of acknowledgements; a reader is the positions it was given.
    """
    findings = Findings(stored=sum(ours in event.stream for event in log))
    _positions_are_dense(log, after, head, findings)
    _nothing_is_doubled(log, ours, findings)
    _versions_follow(log, ours, findings)
    _times_do_not_go_back(log, findings)
    at = {(event.stream, event.version): event for event in log}
    promised: set[tuple[str, int]] = set()
    for journal in journals:
        _promised_is_stored(journal, at, promised, findings)
    findings.acknowledged = len(promised)
    expected = [event.position for event in log if event.seen]
    for number, delivered in enumerate(readers, 1):
        reader_saw_all(f"reader {number}", delivered, expected, findings)
    return findings


def _positions_are_dense(log: Sequence[Stored], after: int, head: int, findings: Findings) -> None:
    """C4, in the store. What is read in order of position cannot be inverted; a position may be missing or twice."""
    last = after
    for event in log:
        if event.position > last + 1:
            findings.add("holes", f"positions {last + 1} to {event.position - 1} are missing", event.position - last - 1)
        elif event.position <= last:
            findings.add("doubled", f"position {event.position} stands twice")
        last = max(last, event.position)
    if last < head:
        findings.add("holes", f"the head says {head}, and positions after {last} are missing", head - last)


def _nothing_is_doubled(log: Sequence[Stored], ours: str, findings: Findings) -> None:
    """C2. One command records one event of a type."""
    ids: set[str] = set()
    places: set[tuple[str, int]] = set()
    commands: set[tuple[str, str]] = set()
    for event in log:
        if event.event_id in ids:
            findings.add("doubled", f"event id {event.event_id} stands twice, again at position {event.position}")
        if (event.stream, event.version) in places:
            findings.add("doubled", f"{event.stream} has version {event.version} twice, again at {event.position}")
        ids.add(event.event_id)
        places.add((event.stream, event.version))
        if event.command is None or ours not in event.stream:
            continue
        if (event.command, event.type) in commands:
            findings.add("doubled", f"command {event.command} is recorded twice, again at position {event.position}")
        commands.add((event.command, event.type))


def _versions_follow(log: Sequence[Stored], ours: str, findings: Findings) -> None:
    """C3. A stream of somebody else's may have begun before."""
    at: dict[str, int] = {}
    for event in log:
        last = at.get(event.stream, 0 if ours in event.stream else event.version - 1)
        if event.version > last + 1:
            findings.add("holes", f"{event.stream} goes from version {last} to {event.version}", event.version - last - 1)
        elif event.version < last:
            findings.add("inverted", f"{event.stream} has version {event.version} after {last}, at {event.position}")
        at[event.stream] = max(event.version, last)


def _times_do_not_go_back(log: Sequence[Stored], findings: Findings) -> None:
    for before, event in pairwise(log):
        if event.recorded_at < before.recorded_at:
            findings.add("inverted", f"position {event.position} is recorded before the one before it")


def _promised_is_stored(
    journal: Iterable[Sequence[Ack]], at: dict[tuple[str, int], Stored], promised: set[tuple[str, int]], findings: Findings
) -> None:
    """C1, and that what was acknowledged first stands first. Many may be told of one event: it counts once."""
    reached = 0
    for group in journal:
        for ack in group:
            promised.add((ack.stream, ack.version))
            event = at.get((ack.stream, ack.version))
            if event is None or (event.position, event.command) != (ack.position, ack.command):
                findings.add("lost", f"{ack} was acknowledged, and there stands {event}")
            elif ack.position < reached:
                findings.add("inverted", f"{ack} was acknowledged after position {reached}")
        reached = max([reached, *(ack.position for ack in group)])


def reader_saw_all(reader: str, delivered: Sequence[int], expected: Sequence[int], findings: Findings) -> None:
    """C4, at a reader."""
    last = 0
    for position in delivered:
        if position == last:
            findings.add("doubled", f"{reader} got position {position} twice")
        elif position < last:
            findings.add("inverted", f"{reader} got position {position} after {last}")
        last = max(last, position)
    if missed := sorted(set(expected) - set(delivered)):
        findings.add("skipped", f"{reader} never got position {missed[0]}", len(missed))
    if invented := sorted(set(delivered) - set(expected)):
        findings.add("lost", f"{reader} got position {invented[0]}, which is not in the log", len(invented))
