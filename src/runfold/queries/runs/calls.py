"""The tool calls of one run, folded along its path: what its past left open is as the run carried it on.

Of a call that a run carries on, the approvals asked before are its past's: they are decided and used there, and so they are no
part of the call as this run has it.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from runfold.domain.recorded import Recorded
from runfold.domain.tool_call import ENDED, ToolCalled
from runfold.projections.fold import Standing, Standings, fold, touched
from runfold.projections.projection import Key
from runfold.projections.tool_calls import ToolCallRow, ToolCalls

Scope = Literal["run", "path"]

CALLS = ToolCalls()
_NOT_ASKED = {"approval_id": None, "open_approvals": 0, "approved": None}


class RunCalls:
    """Folds the events along a path, run after run, the root's first."""

    def __init__(self) -> None:
        self.asked_by: dict[str, str] = {}
        """The run that asked for each call."""
        self._known: dict[str, Standing] = {}
        """Each call's row, whose run is the last that did something with it."""
        self._tenant_id = ""

    def take_in(self, run_id: str, events: Sequence[Recorded]) -> None:
        """Take in events of a run and of its approvals. Raises FoldFailed."""

        def before(key: Key) -> ToolCallRow | None:
            row = self._row(key[2])
            return row if row is None or row.run_id == run_id else row.but(_NOT_ASKED, run_id=run_id)

        for (self._tenant_id, _, call_id), standing in fold(CALLS, touched(CALLS, events), before).items():
            self._known[call_id] = standing
        self.asked_by |= dict.fromkeys(_asked(events), run_id)

    def rows(self, run_id: str, scope: Scope) -> Standings:
        """Return all of them, or those that the run at the end asked for, carried on, or has open from its past."""
        found: Standings = {}
        for call_id, standing in self._known.items():
            row = self._row(call_id)
            if row is None or (scope == "run" and row.run_id != run_id and row.status in ENDED):
                continue
            is_left_open = row.run_id != run_id and row.status not in ENDED
            shown = row.but(_NOT_ASKED) if is_left_open else row
            found[self._tenant_id, row.run_id, call_id] = standing._replace(row=shown)
        return found

    def _row(self, call_id: str) -> ToolCallRow | None:
        standing = self._known.get(call_id)
        return standing.row if standing is not None and isinstance(standing.row, ToolCallRow) else None


def _asked(events: Iterable[Recorded]) -> Iterable[str]:
    return (recorded.event.call_id for recorded in events if isinstance(recorded.event, ToolCalled))
