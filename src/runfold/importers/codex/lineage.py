"""Sessions that begin where another one stood, without repeating its lines: newer forks, and sessions that went back.

Their first line names the other session and the ordinal of its first line that is not theirs (`history_base`). The files
that they begin with are read before them.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from runfold.importers.codex.heads import Head
from runfold.importers.codex.lines import Line
from runfold.importers.codex.path import Place
from runfold.importers.codex.reading import Reader
from runfold.importers.sources import Report
from runfold.importers.tally import Note
from runfold.importers.turns.values import mapping, text

NOT_GIVEN = "sessions whose beginning stands in a file that was not given"


@dataclass(frozen=True)
class _Mark:
    """How a session stood from one of its lines on."""

    ordinal: int
    place: Place
    """Its last turn."""
    total: dict[str, Any] | None
    """What had been used."""


class Lineage:
    """How each session of a conversation stood, line by line."""

    def __init__(self) -> None:
        self._marks: dict[str, list[_Mark]] = {}
        self._now: list[_Mark] = []
        """Those of the file that is read."""
        self._places: dict[str, Place] = {}
        """The turns by their runs."""

    def begin(self, head: Head, reader: Reader, report: Report) -> None:
        """Begin a file where the other one stood that it names."""
        self._now = []
        base = mapping(head.own.get("history_base"))
        session_id, end = text(base.get("thread_id")), base.get("end_ordinal_exclusive")
        if session_id is None or not isinstance(end, int):
            return
        marks = self._marks.get(session_id, [])
        here = bisect_left(marks, end, key=lambda mark: mark.ordinal)
        if here == 0:
            report(Note(head.file.name, 1, NOT_GIVEN))
            return
        self._now = marks[:here] if session_id == head.session_id else marks[here - 1 : here]
        reader.meter.total = marks[here - 1].total
        if head.sub_agent is None:
            went_back = session_id == head.session_id and here < len(marks)
            reader.path.begin_after(self._way_to(reader, marks[here - 1].place), went_back=went_back)

    def note(self, line: Line, reader: Reader) -> None:
        """Note how the session stands after a line."""
        place, total = reader.path.last, reader.meter.total
        if line.ordinal is None or place is None:
            return
        self._places[place.run_id] = place
        if not self._now or (self._now[-1].place, self._now[-1].total) != (place, total):
            self._now.append(_Mark(line.ordinal, place, total))

    def end(self, head: Head) -> None:
        """Keep how the session of a file stood."""
        if head.session_id is not None and self._now:
            self._marks[head.session_id] = self._now

    def _way_to(self, reader: Reader, place: Place) -> list[Place]:
        """The turns up to one, the first of them first."""
        found: dict[str, Place] = {}
        at: Place | None = place
        while at is not None and at.run_id not in found:
            found[at.run_id] = at
            turn = reader.path.turn(at)
            at = None if turn.kind == "spawned_by" else self._places.get(turn.parent or "")
        return [*reversed(found.values())]
