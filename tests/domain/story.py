"""Given, when, then: what happened, one command, and the events it returns or the rule that refuses it."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from runfold.domain.approval import Approval
from runfold.domain.approval_events import ApprovalEvent
from runfold.domain.event import AlreadyRecorded, Event, Events
from runfold.domain.run import Run
from runfold.domain.thread import Thread, ThreadEvent
from runfold.errors import CommandRefused

Subject = Run | Approval | Thread


def fold(*events: Event) -> Any:
    """The run, approval or thread whose stream these events are. No events: a run that was never created."""
    first = events[0] if events else None
    subject: Subject = (
        Approval("approval_1")
        if isinstance(first, ApprovalEvent)
        else Thread("thread_1")
        if isinstance(first, ThreadEvent)
        else Run("run_1")
    )
    return evolved(subject, *events)


def evolved(subject: Any, *events: Event) -> Any:
    """The subject, after these events too."""
    for event in events:
        subject.evolve(event)
    return subject


def picture(value: Any) -> Any:
    """A state as plain data, so that two can be compared and an old one kept."""
    match value:
        case BaseModel():
            return type(value).__name__, value.model_dump()
        case dict():
            return {key: picture(member) for key, member in value.items()}
        case list() | tuple():
            return [picture(member) for member in value]
        case None | bool() | int() | float() | str() | frozenset():
            return value
    names = [field.name for field in fields(value)] if is_dataclass(value) else list(getattr(value, "__dict__", ()))
    return {name: picture(getattr(value, name)) for name in names if name != "run"} or repr(value)


def given(*events: Event) -> "Given":
    """What happened before."""
    return Given(fold(*events))


@dataclass
class Given:
    """A subject, ready for a command."""

    subject: Any

    def when(self, command: Callable[[Any], Events]) -> "Told":
        """Give the command. Deciding never changes the state; only events do."""
        before = picture(self.subject)
        try:
            told = Told(self.subject, events=command(self.subject))
        except (CommandRefused, AlreadyRecorded) as error:
            told = Told(self.subject, error=error)
        assert picture(self.subject) == before, "deciding changed the state"
        return told


@dataclass
class Told:
    """What the command said."""

    subject: Any
    events: Events | None = None
    error: CommandRefused | AlreadyRecorded | None = None

    def then(self, *expected: Event) -> Any:
        """It returned exactly these events. Returns the subject after them."""
        assert self.error is None, self.error
        assert self.events == list(expected)
        return evolved(self.subject, *expected)

    def refused(self, *words: str) -> CommandRefused:
        """It was refused, for a rule with these words, and the refusal tells the state as it is."""
        assert isinstance(self.error, CommandRefused), self.events or self.error
        assert self.error.state == self.subject.describe()
        assert self.error.stream == self.subject.id
        for word in words:
            assert word in self.error.rule, self.error.rule
        return self.error

    def known(self, thing: str, version: int) -> AlreadyRecorded:
        """What it would create stands in the stream already, at this version."""
        assert isinstance(self.error, AlreadyRecorded), self.events or self.error
        assert (self.error.thing, self.error.stream, self.error.version) == (thing, self.subject.id, version)
        return self.error
