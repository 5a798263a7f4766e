"""How a command on a run is planned: its state is looked at, its rules decide, and its stream records what they say."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.event import Event
from runfold.domain.run import Run as RunState
from runfold.handles.calling.handle import Child, Handle

T = TypeVar("T")
C = TypeVar("C", bound=Child)


def run_plan(
    run_id: str, decide: Callable[[RunState], list[Event]], envelope: Envelope, answer: Callable[[Receipt], T] = itself
) -> Plan[T]:
    """Plan a command that looks at nothing but its run."""
    return Plan(run_id, partial(_work, run_id, decide, envelope), answer, envelope)


def _work(run_id: str, decide: Callable[[RunState], list[Event]], envelope: Envelope, session: Session) -> None:
    run = run_state(session, run_id, envelope)
    session.record(run, decide(run))


def run_state(session: Session, run_id: str, envelope: Envelope) -> RunState:
    """Return a run as it stands. Raises RunNotFound, and VersionConflict where it is not at the version that is expected."""
    run = session.run(run_id)
    if envelope:
        session.expect(run, envelope.get("expected_version"))
    return run


def child_of(run: Handle, kind: type[C], child_id: str) -> Callable[[Receipt], C]:
    """Return what makes the handle of a run's new part, once it is recorded."""
    return partial(kind, child_id, run.executor, run.id)
