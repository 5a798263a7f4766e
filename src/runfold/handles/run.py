"""A run's handle: an id and the executor. Every method is one command, and idempotent by the id it may be given."""

from datetime import datetime
from typing import Any, TypeVar, Unpack

from runfold.commands.plan import Plan
from runfold.handles.command import command, submitting
from runfold.handles.creation import Creation, RunRequest, request_envelope
from runfold.handles.decision import Decision, Problem
from runfold.handles.handle import Child
from runfold.handles.message import Message
from runfold.handles.recording import Recording
from runfold.handles.tool_call import ToolCall
from runfold.handles.usage import Usage
from runfold.history.views import Message as MessageView
from runfold.history.views import RunView

T = TypeVar("T")
C = TypeVar("C", bound=Child)


class Run(Recording):
    """One advance of a thread: what an agent did, said, asked and used. Its commands are in `Life` and `Recording`."""

    @command
    def branch(self, input: Any = None, **request: Unpack[RunRequest]) -> Plan["Run"]:
        """A run whose past is this one up to `at_version` (its present one if none is given). One event; nothing is copied.

        It is created, not begun: `start` it.
        """
        asked: RunRequest = {"kind": "branches", **request, "parent": self}
        creation = Creation(self.executor, None, input, asked, start=False)
        return Plan(
            creation.run_id,
            creation.decide,
            lambda receipt: Run(creation.run_id, self.executor, receipt),
            request_envelope(asked),
        )

    submit_branch = submitting(branch)

    def view(self, at: int | datetime | None = None, *, at_version: int | None = None) -> RunView:
        """The run at a glance, now, at a position or time, or at one of its versions. Raises RunNotFound."""
        return self.executor.reading(at).run(self.id, at_version)

    def messages(self, at: int | datetime | None = None, *, at_version: int | None = None) -> list[MessageView]:
        """The conversation as of this run, along its path. Raises RunNotFound."""
        return self.executor.reading(at).conversation(self.id, at_version=at_version)

    def state(self, at: int | datetime | None = None, *, at_version: int | None = None) -> Any:
        """The shared state document as of this run, along its path. Raises RunNotFound."""
        return self.executor.reading(at).state(self.id, at_version)

    def message(self, message_id: str) -> Message:
        """The handle of a message of this run, or of its past."""
        return Message(message_id, self.executor, self.id)

    def tool_call(self, call_id: str) -> ToolCall:
        """The handle of a tool call of this run, or of its past."""
        return ToolCall(call_id, self.executor, self.id)

    def decision(self, decision_id: str) -> Decision:
        """The handle of a decision of this run."""
        return Decision(decision_id, self.executor, self.id)

    def problem(self, problem_id: str) -> Problem:
        """The handle of a problem of this run."""
        return Problem(problem_id, self.executor, self.id)

    def recorded_usage(self, usage_id: str) -> Usage:
        """The handle of what a model call of this run used."""
        return Usage(usage_id, self.executor, self.id)
