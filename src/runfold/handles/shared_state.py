"""The commands on a run's shared state document. `Run` has each of them as a method."""

from typing import Any, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.handles.calling.command import command
from runfold.handles.calling.handle import Handle
from runfold.handles.calling.run_plan import run_plan, run_state


@command
def set_state(self: Handle, state: Any, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Record the shared state, whole."""
    return run_plan(self.id, lambda run: run.steps.take_snapshot(state), envelope)


@command
def patch_state(self: Handle, patch: list[dict[str, Any]], **envelope: Unpack[Envelope]) -> Plan[Receipt]:
    """Change the shared state by a JSON Patch (RFC 6902), whole or not at all. A branch starts from its parent's state."""

    def decide(session: Session) -> None:
        run = run_state(session, self.id, envelope)
        inherited = None if run.steps.has_state else session.inherited_state(run)
        session.record(run, run.steps.patch(patch, inherited))

    return Plan(self.id, decide, itself, envelope)
