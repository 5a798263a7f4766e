"""What a source can say: one dataclass each, made by a format's reading and recorded by `recorder`.

A `Name` is made of the source's own words, and becomes an id: the same words are the same thing, always. Times are aware
or None, and None is unknown. Nothing here knows a ledger or a format.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from runfold.domain.parts import Part
from runfold.importers.tally import Problem

Name = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where in a source something stands: its file, its line, and the path in its document."""

    file: str
    line: int | None = None
    path: str = ""

    def problem(self, reason: str) -> Problem:
        """A problem with what stands here."""
        return Problem(self.file, self.line, f"{self.path}: {reason}" if self.path else reason)

    def at(self, *path: str | int) -> "Place":
        """A place within this one."""
        return Place(self.file, self.line, ".".join([*([self.path] if self.path else []), *map(str, path)]))


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that happened in a run."""

    place: Place
    run: Name
    actor: str
    at: datetime | None = None
    traceparent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Began(Act):
    """A run began."""

    agent: str
    parent: Name | None = None
    kind: Literal["retries", "spawned_by", "continues"] = "spawned_by"
    goal: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Said(Act):
    """A message. `later` is how the source words it in the end, where that is not how it was said."""

    name: Name
    role: Literal["system", "developer", "user", "assistant", "tool", "activity"]
    parts: tuple[Part, ...]
    later: tuple[Part, ...] | None = None
    call: Name | None = None
    author: str | None = None
    activity_type: str | None = None
    like: str | None = None
    """A digest of all that it says, of a source whose messages have no ids: then equal ones may be one message."""
    heard: Literal["past", "now"] | None = None
    """Of such a source: that it is only known as what a model was shown, as a thing of the past or as new."""


@dataclass(frozen=True, kw_only=True)
class Called(Act):
    """A tool was called. `message` is the one that asks for it."""

    name: Name
    tool: str
    arguments: Any
    message: Name | None = None
    provider_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class CallEnded(Act):
    """A tool call ended."""

    name: Name
    how: Literal["succeeded", "failed", "cancelled"]
    result: Any = None
    reason: str = ""
    code: str = "tool_error"


@dataclass(frozen=True, kw_only=True)
class Asked(Act):
    """Somebody was asked to let a call run. `actor` asked; `verdict` is None while nobody has answered."""

    name: Name
    call: Name
    action: str
    arguments: Any
    message: str | None = None
    decision: Name | None = None
    approver: str
    verdict: Literal["approve", "deny"] | None = None
    changed: Any = None
    """The arguments that were allowed instead."""
    comment: str | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ModelCalled(Act):
    """A model was asked, and answered where `is_answered`."""

    name: Name
    provider: str | None = None
    model: str | None = None
    is_answered: bool = True
    answered_at: datetime | None = None
    response_model: str | None = None
    finish_reasons: tuple[str, ...] = ()
    ttft_ns: int | None = None
    error: str | None = None
    code: str = "model_error"


@dataclass(frozen=True, kw_only=True)
class Used(Act):
    """What one model call used. `tokens` has the names of the ledger; `cost` is in US dollars, and a sum of the source's own."""

    name: Name
    model_call: Name | None = None
    node: str | None = None
    provider: str | None = None
    model: str | None = None
    tokens: dict[str, int]
    service_tier: str | None = None
    raw: dict[str, Any] | None = None
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Chose(Act):
    """A decision, and its outcome where one is known."""

    name: Name
    intent: str
    options: tuple[tuple[str, str], ...]
    chosen: str
    decision_type: Literal["path_choice", "delegation", "custom"] = "custom"
    node: str | None = None
    reasoning: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    success: bool | None = None
    result: Any = None
    summary: str = ""
    judge: str | None = None


@dataclass(frozen=True, kw_only=True)
class Compacted(Act):
    """The model's memory was cut here."""

    name: Name
    trigger: Literal["auto", "manual", "limit"]
    tokens_before: int | None = None
    tokens_after: int | None = None
    summary: Name | None = None


@dataclass(frozen=True, kw_only=True)
class Reported(Act):
    """Something is wrong with a run, as somebody says."""

    name: Name
    description: str
    severity: Literal["critical", "warning", "minor"] = "warning"


@dataclass(frozen=True, kw_only=True)
class Ended(Act):
    """A run ended, as the source states."""

    how: Literal["completed", "failed", "cancelled"]
    stop_reason: str
    reason: str = ""
    code: str = "error"
    error_type: str | None = None


@dataclass(frozen=True)
class Story:
    """A thread: what is known of it as a whole, and all that happened, in its order."""

    format: str
    key: Name
    acts: tuple[Act, ...]
    title: str | None = None
    external_ref: str | None = None
    agent: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    settled: bool = False
    """Whether its parts may come one by one, in any order: then what is in is not judged by what comes."""
