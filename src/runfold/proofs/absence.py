"""Looks through the events of a thread for one that a bundle is to show absent."""

from runfold.proofs.claims import Absence
from runfold.proofs.findings import Findings, Seen, read_object


class AbsenceSearch:
    """Finds whether there is an event of a type, of one tool call where it is named."""

    def __init__(self, absence: Absence) -> None:
        self._absence = absence
        self._of_call: set[str] = set()
        """Streams that have to do with the call in question."""
        self._kept_back: set[str] = set()
        """Streams that might have: a payload of them is left out."""
        self._of_type: dict[str, int] = {}
        """Streams with an event of the type in question, and its position."""

    def take(self, seen: Seen) -> None:
        """Take the next leaf in, in the order of the log."""
        if seen.shown is None or seen.thread != self._absence.thread:
            return
        leaf, shown = seen.leaf, seen.shown
        if leaf.type == self._absence.type:
            self._of_type.setdefault(leaf.stream, leaf.position)
        if self._absence.call is None:
            return
        said = [seen.beside.get("context"), read_object(shown.payload) if shown.payload is not None else None]
        calls = [part["call_id"] for part in said if isinstance(part, dict) and "call_id" in part]
        if self._absence.call in calls:
            self._of_call.add(leaf.stream)
        elif shown.payload is None and not calls:
            self._kept_back.add(leaf.stream)

    def close(self, found: Findings) -> None:
        """Note what was found, after events, threads and the log were judged."""
        absence, found.absence = self._absence, "NOT PROVEN"
        streams = {stream for stream in self._of_type if absence.call is None or stream in self._of_call}
        unclear = {stream for stream in self._of_type if absence.call is not None and stream in self._kept_back}
        what = f"{absence.type}{'' if absence.call is None else f' of call {absence.call}'} in {absence.thread}"
        if streams:
            at = min(self._of_type[stream] for stream in streams)
            found.problem(f"NOT ABSENT: there is {what}, at position {at}")
        elif unclear:
            found.problem(f"NOT PROVEN: whether {what} is absent, as payloads of {min(unclear)} are left out")
        elif not found.holds_all_of(absence.thread) or not found.proven:
            found.problem(f"NOT PROVEN: whether {what} is absent, as the thread is not proven to be complete")
        else:
            found.absence = f"ABSENT: {what}"
