"""Looks through the events of a thread, or the leaves of the whole log, for one that a bundle is to show absent."""

import re

from runfold.proofs.claims import Absence
from runfold.proofs.container import CLAIMS, BundleUnreadable
from runfold.proofs.findings import Findings, Seen, read_object

_TYPE, _ID = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)+"), re.compile(r"[!-~]+")
"""What names a type, and what an id: in other words somebody could say more than is looked for."""
CALLED = "tool.called"
"""The type of the event with which a call begins."""


def is_id(text: str) -> bool:
    """Return whether a text can be an id."""
    return _ID.fullmatch(text) is not None


class AbsenceSearch:
    """Finds whether there is an event of a type, of one tool call where it is named.

    An event is of the call that it names itself; one that names none is of all calls that other events of its stream name.
    """

    def __init__(self, absence: Absence) -> None:
        if not _TYPE.fullmatch(absence.type):
            raise BundleUnreadable(f"{CLAIMS} names no event type that is absent")
        if not all(is_id(named) for named in (absence.call, absence.thread) if named is not None):
            raise BundleUnreadable(f"{CLAIMS} names a call or a thread that none can be")
        self._absence = absence
        self._at: int | None = None
        """The position of the first that there is."""
        self._of_type: dict[str, int] = {}
        """Streams with an event of the type that names no call itself, and its position: what its stream is about counts."""
        self._of_call: set[str] = set()
        """Streams that have to do with the call in question."""
        self._kept_back: dict[str, str] = {}
        """Streams that might have, and what of them is left out."""

    def take(self, seen: Seen) -> None:
        """Take the next leaf in, in the order of the log."""
        absence, leaf, shown = self._absence, seen.leaf, seen.shown
        if absence.thread is not None and seen.thread != absence.thread:
            return
        said = [seen.beside.get("context"), read_object(shown.payload) if shown and shown.payload is not None else None]
        calls = [part["call_id"] for part in said if isinstance(part, dict) and "call_id" in part]
        if leaf.type == absence.type:
            if absence.call is None or absence.call in calls:
                self._at = leaf.position if self._at is None else self._at
            elif not calls:
                self._of_type.setdefault(leaf.stream, leaf.position)
        if absence.call is None:
            return
        if absence.call in calls:
            self._of_call.add(leaf.stream)
        elif shown is None:
            self._kept_back.setdefault(leaf.stream, f"of {leaf.stream} there are leaves alone, which name no call")
        elif shown.payload is None and not calls:
            self._kept_back.setdefault(leaf.stream, f"payloads of {leaf.stream} are left out")

    def close(self, found: Findings) -> None:
        """Note what was found, after events, threads and the log were judged."""
        absence, found.absence = self._absence, "NOT PROVEN"
        there = [at for stream, at in self._of_type.items() if stream in self._of_call] + [
            at for at in [self._at] if at is not None
        ]
        unclear = self._of_type.keys() & self._kept_back.keys()
        of_call = "" if absence.call is None else f" of call {absence.call}"
        where, place = ("the whole log", "the log") if absence.thread is None else (absence.thread, "the thread")
        what = f"{absence.type}{of_call} in {where}"
        if there:
            found.problem(f"NOT ABSENT: there is {what}, at position {min(there)}")
        elif unclear:
            found.problem(f"NOT PROVEN: whether {what} is absent, as {self._kept_back[min(unclear)]}")
        elif not found.holds_all_of(absence.thread) or found.problem_count:
            found.problem(f"NOT PROVEN: whether {what} is absent, as {place} is not proven to be complete")
        elif absence.thread is not None and self._is_of_no_call():
            found.problem(f"NOT PROVEN: whether {what} is absent, as nothing that is shown names that call")
        else:
            found.absence = f"ABSENT: {what}"

    def _is_of_no_call(self) -> bool:
        """Whether it is about a call that nothing names, so that all would be absent of it: a slip in its id, or a lie.

        That it was never called is what such a call is asked about.
        """
        return self._absence.call is not None and not self._of_call and self._absence.type != CALLED
