"""The producer checker: takes any AG-UI stream, event by event, and names the first rule that it breaks.

It is for who sends events, and as strict as a client may be: what AG-UI's own client refuses, misreads or takes for something
else. It takes time linear in the events, and keeps the ids that are open, the shared state, and some more ids within a bound.
Types of events that AG-UI does not have pass, and are counted.
"""

from collections.abc import Iterable
from typing import Any

from ag_ui.core import BaseEvent

from runfold.agui.checked_run import CheckedRun
from runfold.agui.fields import require_fields, require_type
from runfold.agui.rules import Broken, Violation

ANY_TERMINAL = frozenset({"RUN_FINISHED", "RUN_ERROR"})


class Checker:
    """Checks one stream. Once it has found a violation it looks no further."""

    def __init__(self) -> None:
        self.events = 0
        self.violation: Violation | None = None
        self.unknown: dict[str, int] = {}
        """How many events of which types passed that AG-UI does not have."""
        self._run = CheckedRun()

    def take(self, event: Any) -> Violation | None:
        """Check the next event: a JSON object, or a model of AG-UI. Return the violation that was found, now or before."""
        if self.violation is None:
            wire = event.model_dump(mode="json", by_alias=True) if isinstance(event, BaseEvent) else event
            try:
                self._check(wire)
            except Broken as broken:
                kind = wire.get("type") if isinstance(wire, dict) else None
                return self.break_off(broken, kind if isinstance(kind, str) else None)
            self.events += 1
        return self.violation

    def end(self) -> Violation | None:
        """There are no more events. Return the violation that was found, if any."""
        if self.violation is None and not self._run.is_over:
            return self.break_off(Broken("terminal", "the stream ends here" if self.events else "there are no events"))
        return self.violation

    def break_off(self, broken: Broken, event_type: str | None = None) -> Violation:
        """Take in a rule that is broken where the next event should be."""
        self.violation = Violation(self.events, broken.rule, broken.fact, event_type)
        return self.violation

    def _check(self, event: Any) -> None:
        kind, is_known = require_type(event)
        self._run.require_place(kind)
        if not is_known:
            self.unknown[kind] = self.unknown.get(kind, 0) + 1
            return
        self._run.take(kind, require_fields(kind, event), event)


def check(events: Iterable[Any]) -> Violation | None:
    """Return the first rule that a whole stream breaks, with the event's index and what would be right; None if there is none."""
    checker = Checker()
    for event in events:
        if (found := checker.take(event)) is not None:
            return found
    return checker.end()
