"""Handles of what is recorded inside a run's stream: they know their run, and act through it."""

from collections.abc import Callable
from typing import TypeVar

from runfold.commands.caller import Envelope
from runfold.commands.plan import Plan
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.event import Event
from runfold.domain.run import Run as RunState
from runfold.handles.command import Entrance, Handle, itself
from runfold.history.path import History

T = TypeVar("T")


class Child(Handle):
    """A message, tool call, decision, … of a run."""

    def __init__(self, id: str, executor: Entrance, run_id: str, receipt: Receipt | None = None) -> None:
        super().__init__(id, executor)
        self.run_id = run_id
        self.receipt = receipt

    def _plan(
        self,
        decide: Callable[[RunState, Callable[[], History]], list[Event]],
        envelope: Envelope,
        answer: Callable[[Receipt], T] = itself,
    ) -> Plan[T]:
        """A command on the run. `decide` gets the run, and its past should it need that."""

        def work(session: Session) -> None:
            run = session.run(self.run_id)
            session.expect(run, envelope.get("expected_version"))

            def past() -> History:
                thread_id, reader = session.thread_of(run), self._executor.reader
                return session.fetch("past", lambda: History(reader, thread_id, run.id))  # type: ignore[no-any-return]

            session.record(run, decide(run, past))

        return Plan(self.run_id, work, answer, envelope)
