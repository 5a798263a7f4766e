"""What is recorded of access beside the life of keys: each event in a stream of its own."""

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.context import Context
from runfold.domain.security import Security, SecurityEvent
from runfold.handles.calling.local import CallerExecutor


def submit_alone(executor: CallerExecutor, event: SecurityEvent, envelope: Envelope) -> Submitted[Receipt]:
    """Record an event in a stream of its own: nothing follows it, and nobody waits for another."""
    stream = executor.new_id("security")

    def decide(session: Session) -> None:
        session.begin(session.new(Security, stream), [event], stream, Context())

    return executor.submit_plan(Plan(stream, decide, itself, envelope))
